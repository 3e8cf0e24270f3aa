"""What every stage of a degraded call takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum, auto
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from training.language.causes import KINDS
from training.simulation.library import Library, read
from training.simulation.measures import Signal, active_level

Params = Mapping[str, Any]
"""One stage of a recipe, plain data: `family`, and what `Family.draw` gave it."""
Rng = np.random.Generator


class Place(IntEnum):
    """Where in a call a stage stands; stages run in this order."""

    ROOM = auto()
    SURROUNDINGS = auto()
    MICROPHONE = auto()
    CLEANING = auto()
    """Noise suppression, automatic gain, voice detectors: before the codec."""
    CODING = auto()
    NETWORK = auto()
    RECEIVER = auto()


@dataclass(frozen=True)
class Degradation:
    """Something that a stage did to the signal and that a listener may hear."""

    family: str
    kind: str
    """Which member of the family: a codec, a source of noise, a way of concealment."""
    name: str
    """The cause as a listener would name it: a key of causes.KINDS."""
    measures: Mapping[str, float]
    """How much of it, signal before against signal after, by names that the family's docstring explains."""

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
    """Sources by file name, as recipes name them; float32 [n] at 16 kHz."""

    root: Path

    def speech(self, file: str) -> Signal:
        return _read(self.root / "clean" / file)

    def noise(self, file: str) -> Signal:
        return _read(self.root / "noise" / file)

    def room(self, file: str) -> Signal:
        return _read(self.root / "rir" / file)


Draw = Callable[[float, Library, Rng], dict[str, Any]]
"""Severity (0: at the edge of what is heard; 1: as bad as it gets in a call), sources, generator → parameters. Two
severities apart by 0.1 differ by about 0.4 rating points, so that severities drawn evenly give ratings drawn evenly."""
Done = tuple[Signal, tuple[Degradation, ...]]
"""The new signal and what was done."""
Apply = Callable[[Signal, Params, Materials, Rng], Done]
"""Speech float32 [n] at 16 kHz mono, parameters, sources, generator → the new signal, and what was done: nothing, where
nothing was (a codec that met silence), or several things (a telephone codec colors, and narrows the band). What
comes out depends on the arguments alone, to the sample."""


@dataclass(frozen=True)
class Family:
    """One kind of degradation: how it is drawn, and how it is done."""

    name: str
    place: Place
    weight: float
    """How often it is met beside the others; 1 is usual."""
    draw: Draw
    apply: Apply


def to_level(signal: Signal, level_dbov: float) -> Signal:
    return (signal * 10 ** ((level_dbov - active_level(signal)) / 20)).astype(np.float32)


@cache
def _read(path: Path) -> Signal:
    samples = read(path)
    samples.setflags(write=False)
    return samples
