"""`sqe monitor`: recordings, or standard input, as live calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sqe_fast.cli.options import (
    ChannelChoice,
    Describe,
    Opening,
    heard_channels,
    raw_format,
    windows_of,
    with_model,
)
from sqe_fast.cli.process import FAILED, console, exit_codes, stdin, stdout, stop
from sqe_fast.options import HOP_SECONDS, WINDOW_SECONDS

if TYPE_CHECKING:
    from sqe_fast.cli.monitor import Display
    from sqe_fast.live.stream import Stream


@with_model
def monitor(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Sound files, each a call; or - for PCM from standard input as it comes."),
    ],
    speed: Annotated[
        float, typer.Option(min=0.01, help="Seconds of audio that are played a second; too many drop windows.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line for each event.")] = False,
    raw: Annotated[
        str | None, typer.Option(help="What is played is PCM without a header: rate=8000,encoding=mulaw,channels=2.")
    ] = None,
    channels: ChannelChoice = "auto",
    window: Annotated[float, typer.Option(help="Seconds of a window, 0.4–30.")] = WINDOW_SECONDS,
    hop: Annotated[float, typer.Option(help="Seconds from window to window.")] = HOP_SECONDS,
    describe: Describe = True,
    *,
    opening: Opening,
) -> None:
    """Play recordings, or standard input, as live calls, and show how they sound. A channel that is heard by itself is
    a call by itself; of standard input auto hears each.

    \b
    Examples:
      sqe monitor call.wav other.wav --speed 4
      sqe monitor call.wav --channels 1
      arecord -f S16_LE -r 16000 | sqe monitor - --raw rate=16000
    """
    stdout()
    form, heard = raw_format(raw), heard_channels(channels)
    timeline = windows_of(window, hop, wanted=True)
    assert timeline is not None
    with exit_codes():
        from sqe_fast.cli import monitor as monitoring
        from sqe_fast.jobs import run

        sources = monitoring.sources(paths, form, stdin(paths), heard)
        with run.Interruption(), _display(as_json) as display:
            evaluator = opening.open()

            def opens(rate: int) -> Stream:
                return evaluator.stream(rate, window=timeline.window, hop=timeline.hop, describe=describe)

            calls = monitoring.monitor(sources, opens, display, speed)
    if failed := sum(call.error is not None for call in calls):
        stop(FAILED, f"{failed} of {len(calls)} calls failed; each says why")


@contextmanager
def _display(as_json: bool) -> Iterator[Display]:
    from sqe_fast.cli import board, monitor

    if as_json or not stdout().isatty():
        yield monitor.JsonDisplay(stdout())
    else:
        with board.Screen(console()) as screen:
            yield screen
