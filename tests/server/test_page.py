"""The page in a browser: files and a microphone that a file feeds. Skipped where there is no Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

pytest.importorskip("playwright.sync_api", reason="drives the browser: pip install playwright")

from playwright.sync_api import Browser, BrowserContext, Page, expect

from sqe_fast.server.app import _page
from tests.server.test_app import clip
from tests.server.test_gate import TOKEN
from tests.support.browser import chromium
from tests.support.fake_evaluator import LISTING, RATE, fake_evaluator, fake_runner, sound, wait_until
from tests.support.servers import Running, serving

SECONDS = 60_000
SIZES = {"wide": {"width": 1180, "height": 900}, "narrow": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with fake_evaluator(fake_runner(slots=9), LISTING) as evaluator, serving(evaluator) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    spoken = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    soundfile.write(spoken, sound(3, 8.0)[0] * 3, RATE, "PCM_16")
    switches = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
    with chromium(*switches, f"--use-file-for-fake-audio-capture={spoken}") as opened:
        yield opened


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=SIZES["wide"]) as opened:  # type: ignore[arg-type]
        opened.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        yield opened


@pytest.fixture
def page(context: BrowserContext, server: Running) -> Iterator[Page]:
    """Ready; and nothing may go wrong on it, and nothing may be asked of anybody else."""
    opened, faults = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on(
        "request", lambda sent: None if sent.url.startswith((server.url, "blob:", "data:")) else faults.append(sent.url)
    )
    opened.goto(server.url)
    expect(opened.locator("#model")).to_have_text("fake@0123456789ab")
    yield opened
    assert not faults, faults


def test_it_needs_no_other_file() -> None:
    text, policy = _page()
    assert not re.search(r"(src|href)=\"?(https?:)?//|@import|url\(", text)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_files_are_rated(page: Page, server: Running) -> None:
    page.set_input_files(
        "#files", [{"name": f"{n}<b>.wav", "mimeType": "audio/wav", "buffer": clip(n)} for n in (1, 2)]
    )
    expect(page.locator("#count")).to_have_text("2 recordings")
    cards = page.locator("article")
    expect(cards).to_have_count(2)
    wanted = {
        f"{n}<b>.wav": row for n, row in zip((1, 2), server.service.evaluator.evaluate([clip(1), clip(2)]), strict=True)
    }
    for card in cards.all():
        row = wanted[card.locator("h2").inner_text()]
        assert row.mos is not None
        told = [row.mos, row.noisiness, row.coloration, row.discontinuity, row.loudness]
        shown = [card.locator(".mos span").inner_text(), *card.locator(".number").all_inner_texts()]
        assert [float(each) for each in shown] == pytest.approx(told, abs=0.051)
        assert row.description in card.inner_text()
        chips = [re.fullmatch(r"(.+) (\d+) %", text) for text in card.locator(".chips li").all_inner_texts()]
        assert [chip and chip[1] for chip in chips] == [cause.name for cause in row.causes] != []
        told = [cause.probability * 100 for cause in row.causes]
        assert [float(chip[2]) for chip in chips if chip] == pytest.approx(told, abs=0.55)  # rows round to 0.1 %
        expect(card.locator("canvas")).to_have_count(2)
        expect(card.locator("audio")).to_have_count(1)
    first = cards.first
    first.locator("summary").click()
    expect(first.locator("tbody tr")).to_have_count(2)


def test_two_are_set_side_by_side(page: Page, server: Running) -> None:
    page.set_input_files(
        "#files", [{"name": f"{n}.wav", "mimeType": "audio/wav", "buffer": clip(n)} for n in (1, 2, 3)]
    )
    expect(page.locator("#count")).to_have_text("3 recordings")
    ticks = page.get_by_role("checkbox")
    expect(page.locator("#compare")).to_be_disabled()
    page.get_by_label("Compare 1.wav").check()
    page.get_by_label("Compare 2.wav").check()
    expect(page.get_by_label("Compare 3.wav")).to_be_disabled()
    page.locator("#compare").click()
    found = server.service.evaluator.compare(clip(1), clip(2))
    expect(page.locator("#versus-words")).to_have_text(found.description or "")
    expect(page.locator("#versus-pair .mos")).to_have_count(2)
    assert "1.wav" in page.get_by_label("Speech A").inner_text()
    assert ticks.count() == 3


def test_what_is_no_sound_says_so(page: Page) -> None:
    page.set_input_files("#files", [{"name": "x.wav", "mimeType": "audio/wav", "buffer": b"no sound"}])
    expect(page.locator("article .alert")).to_contain_text("not a sound file")


def test_a_clip_is_recorded_and_rated(page: Page) -> None:
    page.get_by_role("button", name="Record a clip").click()
    expect(page.locator("#hint")).to_contain_text(re.compile(r"Recording: [2-9]\.\d s"))
    page.get_by_role("button", name="Stop and rate").click()
    expect(page.locator("article .mos")).to_have_count(1)
    expect(page.locator("article h2")).to_have_text("Recording 1.wav")
    expect(page.get_by_role("button", name="Record a clip")).to_be_enabled()


def test_the_microphone_is_a_live_call(page: Page, server: Running) -> None:
    page.get_by_role("button", name="Listen live").click()
    expect(page.locator("#call-ratings .mos")).to_have_count(1)
    wait_until(lambda: server.service.evaluator.activity().calls == 1)
    page.get_by_role("button", name="Stop listening").click()
    expect(page.locator("#call-state")).to_have_text("The call is over")
    expect(page.locator("#call-log .good").first).to_contain_text(re.compile("The call (was|held)"))
    expect(page.get_by_role("button", name="Listen live")).to_be_enabled()
    expect(page.locator("#trouble")).to_be_hidden()
    wait_until(lambda: server.metric("sqe_sessions_total", code="1000") >= 1)


def test_it_asks_for_the_token(context: BrowserContext) -> None:
    with fake_evaluator() as evaluator, serving(evaluator, token=TOKEN) as server:
        page = context.new_page()
        page.goto(server.url)
        expect(page.get_by_role("alert")).to_contain_text("token")
        page.get_by_label("Token of this server").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_text("fake@0123456789ab")
        expect(page.locator("#key")).to_be_hidden()
        page.set_input_files("#files", [{"name": "1.wav", "mimeType": "audio/wav", "buffer": clip(1)}])
        expect(page.locator("article .mos")).to_have_count(1)
        page.get_by_role("button", name="Listen live").click()
        expect(page.locator("#call-ratings .mos")).to_have_count(1)
        page.close()


def test_the_keyboard_reaches_all_of_it(page: Page) -> None:
    page.set_input_files("#files", [{"name": f"{n}.wav", "mimeType": "audio/wav", "buffer": clip(n)} for n in (1, 2)])
    expect(page.locator("#count")).to_have_text("2 recordings")
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    for wanted in ("files", "record", "live", "INPUT", "AUDIO", "SUMMARY"):
        assert wanted in reached, wanted


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(browser: Browser, server: Running, size: str, theme: str, tmp_path: Path) -> None:
    """Nothing is wider than the screen, every button is named and large enough for a finger, and text stands out from
    its ground by 4.5 : 1 (WCAG 2, 1.4.3)."""
    with browser.new_context(viewport=SIZES[size], color_scheme=theme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(server.url)
        page.set_input_files("#files", [{"name": "a" * 150 + ".wav", "mimeType": "audio/wav", "buffer": clip(1)}])
        expect(page.locator("article .chips")).to_have_count(1, timeout=SECONDS)
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
        for button in page.locator("button:visible, label.button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 28
            assert button.inner_text().strip()
        assert page.evaluate(FAINT) == []


FAINT = """() => {
  const light = (text) => {
    const linear = (v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const found = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$|transparent/.test(found)) return found;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const node of document.body.querySelectorAll("*")) {
    const words = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!words || !node.checkVisibility() || node.matches("script, style, :disabled")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) faint.push(node.textContent.slice(0, 40) + " " + contrast.toFixed(2));
  }
  return faint;
}"""
