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
from sqe_fast.audio.channels import chosen
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
    """What is played: pieces [n, channels] at `rate` Hz, and how long they are, where that is known. Each channel is a
    call by itself."""

    rate: int
    pieces: Iterator[FloatArray]
    seconds: float | None
    channels: tuple[int | None, ...] = (None,)
    """Their numbers; None for the whole."""


@dataclass(eq=False)
class Call:
    """What is known of a call by now, from its events."""

    name: str
    channel: int | None = None
    """Of the recording; None where it is heard as a whole."""
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
    def title(self) -> str:
        return self.name if self.channel is None else f"{self.name} channel {self.channel}"

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
    """A JSON object a line for each event, with the call's name and channel."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, call: Call, event: Event) -> None:
        self._put(call, event.to_row())

    def fail(self, call: Call) -> None:
        self._put(call, {"event": "error", "error": error_row(call.error)})

    def refresh(self, calls: Sequence[Call]) -> None:
        pass

    def _put(self, call: Call, row: dict[str, Any]) -> None:
        place = {"channel": call.channel}
        if "channels" in row:  # a summary, of the only channel of its stream
            row = row | {"channels": [each | place for each in row["channels"]]}
        try:
            self._stream.write(json.dumps({"call": call.name} | row | place) + "\n")
            self._stream.flush()
        except OSError as error:
            raise UnusableError(f"cannot write to standard output: {error.strerror}") from error


def recording(source: audio.Source, channels: audio.Channels) -> Played:
    """A file from its beginning to its end. Raises ClipError."""
    found = audio.recordings(source, channels)
    blocks = (np.stack(lanes, axis=1) for lanes in zip(*(each.blocks() for each in found), strict=True))
    size = round(PIECE * SAMPLE_RATE)
    pieces = (block[start : start + size] for block in blocks for start in range(0, len(block), size))
    return Played(SAMPLE_RATE, pieces, found[0].duration, tuple(each.channel for each in found))


def arriving(pipe: BinaryIO, raw: audio.RawFormat, channels: audio.Channels) -> Played:
    """PCM from a pipe. Whether its channels carry the same can't be told before its end: "auto" hears each of them.
    Raises ClipError (`no_such_channel`)."""
    blocks = audio.arriving(pipe, raw)
    heard = chosen("each" if channels == "auto" and raw.channels > 1 else channels, raw.channels)
    lanes = [each.column for each in heard]
    pieces = (np.stack([_lane(block, column) for column in lanes], axis=1) for block in blocks)
    return Played(raw.rate, pieces, None, tuple(each.channel for each in heard))


def _lane(block: FloatArray, column: int | None) -> FloatArray:
    """A channel, or the mean, of [n, channels]."""
    return block.mean(axis=1, dtype=np.float64).astype(np.float32) if column is None else block[:, column]


def sources(
    paths: Sequence[str], raw: audio.RawFormat | None, pipe: BinaryIO, channels: audio.Channels
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
        return [("standard input", partial(arriving, pipe, raw, channels))]
    return [(path, partial(recording, source_of(path, raw), channels)) for path in paths]


class _Player(threading.Thread):
    """Plays one source to its end, each of its channels as a call. A daemon: it may wait for standard input for
    ever."""

    def __init__(self, name: str, prepare: Callable[[], Played], opens: Opens, speed: float) -> None:
        super().__init__(name=f"sqe monitor {name}", daemon=True)
        self.calls: tuple[Call, ...] = (Call(name),)
        """More where it turns out to have several channels that are heard."""
        self.streams: tuple[Stream, ...] = ()
        self.failure: BaseException | None = None
        self._prepare, self._opens, self._speed = prepare, opens, speed
        self._stopped = threading.Event()

    def run(self) -> None:
        try:
            self._play(self._prepare())
        except BaseException as error:  # noqa: BLE001 (raised where the player was started)
            self.failure = error

    def _play(self, played: Played) -> None:
        [first] = self.calls
        self.calls = tuple(Call(first.name, channel, played.seconds) for channel in played.channels)
        self.streams = tuple(self._opens(played.rate) for _ in self.calls)
        started, seconds = time.monotonic(), 0.0
        for piece in played.pieces:
            # A piece is there once it was spoken: never before its end.
            seconds += len(piece) / played.rate
            for call in self.calls:
                call.played = seconds
            if self._stopped.wait(max(0.0, started + seconds / self._speed - time.monotonic())):
                return
            for stream, lane in zip(self.streams, piece.T, strict=True):
                stream.push(np.ascontiguousarray(lane))
        for stream in self.streams:
            stream.close()

    def stop(self) -> None:
        self._stopped.set()
        for stream in self.streams:
            stream.cancel()


def monitor(
    sources: Sequence[tuple[str, Callable[[], Played]]], opens: Opens, display: Display, speed: float
) -> list[Call]:
    """Play all sources at once, `speed` seconds of audio a second, until all are over. Raises UnusableError."""
    players = [_Player(name, prepare, opens, speed) for name, prepare in sources]
    try:
        for player in players:
            player.start()
        while True:
            time.sleep(LOOK)
            for player in players:
                _look(player, display)
            calls = [call for player in players for call in player.calls]
            display.refresh(calls)
            if all(call.over for call in calls):
                return calls
    finally:
        for player in players:
            player.stop()


def _look(player: _Player, display: Display) -> None:
    failure = player.failure  # before the streams: what they tell when it is there, is all that they tell
    for call, stream in zip(player.calls, player.streams, strict=False):
        for event in stream.events():
            call.take(event)
            display.tell(call, event)
    if failure is None:
        return
    if not isinstance(failure, ClipError):
        raise failure
    for call in player.calls:
        if not call.over:
            call.error = failure
            display.fail(call)
