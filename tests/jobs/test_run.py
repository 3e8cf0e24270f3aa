"""Batch scoring: no row lost, none doubled, none torn, whatever happens on the way."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sqe_fast.audio import Excerpt, Raw, RawFormat
from sqe_fast.audio.timeline import Timeline
from sqe_fast.errors import ErrorCode, UnusableError
from sqe_fast.jobs import run
from sqe_fast.jobs.inputs import Item, Listed, expand
from sqe_fast.jobs.outputs import PipeRows, RowFile, open_rows
from sqe_fast.jobs.parquet import RowFolder, read_rows
from sqe_fast.jobs.rows import COLUMNS, TIMELINE_COLUMNS, Origin, Row, csv_line, jsonl_line, rows_of
from sqe_fast.results import Evaluation, Stretch
from tests.support.audio_samples import long_speech
from tests.support.fake_evaluator import fake_evaluator
from tests.support.fake_scorer import FakeScorer, mos_of
from tests.support.memory import peak_bytes, reset_peak

ROOT = Path(__file__).parents[2]


def score(
    path: Path,
    names: Iterable[str],
    *,
    resume: bool = False,
    scorer: FakeScorer | None = None,
    timeline: Timeline | None = None,
    retry_errors: bool = False,
) -> run.Progress:
    kind, timed = path.suffix[1:], timeline is not None
    with open_rows(path, kind, resume=resume, retry_errors=retry_errors, timeline=timed) as writer:
        return run.run(scorer or FakeScorer(), names, writer, run.Choices(timeline=timeline))


ORIGIN = Origin(options=str(run.DEFAULT))


def row_of(evaluation: Evaluation, origin: Origin = ORIGIN) -> Row:
    return next(rows_of([evaluation], origin))


def files_in(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    assert text.endswith("\n")
    if path.suffix == ".csv":
        return [row["file"] for row in csv.DictReader(io.StringIO(text))]
    return [json.loads(line)["file"] for line in text.splitlines()]


# --- order, bounds, rows ---------------------------------------------------------------------------------------------


class Collected:
    def __init__(self) -> None:
        self.rows: list[Evaluation] = []

    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        self.rows += evaluations


def test_error_rows_keep_their_place() -> None:
    error = next(iter(expand(["/absent/m.txt"], io.BytesIO())))
    assert isinstance(error, Evaluation)
    for order in ([error, "1", error, error, "2", "bad", "3", error], [error], ["1"], []):
        writer = Collected()
        progress = run.run(FakeScorer(), order, writer)
        assert [row.file for row in writer.rows] == [item if isinstance(item, str) else item.file for item in order]
        assert progress.written == len(order)
        assert progress.failed == sum(item == "bad" or isinstance(item, Evaluation) for item in order)
        assert {row.model for row in writer.rows} <= {"fake@0123456789ab"}


def test_an_endless_input_is_scored_as_it_comes() -> None:
    """Neither inputs nor outputs are gathered: a thousand rows are written while the input goes on for ever."""
    scorer = FakeScorer(ahead=16)

    class Full(Exception):
        pass

    class Limited(Collected):
        def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
            super().write(evaluations, origin)
            assert len(scorer.asked) <= len(self.rows) + scorer.ahead
            if len(self.rows) == 1_000:
                raise Full

    writer = Limited()
    with pytest.raises(Full):
        run.run(scorer, (f"{n}.wav" for n in count()), writer)
    assert [row.file for row in writer.rows] == [f"{n}.wav" for n in range(1_000)]


def test_jsonl_has_the_documented_keys() -> None:
    row = json.loads(jsonl_line(row_of(FakeScorer().evaluation("ü.wav"))))
    assert list(row) == list(COLUMNS)
    assert " ".join(COLUMNS) == (
        "file channel mos mos_std noisiness coloration discontinuity loudness "
        "causes description flags no_speech duration model error excerpt fingerprint options"
    )
    assert row["file"] == "ü.wav"
    assert row["mos"] == pytest.approx(mos_of("ü.wav"))
    assert row["flags"] == ["clipped=0.120", "no_speech"]
    assert row["causes"] == [
        {"name": "packet loss", "dimension": "discontinuity", "probability": 0.973},
        {"name": "unclear noise", "dimension": "noisiness", "probability": 0.5},
    ]
    failed = json.loads(jsonl_line(row_of(FakeScorer().evaluation("bad.wav"))))
    assert failed["error"]["code"] == ErrorCode.TOO_SHORT
    assert failed["mos"] is None
    assert failed["causes"] == []


def test_stretches_without_speech_are_told() -> None:
    """A row that says what a call is worth, and not that most of it was hold music."""
    stretches = (Stretch(30.3004, 150.0, "sound"), Stretch(160.0, 163.5, "pause"))
    row = row_of(replace(FakeScorer().evaluation("a.wav"), no_speech=stretches))
    assert row["no_speech"][0] == {"start": 30.3, "end": 150.0, "kind": "sound"}
    told = dict(zip(COLUMNS, next(csv.reader([csv_line(row).decode()])), strict=True))
    assert told["no_speech"] == "30.300-150.000 sound;160.000-163.500 pause"


def test_csv_is_one_line_a_row() -> None:
    line = csv_line(row_of(FakeScorer().evaluation('a,"b"\n.wav')))
    assert line.count(b"\n") == 1
    [values] = csv.reader([line.decode()])
    row = dict(zip(COLUMNS, values, strict=True))
    assert row["file"] == 'a,"b"\\n.wav'
    assert row["flags"] == "clipped=0.120;no_speech"
    assert row["causes"] == "packet loss=0.973;unclear noise=0.500"
    assert row["description"].endswith('a hiss, "loud",\\nunder the voice.')
    [values] = csv.reader([csv_line(row_of(FakeScorer().evaluation("bad.wav"))).decode()])
    assert values[COLUMNS.index("error")] == "too_short: pass at least 0.4 s"


def test_a_row_for_each_window_and_then_the_recordings() -> None:
    """Windows without their recording's name, in another order of columns, or with prose that is not theirs."""
    with fake_evaluator() as evaluator:
        [evaluation] = evaluator.evaluate([(long_speech(12.0), 16_000)], timeline=Timeline(5.0, 5.0))
    origin = Origin(fingerprint="sha256:1")
    *windows, own = rows_of([evaluation], origin, timeline=True)
    assert all(list(row) == list(TIMELINE_COLUMNS) for row in (*windows, own))
    assert [name for name in TIMELINE_COLUMNS if name not in ("start", "end")] == list(COLUMNS)
    assert [(row["start"], row["end"], row["duration"]) for row in windows] == [(0, 5, 5), (5, 10, 5), (7, 12, 5)]
    assert [row["mos"] for row in windows] == [round(each.ratings.mos, 3) for each in evaluation.timeline]
    assert {(row["file"], row["model"], row["description"]) for row in windows} == {(own["file"], own["model"], None)}
    assert own == {**row_of(evaluation, origin), "start": None, "end": None}
    assert {row["fingerprint"] for row in windows} == {"sha256:1"}
    assert "worst" in own["description"]


@pytest.mark.parametrize("line", [jsonl_line, csv_line])
def test_a_name_that_is_not_utf8_has_a_row(line: Callable[[Row], bytes]) -> None:
    assert line(row_of(FakeScorer().evaluation("\udcff.wav"))).endswith(b"\n")


# --- files -----------------------------------------------------------------------------------------------------------

NAMES = [f"dir/{n}{'bad' if n % 7 == 3 else ''}.wav" for n in range(40)]
SUFFIXES = pytest.mark.parametrize("suffix", ["jsonl", "csv"])
ALL = pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])


@SUFFIXES
def test_an_output_is_not_overwritten(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{suffix}"
    score(path, NAMES)
    before = path.read_bytes()
    with pytest.raises(UnusableError, match="not empty"):
        score(path, NAMES)
    assert path.read_bytes() == before


@SUFFIXES
def test_resume_from_every_byte(suffix: str, tmp_path: Path) -> None:
    """Killed at any byte, a job is finished by --resume as if it had never stopped."""
    names = [*NAMES[:6], "tête\udcff,\r\n.wav", "\r.wav", *NAMES[:2]]  # strange ones, and two that come twice
    path = tmp_path / f"out.{suffix}"
    score(path, names)
    whole = path.read_bytes()
    for end in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:end])
        scorer = FakeScorer()
        progress = score(path, names, resume=True, scorer=scorer)
        assert path.read_bytes() == whole
        assert progress.skipped + progress.written == len(names)
        assert scorer.given == progress.written
        assert progress.failed == 1


@SUFFIXES
def test_a_recording_that_was_torn_in_its_timeline_is_done_again(suffix: str, tmp_path: Path) -> None:
    """Windows of a recording that are there twice, or for ever without those that follow them."""
    names = ["a.wav", "bad.wav", "c.wav", "a.wav"]
    path = tmp_path / f"out.{suffix}"
    score(path, names, timeline=Timeline())
    whole = path.read_bytes()
    assert files_in(path) == ["a.wav"] * 4 + ["bad.wav"] + ["c.wav"] * 4 + ["a.wav"] * 4
    for end in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:end])
        progress = score(path, names, resume=True, timeline=Timeline())
        assert path.read_bytes() == whole
        assert (progress.skipped + progress.written, progress.failed) == (4, 1)


@SUFFIXES
def test_errors_are_tried_again_and_timelines_stay(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{suffix}"
    score(path, ["a.wav", "bad.wav", "c.wav"], timeline=Timeline())
    before = path.read_bytes().splitlines()
    score(path, ["a.wav", "c.wav"], resume=True, timeline=Timeline(), retry_errors=True)
    assert path.read_bytes().splitlines() == [line for line in before if b"bad.wav" not in line]


@SUFFIXES
@pytest.mark.parametrize("timeline", [None, Timeline()], ids=["", "timeline"])
def test_a_recording_of_which_a_channel_may_be_missing_is_done_again(
    timeline: Timeline | None, suffix: str, tmp_path: Path
) -> None:
    """Killed between the rows of two talkers, a resumed job takes the recording for done: the second is lost."""
    names = ["a.wav", "call.wav", "call.wav", "bad call.wav", "b.wav", "other call.wav"]
    path = tmp_path / f"out.{suffix}"
    score(path, names, timeline=timeline)
    whole = path.read_bytes()
    own = [name for name in names for _ in range(2 if "call" in name else 1)]
    assert list(dict.fromkeys(files_in(path))) == list(dict.fromkeys(own))
    assert timeline or files_in(path) == own
    for end in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:end])
        progress = score(path, names, resume=True, timeline=timeline)
        assert path.read_bytes() == whole
        assert (progress.skipped + progress.written, progress.failed) == (len(names), 1)


@SUFFIXES
def test_a_recording_is_tried_again_with_all_its_channels(suffix: str, tmp_path: Path) -> None:
    """The row of the channel that went well beside a second one of it."""

    def row(file: str, channel: int, *, failed: bool = False) -> Evaluation:
        return replace(FakeScorer().evaluation("bad" if failed else file), file=file, channel=channel)

    path, names = tmp_path / f"out.{suffix}", ["1 call", "2 call", "3 call"]
    with RowFile(str(path), suffix, resume=False) as writer:
        for name in names:
            writer.write([row(name, 0), row(name, 1, failed=name == "2 call")], ORIGIN)
    assert score(path, names, resume=True).failed == 1
    progress = score(path, names, resume=True, retry_errors=True)
    assert (progress.skipped, progress.written, progress.failed) == (1, 2, 0)
    assert sorted(files_in(path)) == [name for name in names for _ in range(2)]


def test_what_a_manifest_cuts_is_scored_in_parts() -> None:
    item, raw = Listed("call.ul", {"offset": 3.5}, part=(3.5, 2.0)), RawFormat(8_000, "mulaw")
    assert run.source_of(item, None) == Excerpt("call.ul", 3.5, 2.0)
    assert run.source_of(item, raw) == Excerpt(Raw("call.ul", 8_000, "mulaw"), 3.5, 2.0)


@SUFFIXES
def test_rows_with_and_without_a_timeline_are_not_mixed(suffix: str, tmp_path: Path) -> None:
    for first, then in ((None, Timeline()), (Timeline(), None)):
        path = tmp_path / f"{first is None}.{suffix}"
        score(path, ["a.wav"], timeline=first)
        before = path.read_bytes()
        with pytest.raises(UnusableError, match="no --window no --hop" if suffix == "jsonl" else "header"):
            score(path, ["a.wav", "b.wav"], resume=True, timeline=then)
        assert path.read_bytes() == before


@ALL
def test_memory_is_flat_over_many_recordings(suffix: str, tmp_path: Path) -> None:
    """What is kept of each row, as a summary or a journal may: 20,000 more of them."""

    def names() -> Iterator[str]:
        for number in range(25_000):
            if number == 5_000:
                start.append(reset_peak())
            yield f"{number}.wav"

    class Forgetful(FakeScorer):
        def evaluation(self, file: str, describe: bool = True) -> Evaluation:
            self.asked.clear()
            return super().evaluation(file, describe)

    start: list[int] = []
    path = str(tmp_path / f"rows.{suffix}")
    opened = (
        RowFolder(path, resume=False, part_rows=4_000) if suffix == "parquet" else RowFile(path, suffix, resume=False)
    )
    with opened as writer:
        progress = run.run(Forgetful(), names(), writer)
    assert progress.written == 25_000
    assert peak_bytes() - start[0] < (48 if suffix == "parquet" else 8) << 20


def test_resume_knows_rows_by_name_not_by_place(tmp_path: Path) -> None:
    """A file that came into the folder meanwhile is scored; nothing else is."""
    path = tmp_path / "out.jsonl"
    score(path, ["b", "d"])
    scorer = FakeScorer()
    score(path, ["a", "b", "c", "d", "d"], resume=True, scorer=scorer)
    assert scorer.asked == ["a", "c", "d"]
    assert files_in(path) == ["b", "d", "a", "c", "d"]


def scored(path: Path, names: Iterable[str], **options: Any) -> tuple[run.Progress, FakeScorer]:
    scorer = FakeScorer()
    return score(path, names, scorer=scorer, **options), scorer


def row_count(path: Path) -> int:
    return sum(1 for _ in read_rows(path)) if path.suffix == ".parquet" else len(files_in(path))


@ALL
def test_a_file_that_has_changed_is_scored_again_in_place_of_its_row(suffix: str, tmp_path: Path) -> None:
    """A repaired file that keeps the row of the broken one for ever, or has both."""
    names = [str(tmp_path / f"{n}{' call' if n == 2 else ''}.wav") for n in range(4)]
    for name in names[:3]:
        Path(name).write_bytes(b"1")
    path = tmp_path / f"rows.{suffix}"
    listed = [names[2], *names]  # the last is not there yet; the third is named twice
    score(path, listed)
    assert scored(path, listed, resume=True)[1].asked == []
    Path(names[2]).write_bytes(b"22")
    Path(names[3]).write_bytes(b"1")
    Path(names[0]).unlink()
    progress, scorer = scored(path, listed, resume=True)
    assert scorer.asked == [names[2], names[2], names[3]]
    assert (progress.skipped, progress.written, progress.summary.recordings) == (2, 3, 5)
    assert row_count(path) == progress.summary.rows == 7
    assert scored(path, listed, resume=True)[1].asked == []


@ALL
def test_a_job_that_is_killed_before_it_has_taken_out_what_it_replaced(suffix: str, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{n}.wav") for n in range(4)]
    for name in names:
        Path(name).write_bytes(b"1")
    path = tmp_path / f"rows.{suffix}"
    score(path, names)
    for name in names:
        Path(name).write_bytes(b"22")

    def killed() -> Iterator[str]:
        yield from names[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(path, killed(), resume=True, scorer=FakeScorer(ahead=1))
    assert row_count(path) in (5, 6)
    progress, scorer = scored(path, names, resume=True)
    assert scorer.asked == names[-len(scorer.asked) :]
    assert progress.written == len(scorer.asked) in (2, 3)
    assert row_count(path) == progress.summary.rows == 4


class Named(FakeScorer):
    """Of sources that are no paths."""

    def __init__(self, name: Callable[[Any], str]) -> None:
        super().__init__()
        self._name = name

    def batch(self, *choices: Any) -> Any:
        batch = super().batch(*choices)
        submit = batch.submit
        batch.submit = lambda source: submit(self._name(source))  # type: ignore[method-assign]
        return batch


@ALL
def test_a_part_of_a_recording_is_known_by_where_it_lies(suffix: str, tmp_path: Path) -> None:
    """The error of the second utterance is tried again, and the third has two rows."""

    items = [Listed("call.wav", {"offset": start}, part=(start, 2)) for start in (0, 2, 4)]
    path = tmp_path / f"rows.{suffix}"
    for bad, counts in ((True, (0, 3, 1)), (False, (2, 1, 0))):
        scorer = Named(lambda source: "bad" if source.start == 2 and bad else f"{source.start}")  # noqa: B023
        with open_rows(path, suffix, ["offset"], resume=not bad, retry_errors=not bad) as writer:
            progress = run.run(scorer, items, writer)
        assert (progress.skipped, progress.written, progress.failed) == counts
    if suffix == "jsonl":
        found = [json.loads(line) for line in path.read_text().splitlines()]
        assert [(row["excerpt"], row["mos"]) for row in found] == [
            (f"{start:.1f}+2.0", mos_of(f"{start}")) for start in (0, 4, 2)
        ]


@ALL
def test_bytes_are_known_by_their_content(suffix: str, tmp_path: Path) -> None:
    """Two members of one name, as joined archives have them: one of them would be lost."""

    def listed(*contents: bytes) -> list[Item]:
        return [Listed("s.tar/a.wav", content=each, fingerprint=f"sha256:{each.hex()}") for each in contents]

    path = tmp_path / f"rows.{suffix}"
    for contents, counts in (((b"1", b"2", b"1"), (0, 3)), ((b"1", b"2", b"1"), (3, 0)), ((b"3", b"2"), (1, 1))):
        progress = score(path, listed(*contents), resume=True, scorer=Named(bytes.decode))
        assert (progress.skipped, progress.written) == counts
    assert row_count(path) == 4


@pytest.mark.parametrize(
    ("held", "wanted", "told"),
    [
        (run.Choices(), run.Choices(describe=False), "--describe, this is with --no-describe"),
        (run.Choices(channels="mix"), run.Choices(channels=1), "--channels mix, this is with --channels 1"),
        (run.Choices(timeline=Timeline(5)), run.Choices(timeline=Timeline(4)), "--window 5, this is with --window 4"),
        (run.Choices(), run.Choices(raw=RawFormat(8_000)), "no --raw, this is with --raw 8000,s16le,1"),
    ],
)  # fmt: skip
@ALL
def test_rows_of_other_options_are_not_gone_on_with(
    suffix: str, held: run.Choices, wanted: run.Choices, told: str, tmp_path: Path
) -> None:
    """And it is said which. Errors stay until it is known that they can be tried again."""
    path = tmp_path / f"rows.{suffix}"
    with open_rows(path, suffix, resume=False, timeline=held.timeline is not None) as writer:
        run.run(FakeScorer(), ["a.wav", "bad.wav"], writer, held)
    count = row_count(path)
    timed = held.timeline is not None
    with (
        open_rows(path, suffix, resume=True, retry_errors=True, timeline=timed) as writer,
        pytest.raises(UnusableError, match=re.escape(told)),
    ):
        run.run(FakeScorer(), ["a.wav"], writer, wanted)
    assert row_count(path) == count


@ALL
def test_a_summary_is_of_all_rows(suffix: str, tmp_path: Path) -> None:
    """Of those alone that the last of several runs has added."""
    names = [f"{n}{' bad' if n % 5 == 1 else ''}{' call' if n % 3 == 1 else ''}.wav" for n in range(30)]
    whole = score(tmp_path / f"whole.{suffix}", names).summary
    path = tmp_path / f"rows.{suffix}"
    score(path, names[:13])
    resumed = score(path, names, resume=True).summary
    assert (resumed.recordings, resumed.rows, resumed.failed, resumed.rated) == (30, 40, 6, 32)
    assert resumed.errors == whole.errors == {"too_short": 8}
    assert resumed.flags == whole.flags == {"clipped": 32, "no_speech": 32}
    every = sorted(mos_of(name) for name in names if "bad" not in name for _ in range(2 if "call" in name else 1))
    for percent in (1, 50, 99):
        expected = every[math.ceil(percent / 100 * len(every)) - 1]
        assert resumed.ratings["mos"].percentile(percent) == whole.ratings["mos"].percentile(percent) == expected


def test_a_summary_tells_what_was_passed_over(tmp_path: Path) -> None:
    stretches = (Stretch(0.0, 90.0, "sound"), Stretch(100.0, 103.5, "pause"), Stretch(110.0, 114.0, "pause"))

    class Quiet(FakeScorer):
        def evaluation(self, file: str, describe: bool = True) -> Evaluation:
            return replace(super().evaluation(file, describe), no_speech=stretches)

    for suffix in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"rows.{suffix}"
        score(path, ["a.wav"], scorer=Quiet())
        summary = score(path, ["a.wav", "b.wav"], resume=True, scorer=Quiet()).summary
        assert summary.stretches == {"sound": 2, "pause": 4}
        assert summary.passed_over == pytest.approx({"sound": 180.0, "pause": 15.0})


def test_resume_refuses_what_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for text in ("precious notes\n", '{"a": 1}\n', "[1]\n", "\n"):
        path.write_text(text)
        with pytest.raises(UnusableError, match="line 1"):
            score(path, NAMES, resume=True)
        assert path.read_text() == text
    path = tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UnusableError, match="header"):
        score(path, NAMES, resume=True)
    for text in ("x\n", f"a\rb{',' * (len(COLUMNS) - 1)}\n"):
        path.write_bytes(f"{','.join(COLUMNS)}\n{text}".encode())
        with pytest.raises(UnusableError, match="line 2 is not a row"):
            score(path, NAMES, resume=True)


def test_resume_refuses_another_model(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    score(path, NAMES[:3])
    with pytest.raises(UnusableError, match="old@1"):
        path.write_text(path.read_text().replace("fake@0123456789ab", "old@1"))
        score(path, NAMES, resume=True)


def test_two_jobs_do_not_write_one_output(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with RowFile(str(path), "jsonl", resume=False):
        for resume in (False, True):
            with pytest.raises(UnusableError, match="another job"):
                RowFile(str(path), "jsonl", resume=resume)
    score(path, NAMES)


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    for name in ("absent/out.jsonl", "."):
        with pytest.raises(UnusableError, match="cannot be written"):
            RowFile(str(tmp_path / name), "jsonl", resume=False)
    with RowFile("/dev/full", "jsonl", resume=False) as writer, pytest.raises(UnusableError, match="No space"):
        run.run(FakeScorer(), NAMES, writer)
    with pytest.raises(UnusableError, match="No space"):
        RowFile("/dev/full", "csv", resume=False)


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up in the middle of the fifth row: the half that was written is taken back."""
    path = tmp_path / "out.jsonl"
    room = [0]
    write = os.write

    def filling(fd: int, data: Any) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        done = write(fd, data[: room[0]])
        room[0] -= done
        return done

    rows = [jsonl_line(row_of(FakeScorer().evaluation(name))) for name in NAMES]
    room[0] = sum(map(len, rows[:4])) + 20
    monkeypatch.setattr(os, "write", filling)
    with pytest.raises(UnusableError, match="No space"):
        score(path, NAMES)
    assert path.read_bytes() == b"".join(rows[:4])
    room[0] = 1 << 30
    score(path, NAMES, resume=True)
    assert path.read_bytes() == b"".join(rows)


def test_a_pipe_that_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(UnusableError, match="standard output"):  # noqa: SIM117
        with os.fdopen(write, "wb", buffering=0) as stream:
            run.run(FakeScorer(), NAMES, PipeRows(stream, "jsonl"))


# --- signals ---------------------------------------------------------------------------------------------------------


def test_a_signal_waits_for_the_row_and_no_longer() -> None:
    before = signal.getsignal(signal.SIGTERM)
    reached = []
    with pytest.raises(run.Interrupted) as caught, run.Interruption() as interruption:
        with interruption.shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("end of the row")
        reached.append("beyond")
    assert reached == ["end of the row"]
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


JOB = """
import sys, time
from itertools import count
from sqe_fast.jobs import run
from sqe_fast.jobs.outputs import RowFile
from tests.support.fake_evaluator import fake_evaluator
from tests.support.fake_scorer import FakeScorer

class Slow(FakeScorer):
    def evaluation(self, file, describe=True):
        time.sleep(0.002)
        return super().evaluation(file, describe)

path, resume, total = sys.argv[1], sys.argv[2] == "resume", int(sys.argv[3])
with run.Interruption() as interruption, RowFile(path, "jsonl", resume=resume) as writer:
    try:
        run.run(Slow(), (f"{n}.wav" for n in range(total)), writer, interruption=interruption)
    except run.Interrupted as interrupted:
        sys.exit(interrupted.exit_code)
"""


def start(path: Path, resume: str, total: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", JOB, str(path), resume, str(total)], cwd=ROOT)


def wait_for_rows(process: subprocess.Popen[bytes], path: Path, rows: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < rows:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["kill", "term", "int"]
)
def test_a_job_that_is_stopped_again_and_again(signum: signal.Signals, code: int, tmp_path: Path) -> None:
    path, total = tmp_path / "out.jsonl", 150
    for attempt, resume in enumerate(["", "resume"]):
        process = start(path, resume, total)
        wait_for_rows(process, path, 40 * (attempt + 1))
        process.send_signal(signum)
        assert process.wait(60) == code
        if signum != signal.SIGKILL:
            assert files_in(path) == [f"{n}.wav" for n in range(len(files_in(path)))]
    assert start(path, "resume", total).wait(60) == 0
    assert files_in(path) == [f"{n}.wav" for n in range(total)]


def test_a_file_that_disappears_costs_its_own_row(tmp_path: Path) -> None:
    """With an evaluator that really opens files: one of them goes away after the folder was read."""
    for name in ("1.wav", "2.wav", "3.wav"):
        (tmp_path / name).touch()

    def items() -> Iterator[Item]:
        for item in expand([str(tmp_path)], io.BytesIO()):
            (tmp_path / "2.wav").unlink(missing_ok=True)
            yield item

    writer = Collected()
    run.run(fake_evaluator(), items(), writer)
    assert [row.error.code for row in writer.rows if row.error] == [
        ErrorCode.UNSUPPORTED_FORMAT,
        ErrorCode.NOT_FOUND,
        ErrorCode.UNSUPPORTED_FORMAT,
    ]
