"""Rows read back: as they were written, whatever is in them, and whatever else is in their file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.outputs import open_rows
from sqe_fast.jobs.reading import NoRow, read_rows
from sqe_fast.jobs.rows import Origin
from sqe_fast.results import Cause, Evaluation, Ratings, Stretch, WindowRating

RATED = Evaluation(
    'a, "b"/c;d=.wav',
    Ratings(4.25, 3.0, 2.0, 1.5, 2.125, 0.4),
    (Cause("packet loss", "discontinuity", 0.972), Cause("a=b", "noisiness", 0.5)),
    'Overall: a hiss, "loud"; under the voice.',
    ("clipped=0.120", "no_speech"),
    63.5,
    "fake@0123456789ab",
    no_speech=(Stretch(3.5, 8.0, "pause"), Stretch(10.0, 20.25, "sound")),
    channel=1,
)
FAILED = Evaluation(
    "bad\udcff.wav", model="fake@0123456789ab", error=ClipError(ErrorCode.TOO_SHORT, "0.1 s: pass more")
)
TIMED = replace(
    RATED,
    timeline=(WindowRating(0.0, 5.0, RATED.ratings, RATED.causes[:1]), WindowRating(1.0, 6.0, None, (), ("silent",))),
)


def written(path: Path, *evaluations: Evaluation, timeline: bool = False, given: Any = None) -> Path:
    with open_rows(path, path.suffix[1:], tuple(given or ()), resume=False, timeline=timeline) as file:
        for evaluation in evaluations:
            file.write([evaluation], Origin(given or {}))
    return path


def expected(evaluation: Evaluation, given: Any = None) -> dict[str, Any]:
    return evaluation.to_row() | {"given": given or {}, "excerpt": None}


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_an_excerpt_is_read_back(tmp_path: Path, suffix: str) -> None:
    with open_rows(tmp_path / "rows", suffix, resume=False) as file:
        file.write([RATED], Origin(excerpt="3.5+2.0"))
        file.write([RATED], Origin())
    read = [row["excerpt"] for row in read_rows(tmp_path / "rows") if isinstance(row, dict)]
    assert read == ["3.5+2.0", None]


def test_jsonl_rows_are_as_they_were_written(tmp_path: Path) -> None:
    given = {"speaker": "x", "turn": 3}
    path = written(tmp_path / "r.jsonl", RATED, FAILED, given=given)
    assert list(read_rows(path)) == [expected(RATED, given), expected(FAILED, given)]


def test_parquet_rows_are_as_they_were_written(tmp_path: Path) -> None:
    given = {"speaker": "x", "turn": 3}
    path = written(tmp_path / "r.parquet", RATED, replace(FAILED, file="bad.wav"), given=given)
    assert list(read_rows(path)) == [expected(RATED, given), expected(replace(FAILED, file="bad.wav"), given)]


def test_csv_rows_are_as_they_were_written_but_for_the_dimension_of_a_cause(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", RATED, FAILED, given={"speaker": "x"})
    rated = expected(RATED, {"speaker": "x"})
    rated["causes"] = [cause | {"dimension": ""} for cause in rated["causes"]]
    assert list(read_rows(path)) == [rated, expected(FAILED, {"speaker": "x"})]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_windows_have_their_start_and_end_and_the_recording_has_none(tmp_path: Path, suffix: str) -> None:
    rows = list(read_rows(written(tmp_path / f"r.{suffix}", TIMED, timeline=True)))
    assert [(row["start"], row["end"], row["mos"]) for row in rows if isinstance(row, dict)] == [
        (0.0, 5.0, 2.125),
        (1.0, 6.0, None),
        (None, None, 2.125),
    ]


GOOD = {**Evaluation("x.wav", RATED.ratings).to_row()}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "Expecting"),
        (b"[]", "not an object"),
        (b"{}", "no 'file'"),
        (b"[" * 100_000, "recursion"),
        (b"\xff", "decode"),
        *(
            (json.dumps(GOOD | wrong).encode(), message)
            for wrong, message in [
                ({"file": 3}, "file"),
                ({"mos": "4"}, "mos is no number"),
                ({"mos": 5.2}, "mos is 5.2"),
                ({"mos": True}, "mos is no number"),
                ({"mos": float("nan")}, "mos is no number"),
                ({"mos": 10**400}, "int"),
                ({"loudness": None}, "some ratings"),
                ({"channel": -1}, "channel"),
                ({"causes": [3]}, ""),
                ({"causes": 3}, ""),
                ({"causes": [{"name": "hum", "probability": 2}]}, "probability"),
                ({"no_speech": [{"start": 1}]}, ""),
                ({"error": "broken"}, ""),
                ({"given": 3}, ""),
                ({"excerpt": "left"}, "excerpt 'left'"),
                ({"description": {}}, "description"),
            ]
        ),
    ],
)
def test_a_line_that_is_no_row_costs_itself_alone(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "r.jsonl"
    good = json.dumps(GOOD).encode()
    path.write_bytes(b"\n".join([good, line, good, b""]))
    first, wrong, last = read_rows(path)
    assert first == last == GOOD | {"given": {}, "excerpt": None}
    assert isinstance(wrong, NoRow)
    assert wrong.line == 2
    assert message in wrong.message


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_torn_end_is_named(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"r.{suffix}", RATED, FAILED)
    path.write_bytes(path.read_bytes()[:-5])
    *rows, torn = read_rows(path)
    assert len(rows) == 1
    assert isinstance(torn, NoRow)
    assert "torn" in torn.message


def test_rows_of_an_older_job_lack_what_came_later(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"file": "a.wav", "mos": null}\n')
    assert list(read_rows(path)) == [expected(Evaluation("a.wav"))]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: cannot be read: No such file"):
        list(read_rows(tmp_path / "none.jsonl"))
