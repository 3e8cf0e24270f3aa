"""The page in a browser: what it shows is what the rows say; it asks for nothing, and works by keyboard, wide and
narrow, light and dark."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import soundfile

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.rows import jsonl_line
from sqe_fast.report import write
from sqe_fast.results import DIMENSIONS, RATINGS, Cause, Evaluation, Ratings, Stretch, WindowRating
from tests.support.audio_samples import RATE, speech
from tests.support.browser import Watched, chromium, opened
from tests.support.rows_at_random import evaluations, write_rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MANY = 100_000


def now_rows() -> list[Evaluation]:
    return list(evaluations(1_000, seed=3, gain=0.4, timeline=True))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def thousand(folder: Path) -> Path:
    """Before and now, with timelines and, of the worst one, sound."""
    now = now_rows()
    worst = min((each for each in now if each.mos is not None), key=lambda each: (each.mos, each.file))
    path = folder / worst.file
    path.parent.mkdir(parents=True)
    soundfile.write(path, speech(), RATE)
    rows = write_rows(folder / "now.jsonl", now, timeline=True)
    before = write_rows(folder / "before.csv", evaluations(1_000, seed=2))
    write(rows, folder / "thousand.html", before=before, audio=folder, embed=60)
    return folder / "thousand.html"


@pytest.fixture(scope="module")
def many(folder: Path) -> Path:
    write(write_rows(folder / "many.jsonl", evaluations(MANY)), folder / "many.html")
    return folder / "many.html"


def count_of(watched: Watched) -> int:
    """Rows that the filters leave, as the page says."""
    return int(watched.page.inner_text("#count").removeprefix("All ").split()[0].replace(",", ""))


def settled(watched: Watched) -> int:
    watched.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return count_of(watched)


def quiet(watched: Watched, path: Path) -> None:
    assert watched.said == []
    assert watched.others(path) == []


def overflow(watched: Watched) -> int:
    """Pixels by which something is wider than the window."""
    return int(watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1600, 380])
def test_a_thousand_rows_before_and_now(
    browser: Browser, thousand: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, thousand, width=width, scheme=scheme) as watched:
        quiet(watched, thousand)
        assert overflow(watched) <= 0
        assert count_of(watched) == 1_000
        assert watched.page.locator("#ratings svg").count() == 5
        assert watched.page.locator("#comparison svg").count() == 3
        assert watched.page.locator("article").count() == 20


@pytest.mark.parametrize("width", [1600, 380])
def test_a_hundred_thousand_rows(browser: Browser, many: Path, width: int) -> None:
    expected = [each for each in evaluations(MANY) if any(cause.name == "hum" for cause in each.causes)]
    with opened(browser, many, width=width) as watched:
        assert count_of(watched) == MANY
        watched.page.select_option("#cause", label="hum")
        assert settled(watched) == len(expected)
        watched.page.fill("#text", "DAY-07/")
        assert settled(watched) == sum("day-07/" in each.file for each in expected)
        watched.page.wait_for_function("document.querySelector('article').innerText.includes('day-07/')")
        worst = min((each for each in expected if "day-07/" in each.file), key=lambda each: (each.mos or 9, each.file))
        card = watched.page.locator("article").first.inner_text()
        assert worst.file in card
        assert str(worst.description) in card
        watched.page.click("#reset")
        assert settled(watched) == MANY
        quiet(watched, many)
        assert overflow(watched) <= 0


def test_what_is_counted_is_what_the_rows_say(browser: Browser, thousand: Path) -> None:
    rows = now_rows()
    before = {each.file: each for each in evaluations(1_000, seed=2)}

    def change(row: Evaluation) -> float:
        return round(round(row.mos or 0, 3) - round(before[row.file].mos or 0, 3), 3)

    choices = {
        ("cause", "packet loss"): lambda row: any(cause.name == "packet loss" for cause in row.causes),
        ("cause", "none named"): lambda row: not row.causes,
        ("flag", "clipped"): lambda row: "clipped=0.034" in row.flags,
        ("flag", "any"): lambda row: bool(row.flags),
        ("error", "too short"): lambda row: row.error is not None and row.error.code is ErrorCode.TOO_SHORT,
        ("error", "any"): lambda row: row.error is not None,
        ("change", "MOS rose"): lambda row: row.mos is not None and change(row) > 0.1,
        ("change", "MOS fell"): lambda row: row.mos is not None and change(row) < -0.1,
        ("change", "MOS is the same"): lambda row: row.mos is not None and abs(change(row)) <= 0.1,
        ("change", "without a counterpart"): lambda row: False,
    }  # fmt: skip
    with opened(browser, thousand) as watched:
        for (select, label), passes in choices.items():
            watched.page.select_option(f"#{select}", label=label)
            assert settled(watched) == sum(map(passes, rows)), (select, label)
            watched.page.click("#reset:not(:disabled)")
            settled(watched)
        low = watched.page.get_by_label("Noisiness: lowest that is shown")
        high = watched.page.get_by_label("Noisiness: highest that is shown")
        for field, value in ((low, "2.0"), (high, "3.1")):
            field.fill(value)
            field.press("Enter")
        expected = [row for row in rows if row.noisiness and 20 <= int(row.noisiness * 10 + 0.5) <= 31]
        assert abs(settled(watched) - len(expected)) <= 1  # one may lie on the edge of a tenth
        assert watched.page.locator(".brush .selection[width]").count() == 1


def test_differences_are_told_with_their_intervals(browser: Browser, thousand: Path) -> None:
    now, before = now_rows(), list(evaluations(1_000, seed=2))
    changes = [a.mos - b.mos for a, b in zip(now, before, strict=True) if a.mos is not None and b.mos is not None]
    mean, error = np.mean(changes), np.std(changes) / len(changes) ** 0.5
    with opened(browser, thousand) as watched:
        cells = watched.page.locator("#comparison tbody tr").first.locator("td").all_inner_texts()
        verdict = watched.page.inner_text(".verdict")
    low, high = (float(text.replace("−", "-")) for text in cells[1].split(" to "))
    assert float(cells[0].replace("−", "-")) == pytest.approx(mean, abs=0.006)
    assert low == pytest.approx(mean - 1.96 * error, abs=0.006)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.006)
    assert verdict.startswith(f"The MOS rose by {mean:.2f} on average")


def test_a_bar_is_a_filter_and_a_chart_is_one(browser: Browser, thousand: Path) -> None:
    with opened(browser, thousand) as watched:
        button = watched.page.get_by_role("button", name="packet loss")
        button.click()
        found = settled(watched)
        assert button.get_attribute("aria-pressed") == "true"
        assert 0 < found < 1_000
        assert watched.page.locator("#cause").evaluate("(node) => node.selectedOptions[0].text") == "packet loss"
        watched.page.locator("#ratings svg").first.scroll_into_view_if_needed()
        box = watched.page.locator("#ratings svg").first.bounding_box()
        assert box is not None
        watched.page.mouse.move(box["x"] + 40, box["y"] + 60)
        watched.page.mouse.down()
        watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=4)
        watched.page.mouse.up()
        left = settled(watched)
        low, high = (
            float(watched.page.get_by_label(f"MOS: {end} that is shown").input_value()) for end in ("lowest", "highest")
        )
        assert 1.0 < low < 1.5 < 2.5 < high < 3.5
        lossy = [row for row in now_rows() if any(cause.name == "packet loss" for cause in row.causes)]
        assert len(lossy) == found
        assert left == sum(low - 0.05 <= (row.mos or 0) < high + 0.05 for row in lossy)
        quiet(watched, thousand)


def test_it_works_by_keyboard(browser: Browser, thousand: Path) -> None:
    """What is pressed keeps the focus, and the list grows where one is."""
    with opened(browser, thousand) as watched:
        page = watched.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "clips"
        page.focus("#text")
        page.keyboard.type("agent-no")
        assert settled(watched) == 0
        assert "No row passes" in page.inner_text("#cards")
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.press("Delete")
        assert settled(watched) == 1_000
        page.get_by_role("button", name="hum").focus()
        page.keyboard.press("Space")
        settled(watched)
        assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
        page.keyboard.press("Space")
        settled(watched)
        page.locator("#more").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelectorAll('article').length === 40")
        assert page.evaluate("[...document.querySelectorAll('article h3')].indexOf(document.activeElement)") == 20


def test_everything_has_a_name_for_a_screen_reader(browser: Browser, thousand: Path) -> None:
    nameless = """() => [...document.querySelectorAll('input, select, button, audio, a, svg[role=img], section, form')]
        .filter((node) => !node.closest('[hidden]'))
        .filter((node) => !(node.getAttribute('aria-label') || node.labels?.length || node.textContent.trim()
            || document.getElementById(node.getAttribute('aria-labelledby'))))
        .map((node) => node.outerHTML.slice(0, 120))"""
    with opened(browser, thousand) as watched:
        assert watched.page.evaluate(nameless) == []
        assert watched.page.locator("svg:not([role=img])").count() == 0
        levels = watched.page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => +h.tagName[1])")
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_list_is_saved_as_it_is_shown(browser: Browser, thousand: Path) -> None:
    with opened(browser, thousand) as watched:
        watched.page.select_option("#error", label="any")
        expected = settled(watched)
        watched.page.select_option("#order", label="as in the file")
        with watched.page.expect_download() as download:
            watched.page.click("#save")
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"))))
    failed = [each for each in evaluations(1_000) if each.error is not None]
    assert len(rows) == expected == len(failed)
    assert [row["file"] for row in rows] == [each.file for each in failed]
    assert {row["error"] for row in rows} == {"too_short", "unreadable"}


def test_it_prints(browser: Browser, thousand: Path) -> None:
    with opened(browser, thousand, scheme="dark") as watched:
        watched.page.emulate_media(media="print", color_scheme="dark")
        assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not watched.page.locator("#save").is_visible()
        assert not watched.page.locator("audio").first.is_visible()
        assert watched.page.pdf().startswith(b"%PDF")


def rated(file: str, **fields: Any) -> Evaluation:
    return Evaluation(file, Ratings(4.0, 3.0, 2.0, 1.5, 1.9, 0.2), duration=5.0, **fields)


HOSTILE = (
    "<script>alert(1)</script>.flac",
    "<img src=x onerror=alert(1)>.flac",
    '" onfocus="alert(1)" autofocus x=\'.flac',
    "${alert(1)} `x` {{y}} &amp; &lt;.flac",
    "javascript:alert(1)",
    "a?b#c%20d%.flac",
    "line\nbreak\r\ttab.flac",
    "\u202egpj.flac",
    "\u2066x\u2069\u200b.flac",
    "not\udcffutf8\udc80.flac",
    "日本語 ünïcode 😀.flac",
    " spaces .flac",
)


@pytest.mark.parametrize("embed", [0, 100])
def test_whatever_a_file_is_called_it_is_shown_and_played(browser: Browser, tmp_path: Path, embed: int) -> None:
    """As text, with nothing hidden in it; and the address is that of the file, be it called as it may."""
    for name in HOSTILE:
        with open(os.fsencode(tmp_path / name.replace("</", "<⁄")), "wb") as file:
            soundfile.write(file, speech()[: 2 * RATE], RATE, format="FLAC")
    names = [name.replace("</", "<⁄") for name in HOSTILE]  # no file's name has a slash
    found = [
        rated(name, causes=(Cause(name, name, 0.9),), description=name, flags=(name,), model=name) for name in names
    ]
    found.append(Evaluation(HOSTILE[0], error=ClipError(ErrorCode.UNREADABLE, HOSTILE[1])))
    write(write_rows(tmp_path / "rows.jsonl", found), tmp_path / "page.html", audio=tmp_path, embed=embed)
    with opened(browser, tmp_path / "page.html") as watched:
        page = watched.page
        page.select_option("#order", label="as in the file")
        settled(watched)
        page.wait_for_function(f"document.querySelectorAll('article').length === {len(found)}")
        assert page.locator("script:not([type])").count() == 3
        assert page.locator("img, iframe, object, [onerror], [onfocus], [autofocus]").count() == 0
        shown = page.locator("article h3 bdi").all_inner_texts()
        assert shown[0] == names[0]
        assert shown[6] == "line\\u000Abreak\\u000D\\u0009tab.flac"
        assert shown[7] == "\\u202Egpj.flac"
        assert shown[9] == "not\\xFFutf8\\x80.flac"
        assert shown[-1] == HOSTILE[0]
        lengths = page.evaluate("""() => {
            const length = (player) => new Promise((done) => {
                player.addEventListener('loadedmetadata', () => done(player.duration));
                player.addEventListener('error', () => done(null));
                player.preload = 'metadata';
                player.load();
            });
            return Promise.all(Array.from(document.querySelectorAll('audio'), length));
        }""")
        assert lengths == pytest.approx([2.0] * len(names), abs=0.01)
        assert watched.said == []
        assert all(address.startswith("file:") for address in watched.asked if not address.startswith("data:"))


def test_what_is_wrong_with_sound_is_said(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    found = [rated("gone.wav"), rated("bad.wav"), *(rated(f"{n}.wav") for n in range(3))]
    write(write_rows(tmp_path / "rows.jsonl", found), tmp_path / "page.html", audio=tmp_path, most=2)
    with opened(browser, tmp_path / "page.html") as watched:
        cards = watched.page.locator("article")
        assert "was not found" in cards.nth(0).inner_text()
        assert "could not be read" in cards.nth(1).inner_text()
        assert "worst recordings only" in cards.nth(2).inner_text()
        assert watched.page.locator("audio").count() == 3
        watched.page.locator("audio").first.evaluate("(player) => { player.play().catch(() => {}); }")
        watched.page.get_by_text("The file is not there any more").first.wait_for()


def test_a_player_a_waveform_and_a_timeline_share_their_time(browser: Browser, tmp_path: Path) -> None:
    samples = np.resize(speech(), 60 * RATE)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    mos = [4.0] * 40 + [1.5] * 5 + [4.0] * 11
    windows = tuple(
        WindowRating(float(n), n + 5.0, Ratings(4, 4, 4, 4, m, 0.1), (Cause("hum", "noisiness", 0.9),) * (m < 2))
        for n, m in enumerate(mos)
    )
    row = Evaluation(
        "a.wav", windows[0].ratings, duration=60.0, timeline=windows, no_speech=(Stretch(10.0, 20.0, "pause"),)
    )
    rows = write_rows(tmp_path / "rows.jsonl", [row], timeline=True)
    write(rows, tmp_path / "page.html", audio=tmp_path, embed=1)
    with opened(browser, tmp_path / "page.html") as watched:
        page = watched.page
        assert "MOS lowest, 1.5, at 0:40–0:45 (hum)." in page.inner_text("article")
        assert "This page carries 0:27–0:57 of it" in page.inner_text("article")
        wave = page.locator(".wave svg")
        assert "60" in str(wave.get_attribute("aria-label")) or "1:00" in str(wave.get_attribute("aria-label"))
        box = wave.bounding_box()
        assert box is not None
        left, width = box["x"] + 26, box["width"] - 34
        page.mouse.click(left + width * 40 / 60, box["y"] + 30)
        page.wait_for_function("document.querySelector('audio').currentTime > 0")
        at = page.evaluate("document.querySelector('audio').currentTime")
        assert at == pytest.approx(40 - 27.5, abs=1.5)
        line = float(str(page.locator(".wave line").last.get_attribute("x1")))
        assert line == pytest.approx(26 + width * (27.5 + at) / 60, abs=width / 60 * 1.5)
        assert watched.said == []


def test_of_an_excerpt_that_part_is_played(browser: Browser, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.resize(speech(), 20 * RATE), RATE)
    row = Evaluation("a.wav", rated("").ratings, duration=4.0).to_row()
    (tmp_path / "rows.jsonl").write_bytes(jsonl_line(row | {"excerpt": "8.0+4.0"}))
    write(tmp_path / "rows.jsonl", tmp_path / "page.html", audio=tmp_path)
    with opened(browser, tmp_path / "page.html") as watched:
        page = watched.page
        assert str(page.locator("audio").get_attribute("src")).endswith("/a.wav#t=8,12")
        box = page.locator(".wave svg").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 26 + (box["width"] - 34) / 4, box["y"] + 30)
        page.wait_for_function("document.querySelector('audio').currentTime > 8.5")
        assert page.evaluate("document.querySelector('audio').currentTime") < 12.5
        assert watched.said == []


def test_rows_without_ratings_words_or_anything_else_are_shown(browser: Browser, tmp_path: Path) -> None:
    found = [
        Evaluation("silent.wav", flags=("silent",), duration=3.0),
        rated("only.wav"),
        Evaluation("both.wav", rated("").ratings, error=ClipError(ErrorCode.GENERATION_FAILED, "no words came")),
    ]
    rows = write_rows(tmp_path / "rows.jsonl", found)
    rows.write_bytes(rows.read_bytes() + b"nonsense\n" + b'{"file": "torn')
    for options in ({}, {"before": rows}):
        write(rows, tmp_path / "page.html", **options)
        with opened(browser, tmp_path / "page.html") as watched:
            assert "Not rated: there is nothing to hear." in watched.page.inner_text("#cards")
            assert "no words came" in watched.page.inner_text("#cards")
            assert "2 lines of the file are no rows and are left out: line 4" in watched.page.inner_text("#notes")
            assert watched.said == []


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_rows(browser: Browser, tmp_path: Path, count: int) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [rated("a.wav")] * count)
    other = write_rows(tmp_path / "other.jsonl", [rated("/b.mp3")])
    for before in (None, rows, other):
        write(rows, tmp_path / "page.html", before=before)
        with opened(browser, tmp_path / "page.html", width=380) as watched:
            assert count_of(watched) == count
            assert watched.said == []
            assert overflow(watched) <= 0


def test_scores_are_named_as_everywhere() -> None:
    """The script names columns by itself: they must be those that are packed."""
    script = (Path(__file__).parents[2] / "sqe_fast" / "report" / "page" / "page.js").read_text("utf-8")
    columns = ", ".join(f'"{name}"' for name in (*RATINGS, "spread"))
    assert f"const COLUMNS = [{columns}];" in script
    assert set(DIMENSIONS) < set(RATINGS)
