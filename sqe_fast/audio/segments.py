"""What of a recording is heard, and what is passed over: the stretches in which nobody speaks.

A short pause belongs to what is said. A longer one, beeps, hold music and noise alone are no speech: no model hears
them, and they have no part in the ratings. They are told, so that every second of a recording is heard or named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.level import SILENCE_DBFS
from sqe_fast.audio.speech import LEAST, SHORT, STEP, ActivityScan, Powers, Steps, powers, spoken
from sqe_fast.results import Stretch

PAUSE = 3.0
"""Seconds without speech that are heard with what is said around them; a longer stretch is passed over."""
MARGIN = 0.3
"""Seconds of such a stretch that are heard with the speech beside it, whose beginning or end may be soft."""
QUIET_DB = 20.0
"""How far below the speech the sound of a stretch lies that is but a pause."""
_LEAST_STEPS = round(LEAST * SAMPLE_RATE / STEP)


class Span(NamedTuple):
    """[start, end) in samples at 16 kHz."""

    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Segments:
    """Of one recording."""

    hold_speech: bool
    windows: tuple[Span, ...]
    """What a model hears at once: where somebody speaks, with short pauses; all of it where nobody does."""
    no_speech: tuple[Stretch, ...]
    """Where nobody speaks."""
    active: Steps
    """The steps of all of it in which somebody speaks."""

    def weight(self, span: Span) -> float:
        """Seconds of active speech in a part of it; where nobody speaks in the whole, seconds."""
        if not self.hold_speech:
            return (span.end - span.start) / SAMPLE_RATE
        return spoken(self.active[-(-span.start // STEP) : -(-span.end // STEP)])


class SegmentScan:
    """Finds them in a recording at 16 kHz, which comes in pieces of any size."""

    def __init__(self) -> None:
        self._activity = ActivityScan()
        self._rest = np.empty(0, np.float32)
        """Less than a step."""
        self._levels: list[Powers] = []
        self._length = 0

    def add(self, samples: FloatArray) -> None:
        """The next, [n]."""
        self._activity.add(samples)
        self._length += len(samples)
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // STEP * STEP
        self._levels.append(powers(joined[:whole]))
        self._rest = joined[whole:]

    def finish(self, longest: int) -> Segments:
        """`longest`: samples of a window. Less than 2 s is heard whole."""
        levels = np.concatenate([*self._levels, powers(self._rest)])
        active, length = self._activity.finish(), self._length
        heard = [Span(0, length)] if length < SHORT * SAMPLE_RATE else list(_heard(active, length, longest))
        return _segments(heard, active, levels, length, longest)


def silence(length: int, longest: int) -> Segments:
    """Of a recording that holds no sound."""
    steps = -(-length // STEP)
    return _segments([], np.zeros(steps, np.bool_), np.zeros(steps, np.float32), length, longest)


def _segments(heard: list[Span], active: Steps, levels: Powers, length: int, longest: int) -> Segments:
    windows = [window for span in heard or [Span(0, length)] for window in _equal(span, longest)]
    return Segments(bool(heard), tuple(windows), tuple(_stretches(heard, active, levels, length)), active)


def _equal(span: Span, longest: int) -> Iterator[Span]:
    """As few as hold at most `longest` samples each, of one length (to a sample)."""
    length = span.end - span.start
    count = -(-length // longest)
    edges = [span.start + index * length // count for index in range(count + 1)]
    return (Span(*edge) for edge in pairwise(edges))


def _heard(active: Steps, length: int, longest: int) -> Iterator[Span]:
    """Speech between which lies no more than a pause, with margins as far as they need no more windows; what is less
    than a word is none."""
    steps = np.flatnonzero(active)
    if not len(steps):
        return
    pause, margin = round(PAUSE * SAMPLE_RATE), round(MARGIN * SAMPLE_RATE)
    for part in np.split(steps, np.flatnonzero(np.diff(steps) * STEP > pause) + 1):
        if len(part) < _LEAST_STEPS:
            continue
        start, end = int(part[0]) * STEP, min((int(part[-1]) + 1) * STEP, length)
        start, end = (0 if start <= pause else start), (length if length - end <= pause else end)
        spare = min(margin, -(end - start) % longest // 2)
        yield Span(max(0, start - spare), min(length, end + spare))


def _stretches(heard: list[Span], active: Steps, levels: Powers, length: int) -> Iterator[Stretch]:
    """What lies between, before and after `heard`."""
    quiet = 10 ** (SILENCE_DBFS / 10)
    if heard and active.any():
        quiet = max(quiet, float(levels[active].mean()) * 10 ** (-QUIET_DB / 10))
    edges = [0, *(edge for span in heard for edge in span), length]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if start < end:
            loud = np.count_nonzero(levels[start // STEP : -(-end // STEP)] > quiet)
            kind: Literal["pause", "sound"] = "sound" if loud >= _LEAST_STEPS else "pause"
            yield Stretch(start / SAMPLE_RATE, end / SAMPLE_RATE, kind)
