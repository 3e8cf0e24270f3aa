"""Calls in the air: pushed in real time, or a number of times faster, from one thread as a server would."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.streaming.sound import RATE, Speech, pcm
from sqe_fast import CallSummary, Evaluator, QualityUpdate
from sqe_fast.live.stream import Stream

Pcm = npt.NDArray[np.int16]
FRAME = 0.02
"""Seconds of audio that are pushed at once."""


@dataclass
class Load:
    """What came out of a load."""

    pushes: list[float] = field(default_factory=list)
    """Seconds that each took."""
    updates: list[QualityUpdate] = field(default_factory=list)
    summaries: list[CallSummary] = field(default_factory=list)
    wall: float = 0.0
    newest: dict[int, float] = field(default_factory=dict)
    """End of the newest window of each call that was scored before the load ended, in seconds of the call."""

    @property
    def lag(self) -> float:
        """Seconds of audio, of the call whose scores were furthest behind when the load ended."""
        return max(each.duration - self.newest.get(number, 0.0) for number, each in enumerate(self.summaries))

    @property
    def rated(self) -> int:
        return sum(channel.rated for each in self.summaries for channel in each.channels)

    @property
    def dropped(self) -> int:
        return sum(channel.dropped for each in self.summaries for channel in each.channels)

    @property
    def windows(self) -> int:
        return sum(
            channel.rated + channel.without_speech + channel.dropped + channel.failed
            for each in self.summaries
            for channel in each.channels
        )

    def ages(self, percent: float) -> float:
        return float(np.percentile([each.age for each in self.updates if each.ratings], percent))


def sounds(speech: Speech, sessions: int) -> list[Pcm]:
    """A minute of each of so many calls, which is heard again and again."""
    return [pcm(speech.call(60.0, seed)) for seed in range(sessions)]


def run(evaluator: Evaluator, sound: Sequence[Pcm], seconds: float, times: float = 1.0) -> Load:
    """A call for each of `sound`, for `seconds` of wall time and at `times` real time, begun one after the other within
    a hop of a second of audio. Waits for the last summaries."""
    streams = [evaluator.stream(RATE, describe=False) for _ in sound]
    load = Load()
    started = time.perf_counter()
    _feed(streams, sound, round(seconds * times / FRAME), times, load)
    load.wall = time.perf_counter() - started
    _take(streams, load)
    load.summaries = [stream.close() for stream in streams]
    return load


def windows_of(seconds: float) -> int:
    """How many a call of so many seconds has at a hop of a second: the first ends at 2 s, and what is left has one."""
    return int(seconds) - 1 + (seconds % 1 > 0)


def _take(streams: Sequence[Stream], load: Load) -> None:
    for number, stream in enumerate(streams):
        for event in stream.events():
            if isinstance(event, QualityUpdate):
                load.updates.append(event)
                load.newest[number] = event.end


def _feed(streams: Sequence[Stream], sound: Sequence[Pcm], frames: int, times: float, load: Load) -> None:
    size, hop = round(FRAME * RATE), round(1 / FRAME)
    begin = time.perf_counter()
    for turn in range(frames + hop - 1):
        for number, (stream, samples) in enumerate(zip(streams, sound, strict=True)):
            frame = turn - number * hop // len(streams)
            if not 0 <= frame < frames:
                continue
            due = begin + (turn + number / len(streams)) * FRAME / times
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            place = frame * size % (len(samples) // size * size)
            started = time.perf_counter()
            stream.push(samples[place : place + size])
            load.pushes.append(time.perf_counter() - started)
        if turn % hop == hop - 1:
            _take(streams, load)


class InBackground(threading.Thread):
    """A load beside something else that is measured."""

    def __init__(self, evaluator: Evaluator, sound: Sequence[Pcm], seconds: float) -> None:
        super().__init__(daemon=True)
        self.result: Load | None = None
        self._arguments = evaluator, sound, seconds

    def run(self) -> None:
        self.result = run(*self._arguments)
