"""What of a recording is heard, and what is passed over: the stretches in which nobody speaks.

A short pause belongs to what is said. A longer one, beeps, hold music and noise alone are no speech: no model hears
them, and they have no part in the ratings. They are told, so that every second of a recording is heard or named. What
is heard begins with a sound and ends with one: how long a recorder ran before and after is no quality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.level import SILENCE_DBFS
from sqe_fast.audio.speech import LEAST, SHORT, STEP, ActivityScan, Powers, Steps, powers, spoken
from sqe_fast.audio.timeline import SHORTEST
from sqe_fast.results import Stretch

PAUSE = 3.0
"""Seconds without speech that are heard with what is said around them; a longer stretch is passed over."""
MARGIN = 0.3
"""Seconds of such a stretch that are heard with the speech beside it, whose beginning or end may be soft."""
NOTHING = 10 ** (SILENCE_DBFS / 20)
"""Samples that stay below it are no sound: three steps of 16 bits."""
QUIET_DB = 20.0
"""How far below the speech the sound of a stretch lies that is but a pause."""
_LEAST_STEPS = round(LEAST * SAMPLE_RATE / STEP)


Places = npt.NDArray[np.int64]
"""[n, 2]: begin and end in samples, of steps that hold a sound."""


class Span(NamedTuple):
    """[start, end) in samples at 16 kHz."""

    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Segments:
    """Of one recording."""

    hold_speech: bool
    windows: tuple[Span, ...]
    """What a model hears at once: where somebody speaks, with short pauses, from sound to sound; all of it where nobody
    does."""
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
        self._sounds: list[Places] = []
        self._length = 0

    def add(self, samples: FloatArray) -> None:
        """The next, [n]."""
        self._activity.add(samples)
        self._length += len(samples)
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) // STEP * STEP
        self._measure(joined[:whole], self._length - len(joined))
        self._rest = joined[whole:]

    def finish(self, longest: int) -> Segments:
        """`longest`: samples of a window. Less than 2 s is heard whole."""
        self._measure(self._rest, self._length - len(self._rest))
        levels, sounds = np.concatenate(self._levels), np.concatenate(self._sounds)
        active, length = self._activity.finish(), self._length
        sound = Span(int(sounds[0, 0]), int(sounds[-1, 1])) if len(sounds) else Span(0, length)
        short = length < SHORT * SAMPLE_RATE
        heard = [Span(0, length)] if short else list(_heard(active, sound, length, longest))
        return _segments(heard, active, levels, sounds, length, longest)

    def _measure(self, samples: FloatArray, start: int) -> None:
        """Whole steps, or the last; from `start` on."""
        self._levels.append(powers(samples))
        self._sounds.append(_sounds(samples) + start)


def silence(length: int, longest: int) -> Segments:
    """Of a recording that holds no sound."""
    steps = -(-length // STEP)
    nothing = np.zeros((0, 2), np.int64)
    return _segments([], np.zeros(steps, np.bool_), np.zeros(steps, np.float32), nothing, length, longest)


def _segments(heard: list[Span], active: Steps, levels: Powers, sounds: Places, length: int, longest: int) -> Segments:
    spans = [_from_sound_to_sound(span, sounds) for span in heard] or [Span(0, length)]
    windows = [window for span in spans for window in _equal(span, longest)]
    return Segments(bool(heard), tuple(windows), tuple(_stretches(heard, active, levels, length)), active)


def _sounds(samples: FloatArray) -> Places:
    """Of each step of samples [n] that holds a sound where its first one begins and its last one ends."""
    loud = np.abs(np.pad(samples, (0, -len(samples) % STEP)).reshape(-1, STEP)) >= NOTHING
    places = np.stack([loud.argmax(1), STEP - loud[:, ::-1].argmax(1)], axis=1) + STEP * np.arange(len(loud))[:, None]
    return places[loud.any(1)]


def _from_sound_to_sound(span: Span, sounds: Places) -> Span:
    """A span without the nothing at its edges; all of it where less than a window would be left."""
    first, last = np.searchsorted(sounds[:, 1], span.start, "right"), np.searchsorted(sounds[:, 0], span.end) - 1
    if first > last:
        return span
    inner = Span(max(span.start, int(sounds[first, 0])), min(span.end, int(sounds[last, 1])))
    return inner if inner.end - inner.start >= SHORTEST else span


def _equal(span: Span, longest: int) -> Iterator[Span]:
    """As few as hold at most `longest` samples each, of one length (to a sample)."""
    length = span.end - span.start
    count = -(-length // longest)
    edges = [span.start + index * length // count for index in range(count + 1)]
    return (Span(*edge) for edge in pairwise(edges))


def _heard(active: Steps, sound: Span, length: int, longest: int) -> Iterator[Span]:
    """Speech between which lies no more than a pause, with margins as far as they need no more windows; what is less
    than a word is none. `sound` is from the first to the last: what lies around it makes no pause longer."""
    steps = np.flatnonzero(active)
    if not len(steps):
        return
    pause, margin = round(PAUSE * SAMPLE_RATE), round(MARGIN * SAMPLE_RATE)
    for part in np.split(steps, np.flatnonzero(np.diff(steps) * STEP > pause) + 1):
        if len(part) < _LEAST_STEPS:
            continue
        start, end = int(part[0]) * STEP, min((int(part[-1]) + 1) * STEP, length)
        if start - sound.start <= pause:
            start = sound.start if sound.start > pause else 0
        if sound.end - end <= pause:
            end = sound.end if length - sound.end > pause else length
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
