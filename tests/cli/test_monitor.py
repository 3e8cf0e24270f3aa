"""`sqe monitor`: what is played, what it says to machines, and what a person sees."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner, Result

from sqe_fast.audio.raw import SAMPLE_ENCODINGS, RawFormat, arriving
from sqe_fast.cli import main, options
from sqe_fast.cli.board import BARS, Board, sparkline, state
from sqe_fast.cli.monitor import Call, recording
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.live.events import CallSummary, ChannelSummary, QualityAlert, QualityRecovered, QualityUpdate
from sqe_fast.results import Ratings
from tests.support.fake_evaluator import MODEL, fake_evaluator
from tests.support.live_calls import RATE, noise
from tests.support.speech import talk
from tests.support.terminals import on_a_terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def evaluator(monkeypatch: pytest.MonkeyPatch) -> Any:
    with fake_evaluator() as opened:
        monkeypatch.setattr(options, "open_evaluator", lambda *_: opened)
        yield opened


def sqe(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main.app, ["monitor", *arguments], input=stdin)


def rows(result: Result, call: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [row for row in found if row["call"] == call]


def recorded(path: Path, seconds: float, seed: int = 0) -> str:
    soundfile.write(path, noise(seconds, seed=seed), RATE, "FLOAT")
    return str(path)


# --- what is played --------------------------------------------------------------------------------------------------


def test_every_file_is_a_call(tmp_path: Path) -> None:
    """Windows that are neither rated nor counted, at a speed that drops some."""
    files = {recorded(tmp_path / f"{seed}.wav", 3.0 + seed, seed): 3.0 + seed for seed in range(3)}
    result = sqe(*files, "--speed", "50", "--window", "1", "--hop", "0.5", "--no-describe")
    assert result.exit_code == 0
    for file, seconds in files.items():
        *told, last = rows(result, file)
        assert (last["event"], last["duration"]) == ("summary", seconds)
        [channel] = last["channels"]
        windows = 2 * seconds - 1
        assert channel["rated"] + channel["without_speech"] + channel["dropped"] == windows
        updates = [row for row in told if row["event"] == "update"]
        assert len(updates) + channel["dropped"] == windows
        assert all(row["end"] - row["start"] == 1.0 for row in updates)


def test_what_cannot_be_played_costs_its_own_call(tmp_path: Path) -> None:
    good, bad = recorded(tmp_path / "good.wav", 2.0), tmp_path / "bad.wav"
    bad.write_text("no sound")
    result = sqe(good, str(bad), str(tmp_path / "absent.wav"), "--speed", "20")
    assert result.exit_code == 1
    assert "2 of 3 calls failed" in result.stderr
    assert rows(result, good)[-1]["event"] == "summary"
    for file, code in ((str(bad), "unsupported_format"), (str(tmp_path / "absent.wav"), "not_found")):
        [row] = rows(result, file)
        assert (row["event"], row["error"]["code"]) == ("error", code)


def test_real_time_and_faster(tmp_path: Path) -> None:
    file = recorded(tmp_path / "a.wav", 2.0)
    for speed, least in (("2", 1.0), ("8", 0.25)):
        started = time.monotonic()
        sqe(file, "--speed", speed)
        assert time.monotonic() - started >= least


@pytest.mark.parametrize("encoding", SAMPLE_ENCODINGS)
def test_pcm_is_decoded_as_it_arrives(encoding: str) -> None:
    """Samples that are lost, or shifted by a byte, where a piece ends in the middle of a frame."""
    for channels in (1, 2):
        raw = RawFormat(8_000, encoding, channels)
        data = np.random.default_rng(0).integers(0, 60, 24_000 * channels, np.uint8).tobytes()
        blocks = list(arriving(io.BytesIO(data), raw))
        assert all(len(block) == 800 for block in blocks[:-1])
        whole = np.concatenate(blocks)
        assert whole.shape[1] == channels
        assert len(data) % len(whole) == 0
        torn = np.concatenate(list(arriving(io.BytesIO(data[:-1]), raw)))
        np.testing.assert_array_equal(torn, whole[:-1])
        if encoding == "s16le":
            expected = np.frombuffer(data, "<i2").reshape(-1, channels) / 32_768
            np.testing.assert_array_equal(whole, expected.astype(np.float32))


@pytest.mark.parametrize("channels", ["mix", "auto", "each", "1"])
def test_standard_input_is_heard_channel_by_channel_or_mixed(evaluator: Any, channels: str) -> None:
    """A talker who is lost in the mean of both."""
    both = np.stack([(noise(3.0, seed=seed) * 32_767).astype("<i2") for seed in (1, 2)], 1)
    options = ("--raw", f"rate={RATE},channels=2", "--channels", channels, "--speed", "10", "--window", "1")
    result = sqe("-", *options, stdin=both.tobytes())
    assert result.exit_code == 0
    heard = {"mix": {None: both}, "1": {1: both[:, 1]}}.get(channels, dict(enumerate(both.T)))
    found = rows(result, "standard input")
    assert {row["channel"] for row in found} == set(heard)
    for channel, samples in heard.items():
        _is_rated_as(evaluator, samples, [row for row in found if row["channel"] == channel])


def _is_rated_as(evaluator: Any, samples: Any, found: list[dict[str, Any]]) -> None:
    with evaluator.stream(window=1.0, deadline=1e6) as stream:
        stream.push(samples)
    expected = [event.to_row() for event in stream.events() if isinstance(event, QualityUpdate)]
    updates = [row for row in found if row["event"] == "update"]
    assert updates
    assert [row["ratings"] for row in updates] == [row["ratings"] for row in expected if row["end"] in
                                                   {each["end"] for each in updates}]  # fmt: skip
    assert found[-1]["duration"] == 3.0
    assert [each["channel"] for each in found[-1]["channels"]] == [found[-1]["channel"]]


def test_both_talkers_of_a_call_are_played(tmp_path: Path) -> None:
    """A quiet customer who is lost behind the agent; a copy that is played twice."""
    agent, customer = talk(4.0), 0.2 * talk(8.0)[4 * RATE :]
    silent = np.zeros_like(agent)
    files = {"apart": [agent, customer], "alike": [agent, agent], "three": [agent, silent, customer]}
    for name, lanes in files.items():
        soundfile.write(tmp_path / f"{name}.wav", np.stack(lanes, 1), RATE, "FLOAT")
    paths = {name: str(tmp_path / f"{name}.wav") for name in files}
    result = sqe(*paths.values(), "--speed", "10", "--window", "2")
    assert result.exit_code == 0
    expected = {"apart": {0, 1}, "alike": {None}, "three": {0, 2}}
    for name, path in paths.items():
        summaries = [row for row in rows(result, path) if row["event"] == "summary"]
        assert len(summaries) == len(expected[name])
        assert {row["channel"] for row in summaries} == expected[name]
        assert all(row["duration"] == 4.0 for row in summaries)
    result = sqe(paths["apart"], "--channels", "3", "--speed", "10")
    assert result.exit_code == 1
    [row] = rows(result, paths["apart"])
    assert row["error"]["code"] == "no_such_channel"


def test_channels_have_lines_of_their_own() -> None:
    talkers = [Call("call.wav", channel, 9.0, 8.0) for channel in (0, 1)]
    lines = drawn(80, *talkers)
    assert [line.split("  ")[0] for line in lines[1::2]] == ["call.wav channel 0", "call.wav channel 1"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-"],
        ["-", "a.wav", "--raw", "rate=8000"],
        ["-", "--raw", "rate=8000,encoding=gsm"],
        ["-", "--raw", "rate=96000"],
        ["-", "--raw", "rate=4000"],
        ["a.wav", "--raw", "encoding=mulaw"],
        ["a.wav", "--speed", "0"],
        ["a.wav", "--channels", "left"],
        ["a.wav", "--window", "5", "--hop", "2"],
    ],
)
def test_usage(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "open_evaluator", lambda *_: pytest.fail("a model was loaded"))
    result = sqe(*arguments, stdin=b"")
    assert (result.exit_code, result.stdout) == (2, "")


# --- what a person sees ----------------------------------------------------------------------------------------------


def rated(value: float) -> Ratings:
    return Ratings(value, value, value, value, value, 0.2)


def update(end: float, value: float | None, dropped: int = 0) -> QualityUpdate:
    score = None if value is None else rated(value)
    return QualityUpdate(end - 5, end, score, (), score, () if score else ("silent",), 0.24, dropped)


POOR = "Since 5.0 s discontinuity is poor (1.6)."
ALERT = QualityAlert("quality", "discontinuity", 1.6, "poor", None, 5.0, 7.0, POOR)
SUMMARY = CallSummary(9.0, (ChannelSummary(None, 5, 1, 3, 0, {}, {}, (), 1, "The call was fair."),), MODEL)


def call(*events: Any, name: str = "a/call/of/many/folders/and/a/name.wav") -> Call:
    made = Call(name, None, 9.0, 8.0)
    for event in events:
        made.take(event)
    return made


def drawn(width: int, *calls: Call) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(Board(calls))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_file_is_played_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """A call on hold, played without the wait: what is not rated is passed over in no clock."""
    speech = talk(4.0)
    whole = np.concatenate([speech, np.zeros(10 * RATE, np.float32), speech])
    soundfile.write(tmp_path / "call.wav", whole, RATE, subtype="FLOAT")
    played = recording(tmp_path / "call.wav", "auto")
    np.testing.assert_array_equal(np.concatenate(list(played.pieces))[:, 0], whole)
    assert played.seconds == 18.0


def test_a_sparkline_shows_ratings_and_pauses() -> None:
    scores = [rated(1.0), None, rated(2.0), rated(3.0), rated(4.0), rated(5.0)]
    assert sparkline(scores, "mos") == f"{BARS[0]}·{BARS[2]}{BARS[4]}{BARS[6]}{BARS[7]}"


def test_what_a_call_has_told() -> None:
    talking = call(update(5, 4.5), update(6, 3.0, dropped=2), update(7, None), ALERT)
    assert state(talking) == "8.0 s of 9.0 s, age 0.2 s, dropped 2"
    assert list(talking.alerts.values()) == [ALERT]
    talking.take(QualityRecovered("quality", "discontinuity", 5.0, 8.0, "Over."))
    assert talking.alerts == {}
    assert not talking.over
    talking.take(SUMMARY)
    assert (talking.over, state(talking)) == (True, "8.0 s, over, dropped 3")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_board_fits_and_needs_no_colour(width: int) -> None:
    lines = drawn(width, call(update(5, 4.5), update(6, 2.0), update(7, None), ALERT), call(name="b.wav"))
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    assert f"! {POOR}" in text
    assert "age 0.2 s, dropped 0" in text
    assert lines[1].split()[0].endswith("name.wav")
    ratings = lines[3 if width == 40 else 2]
    heads = lines[0].split()
    assert [match.start() for match in re.finditer(r"2\.0", ratings)] == [lines[0].index(head) for head in heads]
    assert len(heads) == 5
    if width >= 80:
        assert heads == ["mos", "noisiness", "coloration", "discontinuity", "loudness"]
        assert f"2.0 {BARS[7]}{BARS[2]}·" in ratings
    assert lines[-3 if width == 40 else -2].startswith("b.wav")
    assert lines[-1].split() == ["–"] * 5


def test_summaries_stand_there_once_all_calls_are_over() -> None:
    over, talking = call(update(5, 3.0), SUMMARY), call(update(5, 3.0))
    assert not any("The call was fair." in line for line in drawn(80, over, talking))
    talking.error = ClipError(ErrorCode.NOT_FOUND, "no such file")
    lines = drawn(80, over, talking)
    assert "  The call was fair." in lines
    assert "  ! not_found: no such file" in lines


RUN = """
import sys
from sqe_fast.cli import main, options
from tests.support.fake_evaluator import fake_evaluator
options.open_evaluator = lambda *options: fake_evaluator()
main.main()
"""


def test_on_a_terminal_the_whole_board_is_left(tmp_path: Path) -> None:
    """A screen that keeps a half-drawn board, or a terminal without its cursor."""
    file = recorded(tmp_path / "a.wav", 2.0)
    text, status = on_a_terminal(
        [sys.executable, "-c", RUN, "monitor", file, str(tmp_path / "b.wav"), "--speed", "10"], 80, ROOT
    )
    assert status == 1
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    left = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text[text.rindex("discontinuity") :])
    assert "2.0 s, over, dropped" in left
    assert "not_found" in left
    assert "The call" in left


def test_an_interruption_ends_it_at_once(tmp_path: Path) -> None:
    """A process that plays an hour to its end, or hangs on standard input."""
    file = recorded(tmp_path / "a.wav", 60.0)
    for arguments in ([file], ["-", "--raw", "rate=16000"]):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "monitor", *arguments, "--window", "1"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        if arguments[0] == "-":
            process.stdin.write(np.zeros(2 * RATE, np.int16).tobytes())
            process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        process.communicate()


def test_a_locale_without_bars(tmp_path: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = (
        "import sys; from sqe_fast.cli import main; main._speak_plainly(); "
        "from sqe_fast.cli.board import BARS, PAUSE; print(BARS + PAUSE)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **plain}, cwd=ROOT, check=True
    )
    assert done.stdout == "11233445.\n"
