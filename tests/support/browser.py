"""A headless Chromium of the system, and pages that are watched: what they say on the console and what they ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(*switches: str) -> Iterator[Browser]:
    """Skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="drives the browser: pip install playwright")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", *switches])  # may run as root
        yield browser
        browser.close()


class Watched:
    """A page of a file, and what it did besides showing itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))

    def others(self, path: Path) -> list[str]:
        """What was asked for beside the page itself."""
        return [address for address in self.asked if not address.startswith("data:") and address != path.as_uri()]


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = 1600, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
    try:
        watched = Watched(context.new_page())
        watched.page.set_default_timeout(120_000)
        watched.page.goto(path.as_uri())
        watched.page.wait_for_selector("html[data-ready]")
        watched.page.wait_for_function("document.querySelector('#cards').childElementCount > 0")
        yield watched
    finally:
        context.close()
