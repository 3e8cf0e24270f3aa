"""docs/serve.md: its commands and snippets run against a server that is there; its numbers are those of the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from sqe_fast.server import calls, gate, intake
from sqe_fast.server.connections import MAX_MESSAGE, PING
from sqe_fast.server.schemas import CallFormat
from sqe_fast.server.settings import MEGABYTE, Settings
from tests.support.fake_evaluator import fake_evaluator, fake_runner, prose, sound
from tests.support.servers import Running, serving

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serve.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


WORDS = " ".join(["The voice."] * 12)
"""However long the sentences are that an argument forces, a full stop follows soon; and no number is in it."""
CURL = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl ")]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    said = prose(WORDS)
    with fake_evaluator(fake_runner(slots=9, script=said)) as evaluator:
        evaluator.model = "tiny@0123456789ab"  # its name in the snippets
        with serving(evaluator) as running:
            yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where they are run: with the examples, and a call without a header."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    samples, rate = sound(1, 3.0)
    soundfile.write(tmp_path / "call.raw", samples[::2], rate // 2, "ULAW", format="RAW")
    (tmp_path / "call.raw").rename(tmp_path / "call.ul")
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def here(text: str, server: Running) -> str:
    return text.replace("localhost:8000", f"localhost:{server.port}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("line", CURL, ids=range(len(CURL)))
def test_curl(server: Running, folder: Path, line: str) -> None:
    said = run(["bash", "-c", here(line.replace("curl ", "curl -sS --fail-with-body "), server)], folder)
    for each in said.splitlines():
        row = json.loads(each)
        assert {"rows", "mos", "winner"} & set(row)
        assert not row.get("error")


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(server: Running, folder: Path, number: int) -> None:
    said = run([sys.executable, "-c", here(blocks("python")[number], server)], folder)
    assert re.search(r"june_noise.flac \d|'event': 'summary'|^MOS \d", said)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
@pytest.mark.parametrize("number", range(len(blocks("js"))))
def test_javascript(server: Running, folder: Path, number: int) -> None:
    (folder / "snippet.mjs").write_text(here(blocks("js")[number], server))
    old = int(run(["node", "--version"], folder).strip("v").partition(".")[0]) < 22
    said = run(["node", *(["--experimental-websocket"] if old else []), "snippet.mjs"], folder)
    assert re.search(r"june_noise.flac \d|event: 'summary'", said)


def test_its_numbers_are_the_codes() -> None:
    """A default that moved on while the page stayed."""
    own, text = Settings(), " ".join(TEXT.split())
    for said in (
        f"| {own.max_body // MEGABYTE} MB a request (JSON: {intake.MAX_JSON // MEGABYTE} MB) |",
        f"| {own.max_held // MEGABYTE:,} MB of all requests |",
        f"| {own.max_files} a request |",
        f"| {own.max_seconds:,.0f} s of a recording or a call |",
        f"| {own.max_requests} under way |",
        f"| {own.max_sessions} calls |",
        f"| {own.patience:g} s without a byte, either way |",
        f"| {own.timeout:g} s for a request |",
        f"most `--drain` seconds ({own.drain:g})",
        f"a message over {MAX_MESSAGE >> 20} MB",
        f"answered within {PING:g} s",
        f"http://{own.host}:{own.port}/ is a page",
        json.dumps(calls.END),
    ):
        assert said in text, said
    for route in gate.OPEN:
        assert f"`{route}`" in text
    [shown] = (json.loads(block) for block in blocks("json"))
    assert CallFormat.model_validate(shown) == CallFormat()


def test_its_options_are_those_of_the_command() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "sqe_fast", "serve", "--help"], capture_output=True, text=True, timeout=120
    )
    for option in re.findall(r"`(--[a-z-]+)`", TEXT):
        assert option in told.stdout or option == "--raw", option
