"""`sqe monitor`: recordings, or standard input, played through live calls as an agent would hear them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np

from sqe_fast import audio
from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.errors import ClipError, UnusableError
from sqe_fast.jobs.inputs import STDIN
from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.run import source_of
from sqe_fast.live.events import CallSummary, Event, QualityAlert, QualityRecovered, QualityUpdate
from sqe_fast.live.stream import MAX_RATE, MIN_RATE, Stream
from sqe_fast.results import Ratings, error_row

PIECE = 0.1
"""Seconds of audio that are pushed at once."""
LOOK = 0.1
"""Seconds between two looks at what the calls tell."""
HISTORY = 200
"""Scores of a call that are kept, for its sparklines."""

Opens = Callable[[int], Stream]
"""`evaluator.stream` with its choices made, but for the sample rate."""


@dataclass(frozen=True)
class Played:
    """What is played as one call: pieces [n] or [n, channels] at `rate` Hz, and how long they are, where that is
    known."""

    rate: int
    pieces: Iterator[FloatArray]
    seconds: float | None


@dataclass(eq=False)
class Call:
    """What is known of a call by now, from its events."""

    name: str
    seconds: float | None = None
    """Of audio in all."""
    played: float = 0.0
    """Seconds of audio so far."""
    scores: deque[Ratings | None] = field(default_factory=lambda: deque[Ratings | None](maxlen=HISTORY))
    """Hop by hop; None for a window without speech."""
    age: float | None = None
    """Of the newest score, in seconds."""
    dropped: int = 0
    """Windows."""
    alerts: dict[str, QualityAlert] = field(default_factory=dict)
    """Those that are not over, by their fault."""
    summary: CallSummary | None = None
    error: ClipError | None = None

    @property
    def over(self) -> bool:
        return self.summary is not None or self.error is not None

    def take(self, event: Event) -> None:
        if isinstance(event, QualityUpdate):
            self.scores.append(event.score if event.ratings else None)
            self.age = event.age
            self.dropped += event.dropped
        elif isinstance(event, QualityAlert):
            self.alerts[event.fault] = event
        elif isinstance(event, QualityRecovered):
            self.alerts.pop(event.fault, None)
        else:
            self.summary = event
            self.dropped = sum(channel.dropped for channel in event.channels)
            self.error = event.error


class Display(Protocol):
    def tell(self, call: Call, event: Event) -> None:
        """An event, once the call has taken it."""

    def fail(self, call: Call) -> None:
        """It could not be played: its `error` says why."""

    def refresh(self, calls: Sequence[Call]) -> None:
        """Every tenth of a second, and at the end."""


class JsonDisplay:
    """A JSON object a line for each event, with the call's name."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, call: Call, event: Event) -> None:
        self._put(call, event.to_row())

    def fail(self, call: Call) -> None:
        self._put(call, {"event": "error", "error": error_row(call.error)})

    def refresh(self, calls: Sequence[Call]) -> None:
        pass

    def _put(self, call: Call, row: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps({"call": call.name} | row) + "\n")
            self._stream.flush()
        except OSError as error:
            raise UnusableError(f"cannot write to standard output: {error.strerror}") from error


def recording(source: audio.Source) -> Played:
    """A file from its beginning to its end, its channels mixed. Raises ClipError."""
    loaded = audio.load(source, "mix")
    size = round(PIECE * SAMPLE_RATE)
    pieces = (block[start : start + size] for block in loaded.blocks() for start in range(0, len(block), size))
    return Played(SAMPLE_RATE, pieces, loaded.duration)


def arriving(pipe: BinaryIO, raw: audio.RawFormat) -> Played:
    """PCM from a pipe, its channels mixed."""
    blocks = audio.arriving(pipe, raw)
    return Played(raw.rate, (block.mean(axis=1, dtype=np.float64).astype(np.float32) for block in blocks), None)


def sources(
    paths: Sequence[str], raw: audio.RawFormat | None, pipe: BinaryIO
) -> list[tuple[str, Callable[[], Played]]]:
    """Names, and how each is made ready; `pipe` is what "-" stands for. Raises InputError for what cannot be played."""
    if STDIN in paths:
        if len(paths) > 1:
            raise InputError("standard input is a call by itself: pass - alone")
        if raw is None:
            raise InputError("say what comes from standard input: --raw rate=16000,encoding=s16le,channels=1")
        if raw.encoding not in audio.SAMPLE_ENCODINGS or not MIN_RATE <= raw.rate <= MAX_RATE:
            raise InputError(
                f"--raw: standard input is heard as it comes, at {MIN_RATE:,} to {MAX_RATE:,} Hz and in one of "
                f"{', '.join(audio.SAMPLE_ENCODINGS)}: play a file of anything else"
            )
        return [("standard input", partial(arriving, pipe, raw))]
    return [(path, partial(recording, source_of(path, raw))) for path in paths]


class _Player(threading.Thread):
    """Plays one call to its end. A daemon: it may wait for standard input for ever."""

    def __init__(self, call: Call, prepare: Callable[[], Played], opens: Opens, speed: float) -> None:
        super().__init__(name=f"sqe monitor {call.name}", daemon=True)
        self.call = call
        self.stream: Stream | None = None
        self.failure: BaseException | None = None
        self._prepare, self._opens, self._speed = prepare, opens, speed
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            self._play(self._prepare())
        except BaseException as error:  # noqa: BLE001 (raised where the player was started)
            self.failure = error

    def _play(self, played: Played) -> None:
        self.call.seconds = played.seconds
        self.stream = self._opens(played.rate)
        started = time.monotonic()
        for piece in played.pieces:
            # A piece is there once it was spoken: never before its end.
            self.call.played += len(piece) / played.rate
            if self._stopped.wait(max(0.0, started + self.call.played / self._speed - time.monotonic())):
                return
            self.stream.push(piece)
        self.stream.close()

    def stop(self) -> None:
        self._stopped.set()
        if self.stream is not None:
            self.stream.cancel()


def monitor(
    sources: Sequence[tuple[str, Callable[[], Played]]], opens: Opens, display: Display, speed: float
) -> list[Call]:
    """Play all sources at once, `speed` seconds of audio a second, until all are over. Raises UnusableError."""
    players = [_Player(Call(name), prepare, opens, speed) for name, prepare in sources]
    calls = [player.call for player in players]
    try:
        for player in players:
            player.start()
        while not all(call.over for call in calls):
            time.sleep(LOOK)
            for player in players:
                _look(player, display)
            display.refresh(calls)
    finally:
        for player in players:
            player.stop()
    return calls


def _look(player: _Player, display: Display) -> None:
    call = player.call
    if player.stream is not None:
        for event in player.stream.events():
            call.take(event)
            display.tell(call, event)
    if player.failure is not None and not call.over:
        if not isinstance(player.failure, ClipError):
            raise player.failure
        call.error = player.failure
        display.fail(call)
