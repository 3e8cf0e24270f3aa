"""What can be wrong with a recording, as a listener names it: one word for what sounds alike.

A simulated clip records the causes that were applied; a description may name those and no others. Kinds that nobody
tells apart by ear (white noise and a fan, one kitchen and another) share a name. stock.toml has their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqe_fast.answer import causes
from sqe_fast.results import DIMENSIONS


@dataclass(frozen=True)
class Kind:
    """One name for a cause, and the dimension it lowers."""

    dimension: str
    group: str | None
    """The coarser kind that people still tell where they are not sure of this one."""


KINDS: dict[str, Kind] = {
    "steady noise": Kind("noisiness", None),
    "street noise": Kind("noisiness", "steady noise"),
    "machine noise": Kind("noisiness", "steady noise"),
    "wind": Kind("noisiness", "steady noise"),
    "water": Kind("noisiness", "steady noise"),
    "hum": Kind("noisiness", None),
    "voices": Kind("noisiness", None),
    "sudden sounds": Kind("noisiness", None),
    "clatter": Kind("noisiness", "sudden sounds"),
    "typing": Kind("noisiness", "sudden sounds"),
    "ticking": Kind("noisiness", "sudden sounds"),
    "animal sounds": Kind("noisiness", "sudden sounds"),
    "crying child": Kind("noisiness", "sudden sounds"),
    "crackle": Kind("noisiness", None),
    "telephone band": Kind("coloration", None),
    "muffled sound": Kind("coloration", None),
    "thin sound": Kind("coloration", None),
    "reverberation": Kind("coloration", None),
    "clipping": Kind("coloration", None),
    "coding": Kind("coloration", None),
    "grain": Kind("coloration", None),
    "noise suppression": Kind("coloration", None),
    "robotic voice": Kind("coloration", None),
    "altered pitch": Kind("coloration", None),
    "packet loss": Kind("discontinuity", None),
    "stutter": Kind("discontinuity", None),
    "cut-off words": Kind("discontinuity", None),
    "drop-outs": Kind("discontinuity", None),
    "skips": Kind("discontinuity", None),
    "low level": Kind("loudness", None),
    "high level": Kind("loudness", None),
    "uneven level": Kind("loudness", None),
}


def uncalibrated() -> causes.Causes:
    """All of `KINDS`, before validation has said how far the reading of each can be trusted. A list goes on until it is
    likely to be complete: what is not sure is held back by its own threshold."""
    kinds = tuple(causes.Kind(name, kind.dimension, kind.group) for name, kind in KINDS.items())
    names = (*KINDS, *causes.UNCLEAR.values(), causes.END)
    reading = dict.fromkeys(names, causes.Calibration()) | {causes.END: causes.Calibration(threshold=0.8)}
    return causes.Causes(kinds, reading)


AUDIBLE = 4.2
"""A cause that alone would leave its dimension above this rating is not heard, and not named."""


def listed(row: Mapping[str, Any]) -> list[str]:
    """The names of what is wrong with a clip, as its answer lists them: those that were recorded and can be heard, the
    worst first."""
    return list(dict.fromkeys(cause["name"] for cause in audible(row)))


def dimension_of(cause: Mapping[str, Any]) -> str:
    """The dimension that the cause of a corpus row acts on."""
    return KINDS[cause["name"]].dimension


def audible(row: Mapping[str, Any], *dimensions: str) -> list[Mapping[str, Any]]:
    """The recorded causes of `dimensions` (none named: of all) that can be heard, the worst first.

    Each holds `name` and `rating`: what its dimension would be rated, were this cause the only one.
    """
    of = dimensions or DIMENSIONS
    heard = [c for c in row["causes"] if dimension_of(c) in of and c["rating"] <= AUDIBLE]
    return sorted(heard, key=lambda cause: float(cause["rating"]))
