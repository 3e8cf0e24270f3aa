"""What every stage of a degraded call takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.language.causes import KINDS
from training.simulation.measures import SAMPLE_RATE, Signal, active_level

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Degradation:
    """What a stage did to the signal. `measure` is in the stage's own unit:

    noise: A-weighted SNR, dB; reverb: clarity C50, dB; clip, mnru: signal to distortion, dB; band: see `low`, `high`,
    Hz; codec, suppress: spectral distance, dB; loss, stutter: share of active speech hit; level: active level, dBov;
    pumping: standard deviation of the gain while speech is active, dB.
    """

    stage: str
    kind: str
    name: str
    """The cause as a listener would name it: a key of causes.KINDS."""
    measure: float
    low: float = 0.0
    high: float = SAMPLE_RATE / 2
    reduction_db: float = 0.0
    """suppress: how much more the pauses fell than the speech."""

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise ValueError(f"{self.name!r} is no cause: name one of {', '.join(KINDS)}")

    @property
    def dimension(self) -> str:
        return KINDS[self.name].dimension

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Materials:
    """What stages draw from: noise and babble recordings, and room responses, by name."""

    noises: Mapping[str, Signal]
    rooms: Mapping[str, Signal]


StageFunction = Callable[[Signal, Params, Materials, np.random.Generator], tuple[Signal, Degradation]]


def to_level(signal: Signal, level_dbov: float) -> Signal:
    return (signal * 10 ** ((level_dbov - active_level(signal)) / 20)).astype(np.float32)
