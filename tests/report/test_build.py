"""A page as a file: complete, closed, and with errors that say what to do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile

from sqe_fast.audio.sandbox import worker
from sqe_fast.errors import UnusableError
from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.reading import NoRow, read_rows
from sqe_fast.jobs.rows import GIVEN, jsonl_line
from sqe_fast.options import Sandbox
from sqe_fast.report import write
from sqe_fast.results import Evaluation, Ratings
from tests.support.audio_samples import RATE, speech
from tests.support.faulty_child import planted
from tests.support.rows_at_random import evaluations, write_rows

VENDOR = Path(__file__).parents[2] / "sqe_fast" / "report" / "page" / "vendor"


class Elements(HTMLParser):
    """Scripts by their ids, and the attributes of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.run: list[str] = []
        self._in: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        self._in = dict(attrs) if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._in is None:
            return
        if "type" in self._in:
            self.texts[str(self._in["id"])] = data
        else:
            self.run.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def block(self, name: str) -> bytes:
        return gzip.decompress(base64.b64decode(self.texts[name]))

    def json(self, name: str) -> Any:
        return json.loads(self.block(name))


def page_of(path: Path) -> Elements:
    return Elements(path.read_text("utf-8"))


def rated(file: str, mos: float = 3.0, **fields: Any) -> Evaluation:
    return Evaluation(file, Ratings(4.0, 3.0, 2.0, 1.5, mos, 0.2), duration=5.0, **fields)


def made(tmp_path: Path, *found: Evaluation, **options: Any) -> Elements:
    write(write_rows(tmp_path / "rows.jsonl", found), tmp_path / "page.html", **options)
    return page_of(tmp_path / "page.html")


def test_a_thousand_rows_fit_three_megabytes(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", evaluations(1_000))
    summary = write(rows, tmp_path / "page.html")
    assert summary.size == (tmp_path / "page.html").stat().st_size < 3e6
    assert summary.recordings == 1_000
    assert summary.failed == sum(evaluation.error is not None for evaluation in evaluations(1_000))


def test_a_page_is_the_same_every_time(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", evaluations(50))
    for name in "ab":
        write(rows, tmp_path / name, before=rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_csv_and_jsonl_make_the_same_page_but_for_the_dimensions_of_causes(tmp_path: Path) -> None:
    pages = []
    for suffix in ("jsonl", "csv"):
        write(write_rows(tmp_path / f"rows.{suffix}", evaluations(50)), tmp_path / "page.html")
        pages.append(page_of(tmp_path / "page.html"))
    names = pages[0].texts.keys() - {"facts"}
    assert all(pages[0].texts[name] == pages[1].texts[name] for name in names)


def test_only_what_is_ours_may_run(tmp_path: Path) -> None:
    """The policy names the scripts by their hashes, allows no connection, and every script that runs is named."""
    page = made(tmp_path, rated("a.wav"))
    [policy] = [attributes["content"] for _, attributes in page.attributes if "http-equiv" in attributes]
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in page.run}
    assert parts["default-src"] == "'none'"
    assert set(parts["script-src"].split()) == hashes
    assert len(hashes) == 3
    assert "connect-src" not in parts
    assert not {"http:", "https:", "*"} & {word for part in parts.values() for word in part.split()}


def test_nothing_is_loaded_by_the_markup(tmp_path: Path) -> None:
    page = made(tmp_path, rated("a.wav"))
    loads = {"src", "href", "srcset", "data"}
    loaded = [value for _, each in page.attributes for name, value in each.items() if name in loads]
    assert loaded == ["data:,", "#clips"]


def test_libraries_are_those_that_the_notices_name() -> None:
    notices = (Path(__file__).parents[2] / "THIRD_PARTY_NOTICES.md").read_text("utf-8")
    for file, name, pattern in (
        ("d3.min.js", "D3", r"d3js\.org v([\d.]+)"),
        ("plot.umd.min.js", "Observable Plot", r"plot v([\d.]+)"),
    ):
        found = re.search(pattern, (VENDOR / file).read_text("utf-8")[:200])
        assert found is not None
        assert f"{name} {found[1]}" in notices


HOSTILE = (
    "<script>alert(1)</script>.wav",
    "</script><img src=x onerror=alert(1)>.wav",
    "<!--.wav",
    '" onmouseover="alert(1)" x=\'.wav',
    "${alert(1)} `x` {{y}} &amp; &lt;.wav",
    "javascript:alert(1)//.wav",
    "http://example.com/a.wav",
    "//example.com/a.wav",
    "a?b#c%20d%.wav",
    "line\nbreak\r\ttab.wav",
    "\u202egpj.wav",
    "\u2066x\u2069\u200b\ufeff.wav",
    "\x00\x1b[31m.wav",
    "not\udcffutf8\udc80.wav",
    "日本語 ünïcode 😀.wav",
    "-",
    "",
    ".",
    "../../../etc/passwd",
    "x" * 5_000,
)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_whatever_a_file_is_called_it_is_text(tmp_path: Path, name: str, suffix: str) -> None:
    """No element, no attribute and no address of another host comes of a name, a message, a flag or a cause."""
    plain, page = (
        page_of_rows(tmp_path, suffix, rated(each, flags=(f"{each}=1",), description=each, model=each))
        for each in ("plain", name)
    )
    assert page.attributes[1:] == plain.attributes[1:]
    assert page.run == plain.run
    [address] = page.json("details-0")["addresses"]
    assert re.fullmatch(r"\./[A-Za-z0-9/_.~%-]*", address)
    path = unquote_to_bytes(address)
    stored = page.json("names")[0]
    meant, written = (os.path.join(*map(os.fsencode, each)) for each in ((Path.cwd(), stored), (tmp_path, path)))
    assert os.path.normpath(written).lstrip(b"/") == os.path.normpath(meant).lstrip(b"/")


def test_what_can_be_no_files_name_has_no_address(tmp_path: Path) -> None:
    assert made(tmp_path, rated("\ud800.wav")).json("details-0")["addresses"] == [None]


def page_of_rows(tmp_path: Path, suffix: str, *found: Evaluation) -> Elements:
    write(write_rows(tmp_path / f"rows.{suffix}", found), tmp_path / "page.html")
    return page_of(tmp_path / "page.html")


def test_the_name_of_the_rows_is_text_in_the_title(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [rated("a.wav")])
    odd = rows.rename(tmp_path / "<b>&\udcff.jsonl")
    write(odd, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "<title>&lt;b&gt;&amp;?.jsonl: speech quality</title>" in text
    assert "<b>" not in text


def test_recordings_are_found_from_here_from_the_rows_and_where_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, elsewhere = (tmp_path / name for name in ("here", "there", "elsewhere"))
    for folder in (here, there, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(here)
    rows = write_rows(there / "rows.jsonl", [rated("a.wav")])

    def address(**options: Any) -> str:
        write(rows, tmp_path / "pages.html", **options)
        [found] = page_of(tmp_path / "pages.html").json("details-0")["addresses"]
        return str(found)

    assert address() == "./here/a.wav"
    (there / "a.wav").touch()
    assert address() == "./there/a.wav"
    (here / "a.wav").touch()
    assert address() == "./here/a.wav"
    assert address(audio=elsewhere) == "./elsewhere/a.wav"
    with pytest.raises(InputError, match="no folder"):
        address(audio=tmp_path / "none")


def test_the_worst_are_shown_with_their_sound_and_the_rest_is_not(tmp_path: Path) -> None:
    for number in range(30):
        soundfile.write(tmp_path / f"{number}.wav", speech()[:RATE], RATE)
    found = [
        rated(f"{number}.wav", 1 + number / 10, flags=("clipped=0.5",) if number > 25 else ()) for number in range(30)
    ]
    page = made(tmp_path, *found, audio=tmp_path, most=10, embed=2)
    sounds = page.json("sounds")
    # Ten of the lowest MOS; two of each dimension, in which all are alike; and one with the flag.
    assert sorted(map(int, sounds)) == [*range(10), 26]
    assert all(len(each["now"]["peaks"]) == 400 for each in sounds.values())
    assert [name for name in page.texts if name.startswith("audio-")] == ["audio-0", "audio-1"]


def test_a_recording_that_is_gone_long_or_unreadable_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    soundfile.write(tmp_path / "long.wav", np.zeros(RATE), RATE)
    page = made(
        tmp_path, rated("gone.wav"), rated("bad.wav"), rated("x" * 5_000), rated("\0.wav"),
        Evaluation("long.wav", rated("").ratings, duration=4_000.0), audio=tmp_path,
    )  # fmt: skip
    told = [page.json("sounds")[str(row)]["now"] for row in range(5)]
    assert told[0] == told[2] == told[3] == {"gone": True}
    assert list(told[1]) == ["unreadable"]
    assert told[4] == {"long": True}


@pytest.mark.parametrize(
    ("excerpt", "given", "start"),
    [
        ("2.5+2.0", {"offset": 2.5, "duration": 2.0}, 2.5),
        ("2.5+", {"offset": 2.5}, 2.5),
        ("2.5+2.0", {}, 2.5),  # in Python, or by Ray, without a manifest
        (None, {"offset": 2.5, "duration": 8.0}, 0.0),  # a list of something else has a column of that name
        (None, {}, 0.0),
    ],
)
def test_of_an_excerpt_that_part_is_shown(
    tmp_path: Path, excerpt: str | None, given: dict[str, Any], start: float
) -> None:
    samples = np.zeros(8 * RATE)
    samples[round(2.6 * RATE)] = 0.5
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    row = Evaluation("a.wav", rated("").ratings, duration=2.0 if start else 8.0).to_row()
    (tmp_path / "rows.jsonl").write_bytes(jsonl_line(row | {"excerpt": excerpt, GIVEN: given}))
    write(tmp_path / "rows.jsonl", tmp_path / "page.html", audio=tmp_path)
    page = page_of(tmp_path / "page.html")
    peaks = page.json("sounds")["0"]["now"]["peaks"]
    assert np.frombuffer(page.block("starts"), "<f4").tolist() == [start]
    assert np.flatnonzero(peaks).tolist() == [round(400 * (0.1 / 2 if start else 2.6 / 8))]


@pytest.mark.parametrize("excerpt", ["", "2.5", "left+2", "-1+2", "1+-2", "nan+1", "inf+", 2.5])
def test_a_row_whose_excerpt_is_none_is_told_and_left_out(tmp_path: Path, excerpt: Any) -> None:
    row = Evaluation("a.wav", rated("").ratings, duration=2.0).to_row()
    (tmp_path / "rows.jsonl").write_bytes(jsonl_line(row | {"excerpt": excerpt}) + jsonl_line(row))
    [bad, good] = read_rows(tmp_path / "rows.jsonl")
    assert isinstance(bad, NoRow)
    assert "excerpt" in bad.message
    assert isinstance(good, dict)
    assert write(tmp_path / "rows.jsonl", tmp_path / "page.html", audio=tmp_path).recordings == 1


@pytest.mark.skipif(sys.platform != "linux", reason="a sandbox is a choice on Linux only")
def test_what_breaks_a_codec_costs_its_own_waveform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CHILD", "tests.support.faulty_child")
    soundfile.write(tmp_path / "good.wav", speech(), RATE)
    (tmp_path / "bad.wav").write_bytes(planted("segfault"))
    found = rated("bad.wav", 1.5), rated("good.wav")
    page = made(tmp_path, *found, audio=tmp_path, sandbox=Sandbox(children=1))
    sounds = page.json("sounds")
    assert list(sounds["0"]["now"]) == ["unreadable"]
    assert len(sounds["1"]["now"]["peaks"]) == 400


def test_timelines_are_shown_thinned_to_the_worst_window_of_a_few(tmp_path: Path) -> None:
    from sqe_fast.report.timelines import MOST
    from sqe_fast.results import WindowRating

    mos = [3.0 + (number % 2) for number in range(2 * MOST)]
    windows = tuple(WindowRating(float(n), n + 5.0, Ratings(4, 4, 4, 4, m, 0.1)) for n, m in enumerate(mos))
    found = [rated("short.wav", timeline=windows[:3]), rated("long.wav", timeline=windows), rated("none.wav")]
    write(write_rows(tmp_path / "rows.jsonl", found, timeline=True), tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    sounds, facts = page.json("sounds"), json.loads(page.texts["facts"])
    assert facts["now"]["windows"] == 2 * MOST + 3
    assert facts["count"] == 3
    assert [window[:2] for window in sounds["0"]["timeline"]] == [[0, 5], [1, 6], [2, 7]]
    assert [window[6] for window in sounds["1"]["timeline"]] == [3.0] * MOST
    assert "timeline" not in sounds["2"]


def test_before_and_now_have_their_own_sound_where_they_have_their_own_files(tmp_path: Path) -> None:
    for folder, level in (("before", 0.1), ("after", 0.5)):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", level * speech() / np.abs(speech()).max(), RATE)
    before = write_rows(tmp_path / "b.jsonl", [rated("before/a.wav", 2.0)])
    now = write_rows(tmp_path / "n.jsonl", [rated("after/a.wav", 3.0)])
    summary = write(now, tmp_path / "page.html", before=before, audio=tmp_path, embed=1)
    page = page_of(tmp_path / "page.html")
    sounds = page.json("sounds")["0"]
    assert summary.pairs == 1
    assert sounds["now"]["peak_db"] == pytest.approx(-6.0, abs=0.1)
    assert sounds["before"]["peak_db"] == pytest.approx(-20.0, abs=0.1)
    assert {"audio-0", "audio-before-0"} <= page.texts.keys()
    write(now, tmp_path / "page.html", before=now, audio=tmp_path)
    assert "before" not in page_of(tmp_path / "page.html").json("sounds")["0"]


def test_an_empty_file_makes_an_empty_page(tmp_path: Path) -> None:
    page = made(tmp_path)
    assert json.loads(page.texts["facts"])["count"] == 0


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\nworld\n")
    with pytest.raises(InputError, match=r"no rows as sqe score writes them; line 1: Expecting value"):
        write(tmp_path / "x", tmp_path / "page.html")
    with pytest.raises(InputError, match="cannot be read"):
        write(tmp_path / "none", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_rows_are_never_replaced_by_their_page(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [rated("a.wav")])
    (tmp_path / "link").symlink_to(rows)
    other = write_rows(tmp_path / "other.jsonl", [rated("b.wav")])
    for output, now, before in ((rows, rows, None), (tmp_path / "link", rows, None), (rows, other, rows)):
        with pytest.raises(InputError, match="holds rows"):
            write(now, output, before=before)
    assert len(rows.read_text().splitlines()) == 1


def test_where_no_page_can_be_written_the_old_one_stays(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [rated("a.wav")])
    with pytest.raises(UnusableError, match="cannot be written"):
        write(rows, tmp_path / "none" / "page.html")
    write(rows, tmp_path / "page.html")
    old = (tmp_path / "page.html").read_bytes()
    (tmp_path / "page.html.new").mkdir()
    with pytest.raises(UnusableError, match="cannot be written"):
        write(write_rows(tmp_path / "rows.jsonl", [rated("b.wav")]), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == old


def test_a_page_may_go_to_a_device(tmp_path: Path) -> None:
    write(write_rows(tmp_path / "rows.jsonl", [rated("a.wav")]), Path("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
