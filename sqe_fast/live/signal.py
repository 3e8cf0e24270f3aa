"""Faults that the signal itself shows, told as they happen and without a model: mute, silence, DC, clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sqe_fast.audio.features import FloatArray
from sqe_fast.audio.level import CLIPPED_RUN, FULL_SCALE, SILENCE_DBFS
from sqe_fast.live.ring import BLOCKS_A_SECOND
from sqe_fast.results import DIMENSIONS

DIMENSION_OF = {"mute": "discontinuity", "silence": "loudness", "dc offset": "coloration", "clipping": "coloration"}
"""What a fault of the signal lowers."""
EXPLAINS = {
    "mute": frozenset(DIMENSIONS),
    "silence": frozenset(DIMENSIONS),
    "dc offset": frozenset({"coloration", "loudness"}),
    "clipping": frozenset({"coloration", "loudness"}),
}
"""Dimensions of which a window with this fault needs no alert of its own."""
SAYS = {
    "mute": "nothing but one and the same sample comes in: the line is muted",
    "silence": f"nothing louder than {SILENCE_DBFS:g} dBFS comes in",
    "dc offset": "the waveform stands off zero",
    "clipping": "the loud parts are clipped",
}


@dataclass(frozen=True)
class SignalFaults:
    """When the signal is at fault. Times are in seconds and in steps of 0.1 s. Raises ValueError for none above 0."""

    mute: float = 1.6
    """Without any change of the samples. A pause of a muted or gated line that is shorter is a pause."""
    silence: float = 10.0
    """Under `level.SILENCE_DBFS`, DC taken away, with some change of the samples."""
    dc: float = 1.0
    """With a mean, over each 0.1 s of it, beyond `dc_level`."""
    dc_level: float = 0.05
    """Of full scale. A voice's own mean over 0.1 s is a tenth of that."""
    clipping: float = 1.0
    """Looked back at for clipped samples."""
    clipped_share: float = 5e-3
    """Of those samples, in runs of `level.CLIPPED_RUN` at full scale."""
    recovery: float = 1.0
    """Without the fault, until it is over."""

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in vars(self).values()):
            raise ValueError(f"{self}: pass numbers above 0")


class Turn(NamedTuple):
    """A fault has begun, or is over."""

    fault: str
    begins: bool
    since: float
    """Second of the call at which it began, or at which it was over."""


class SignalWatch:
    """Follows one channel, or the channels that are mixed, in blocks of 0.1 s."""

    def __init__(self, faults: SignalFaults, rate: int) -> None:
        self._clipped_run = max(3, math.ceil(CLIPPED_RUN * rate))
        self._clipped = _Share(faults.clipping, faults.clipped_share)
        self._dc_level = faults.dc_level
        lasting = {"mute": faults.mute, "silence": faults.silence, "dc offset": faults.dc, "clipping": 0.1}
        self._runs = {fault: _Run(_blocks(least), _blocks(faults.recovery)) for fault, least in lasting.items()}

    @property
    def active(self) -> frozenset[str]:
        return frozenset(fault for fault, run in self._runs.items() if run.active)

    def add(self, block: FloatArray, start: float) -> list[Turn]:
        """[frames, channels] that begin at second `start` of the call."""
        exact = block.astype(np.float64)
        mixed = exact.mean(axis=1)
        mean = float(mixed.mean())
        power = float(np.square(mixed).mean()) - mean * mean
        constant = bool((block == block[0]).all())
        seen = {
            "mute": constant,
            "silence": not constant and power < 10 ** (SILENCE_DBFS / 10),
            "dc offset": abs(mean) > self._dc_level,
            "clipping": self._clipped.add(self._clipped_samples(block), block.shape[0]),
        }
        turns = (run.add(fault, seen[fault], start) for fault, run in self._runs.items())
        return [turn for turn in turns if turn is not None]

    def _clipped_samples(self, block: FloatArray) -> int:
        """In runs of the channel that has most of them; a run that a block's edge cuts counts on both sides of it."""
        if float(np.abs(block).max()) < FULL_SCALE:
            return 0
        return max(self._in_runs(channel) for channel in (np.abs(block) >= FULL_SCALE).T)

    def _in_runs(self, clipped: np.ndarray) -> int:
        edges = np.flatnonzero(np.diff(clipped.astype(np.int8), prepend=0, append=0))
        lengths = edges[1::2] - edges[::2]
        return int(lengths[lengths >= self._clipped_run].sum())


class _Run:
    """A fault begins after so many blocks with it, and is over after so many without."""

    def __init__(self, least: int, recovery: int) -> None:
        self.active = False
        self._least, self._recovery = least, recovery
        self._turning = 0
        """Blocks that speak against the state, without a break."""
        self._since = 0.0

    def add(self, fault: str, seen: bool, start: float) -> Turn | None:
        if seen == self.active:
            self._turning = 0
            return None
        if not self._turning:
            self._since = start
        self._turning += 1
        if self._turning < (self._recovery if self.active else self._least):
            return None
        self.active = seen
        self._turning = 0
        return Turn(fault, seen, self._since)


class _Share:
    """Whether the last `seconds` hold `share` of clipped samples."""

    def __init__(self, seconds: float, share: float) -> None:
        self._counts = [(0, 0)] * _blocks(seconds)
        self._share = share

    def add(self, clipped: int, samples: int) -> bool:
        self._counts = [*self._counts[1:], (clipped, samples)]
        return sum(count for count, _ in self._counts) >= self._share * max(1, sum(all for _, all in self._counts))


def _blocks(seconds: float) -> int:
    return max(1, round(seconds * BLOCKS_A_SECOND))
