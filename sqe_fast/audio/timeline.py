"""A recording, or a call, as windows that follow one another and overlap: the one rule for a file and a live stream.

Windows end at the multiples of the hop, counted from the beginning of the call, and hold the last `window` seconds, or
what there is of them: at a beginning the first one ends as soon as two seconds can be heard. What follows the last
multiple of the hop gets a window that ends with the audio, so every second is in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sqe_fast.audio.features import HOP, MAX_FRAMES, SAMPLE_RATE, FloatArray, LogMel, LogMelStream
from sqe_fast.audio.level import silent
from sqe_fast.audio.speech import holds_speech
from sqe_fast.options import HOP_SECONDS, WINDOW_SECONDS
from sqe_fast.results import Flag

LEAST = 2 * SAMPLE_RATE
"""Samples of the first window of a call, or behind a gap, where windows are that long: less tells too little."""
SHORTEST = round(0.4 * SAMPLE_RATE)
"""Samples of a shortest window, which a call of less than `LEAST` has; one with less has none. The last window of a
call begins with a frame, and may be shorter than others by less than one."""


MUCH = 1e6
"""Seconds that are no hop and no window, and beyond which the arithmetic that says so ends."""


@dataclass(frozen=True)
class Timeline:
    """How a recording is cut: windows of `window` seconds (0.4 to 30), one each `hop` seconds. A hop is a whole number
    of hundredths of a second, and a window a whole number of hops. Raises ValueError for others."""

    window: float = WINDOW_SECONDS
    hop: float = HOP_SECONDS

    def __post_init__(self) -> None:
        if not all(abs(seconds) < MUCH for seconds in (self.window, self.hop)):  # nor is one that is no number
            raise ValueError(f"window {self.window} and hop {self.hop}: seconds are finite, and not so many")
        whole = abs(self.hop * 100 - round(self.hop * 100)) < 1e-9 and self.hop_samples > 0
        hops = self.window / self.hop if whole else 0.0
        if not whole or not SHORTEST <= self.window_samples <= MAX_FRAMES * HOP or abs(hops - round(hops)) > 1e-9:
            raise ValueError(
                f"window {self.window:g} s, hop {self.hop:g} s: pass a window from 0.4 to 30 s, and a hop of whole "
                "hundredths of a second of which a window holds a whole number"
            )

    @property
    def window_samples(self) -> int:
        """At 16 kHz."""
        return round(self.window * SAMPLE_RATE)

    @property
    def hop_samples(self) -> int:
        """At 16 kHz."""
        return round(self.hop * SAMPLE_RATE)


@dataclass(frozen=True, eq=False)
class Cut:
    """One window. Positions are samples at 16 kHz from the beginning of the call."""

    start: int
    end: int
    samples: FloatArray
    """[end − start], its own copy, read-only."""
    log_mel: LogMel

    @property
    def flags(self) -> tuple[str, ...]:
        """Why it is not worth hearing: "silent" or "no_speech"; () where it is."""
        if silent(self.samples):
            return (Flag.SILENT.value,)
        return () if holds_speech(self.samples) else (Flag.NO_SPEECH.value,)


class Cutter:
    """Windows of samples that arrive piece by piece; it holds one window's worth, and each log-mel frame is computed
    once. The windows are the same whatever the pieces.

    `position`: the first sample's, at 16 kHz from the beginning of the call, where it does not begin there.
    """

    def __init__(self, timeline: Timeline, n_mels: int, position: int = 0) -> None:
        self._window, self._hop = timeline.window_samples, timeline.hop_samples
        self._position = position
        # Frames stand on a grid of 10 ms, as windows do: less than a frame is passed over behind a gap.
        begin = -(-position // HOP) * HOP
        self.end = -(-(begin + min(LEAST, self._window)) // self._hop) * self._hop
        """Where the next window ends, if the call goes on so long."""
        self._begin = max(begin, self.end - self._window)
        self._heard = self._begin
        """End of the last window."""
        self._samples = np.empty(self._window, np.float32)
        self._mel = LogMelStream(n_mels)

    @property
    def position(self) -> int:
        """Of the next sample."""
        return self._position

    def push(self, samples: FloatArray) -> Iterator[Cut]:
        """The windows that end within these samples [n], mono at 16 kHz. Take all of them before the next `push`."""
        samples = self._skipped(samples)
        while len(samples):
            taken = min(len(samples), self.end - self._position)
            self._append(samples[:taken])
            samples = samples[taken:]
            if self._position == self.end:
                yield self._cut()
                self.end += self._hop

    def finish(self) -> Iterator[Cut]:
        """The window of what no other has heard, if there is something and it is not too short."""
        if self._position > self._heard and self._mel.samples > SHORTEST - HOP:
            yield self._cut()

    def _skipped(self, samples: FloatArray) -> FloatArray:
        skipped = min(len(samples), max(0, self._begin - self._position))
        self._position += skipped
        return samples[skipped:]

    def _append(self, samples: FloatArray) -> None:
        self._make_room(len(samples))
        held = self._mel.samples
        self._samples[held : held + len(samples)] = samples
        self._mel.push(np.ascontiguousarray(samples))
        self._position += len(samples)

    def _make_room(self, samples: int) -> None:
        """Forget whole frames, the oldest, until so many samples more are no more than a window."""
        excess = self._mel.samples + samples - self._window
        dropped = min(-(-excess // HOP) * HOP, self._mel.samples // HOP * HOP)
        if dropped > 0:
            kept = self._mel.samples - dropped
            self._samples[:kept] = self._samples[dropped : dropped + kept].copy()
            self._mel.drop(dropped)

    def _cut(self) -> Cut:
        held = self._mel.samples
        samples = self._samples[:held].copy()
        samples.flags.writeable = False
        self._heard = self._position
        return Cut(self._position - held, self._position, samples, self._mel.log_mel())
