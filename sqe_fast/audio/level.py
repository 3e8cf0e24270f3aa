"""What can be said of a signal's level without a model: silence, clipping, which channel is the loudest."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.joined import Samples
from sqe_fast.errors import ClipError, ErrorCode

SILENCE_DBFS = -80.0
"""RMS, its DC taken away, that no block reaches in a silent recording; one step of 16 bits is -90 dBFS."""
FULL_SCALE = 0.98
"""Level that counts as clipped: the loudest value of G.711 mu-law is 0.980 of full scale."""
CLIPPED_RUN = 0.25e-3
"""Seconds of a shortest clipped run, and at least 3 samples. A loud peak that is not clipped passes faster."""
CEILING_STEP, MIN_CEILING = 2**-15, 0.1
"""What was clipped and then turned down is flat at its own highest level: within a step of 16 bits, and at or above the
second number, under which steps are too coarse to tell. Of 220 recordings of clean speech, as they are and as mu-law
and 8-bit PCM, none is flagged; of the same clipped by 12 dB and halved, 211."""
CLIPPED_SHARE = 1e-3
"""Share of samples in clipped runs from which a recording is flagged."""


class LevelScan:
    """Running statistics over the blocks [frames, channels] of one recording, at its own rate; constant memory."""

    def __init__(self, rate: int, channels: int, max_amplitude: float) -> None:
        self.frames = 0
        self._rate = rate
        self._max_amplitude = max_amplitude
        # One entry per channel, then one for their average. Means are taken away block by block.
        self._energy = np.zeros(channels + 1)
        self._loudest = np.zeros(channels + 1)
        shortest = max(3, math.ceil(CLIPPED_RUN * rate))
        self._runs = [_ClippedRuns(shortest) for _ in range(channels)]
        self._ceilings = [_Ceiling(shortest) for _ in range(channels)]

    def add(self, block: Samples) -> None:
        """Raises ClipError: NaN or infinity, or a sample beyond `max_amplitude`."""
        peak = max(float(block.max()), -float(block.min()))
        if not peak <= self._max_amplitude:  # also true for NaN
            raise self._bad_sample(block)
        exact = np.ascontiguousarray(block.T, np.float64)
        power = np.array([_ac_power(channel) for channel in (*exact, exact.mean(axis=0))])
        self._energy += len(block) * power
        self._loudest = np.maximum(self._loudest, power)
        for channel, runs in zip(exact, self._runs, strict=True):
            runs.add(np.abs(channel) >= FULL_SCALE if peak >= FULL_SCALE else None)
        for channel, ceiling in zip(exact, self._ceilings, strict=True):
            ceiling.add(np.abs(channel))
        self.frames += len(block)

    def _bad_sample(self, block: Samples) -> ClipError:
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            second = (self.frames + int(finite.argmin())) / self._rate
            return ClipError(
                ErrorCode.NON_FINITE, f"NaN or infinity at {second:.3f} s: repair the samples, or what produced them"
            )
        return ClipError(
            ErrorCode.OUT_OF_RANGE,
            f"a sample of {float(np.abs(block).max()):.3g}, where full scale is 1: divide integer samples held as "
            "floats by their full scale (32,768 for 16 bits)",
        )

    def strongest(self) -> int:
        """The channel that has the most energy."""
        return int(self._energy[:-1].argmax())

    def silent(self, channel: int | None) -> bool:
        """One of the channels; None for their average."""
        power = float(self._loudest[-1 if channel is None else channel])
        return power < 10 ** (SILENCE_DBFS / 10)

    def clipped_share(self, channel: int | None) -> float:
        """Share of samples in clipped runs of one of the channels; None for that which has most of them."""
        totals = [max(of.total(), at.total()) for of, at in zip(self._runs, self._ceilings, strict=True)]
        return (max(totals) if channel is None else totals[channel]) / max(1, self.frames)


def _ac_power(samples: npt.NDArray[np.float64]) -> float:
    """Mean square of [n] samples, less that of their mean. Exact to 1e-13 within the limits; silence is 1e-8.

    By NumPy's own loops: a product by BLAS would wake its threads for a millisecond's work."""
    return float(np.square(samples).mean()) - float(samples.mean()) ** 2


class _ClippedRuns:
    """Samples in runs of at least `shortest` consecutive clipped ones; runs may cross blocks."""

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest
        self._closed = 0
        self._open = 0
        """Length of the run that reaches the end of what has been seen."""

    def add(self, clipped: npt.NDArray[np.bool_] | None) -> None:
        """The next samples, True where clipped; None for any number that are not."""
        if clipped is None:
            self._close(self._open)
            self._open = 0
            return
        edges = np.diff(clipped.astype(np.int8), prepend=0, append=0)
        starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        lengths = ends - starts
        if len(lengths) and starts[0] == 0:
            lengths[0] += self._open
        else:
            self._close(self._open)
        self._open = 0
        if len(lengths) and ends[-1] == len(clipped):
            self._open = int(lengths[-1])
            lengths = lengths[:-1]
        self._closed += int(lengths[lengths >= self._shortest].sum())

    def _close(self, length: int) -> None:
        self._closed += length if length >= self._shortest else 0

    def total(self) -> int:
        return self._closed + (self._open if self._open >= self._shortest else 0)


class _Ceiling:
    """Samples in runs at the highest level of a channel, whatever that is; see MIN_CEILING."""

    def __init__(self, shortest: int) -> None:
        self._shortest = shortest
        self._level = 0.0
        self._runs = _ClippedRuns(shortest)

    def add(self, levels: npt.NDArray[np.float64]) -> None:
        """The next samples' absolute values."""
        peak = float(levels.max())
        if peak > self._level + CEILING_STEP:  # what was flat below it was no ceiling
            self._level, self._runs = peak, _ClippedRuns(self._shortest)
        near = peak >= self._level - CEILING_STEP
        self._runs.add(levels >= self._level - CEILING_STEP if near else None)

    def total(self) -> int:
        return self._runs.total() if self._level >= MIN_CEILING else 0


def silent(samples: FloatArray) -> bool:
    """No second of [n] samples at 16 kHz, its DC taken away, reaches the level that makes a whole recording silent."""
    seconds = (samples[start : start + SAMPLE_RATE] for start in range(0, len(samples), SAMPLE_RATE))
    return all(float(second.var(dtype="float64")) < 10 ** (SILENCE_DBFS / 10) for second in seconds)
