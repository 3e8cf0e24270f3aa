"""What can be wrong with a recording, as a listener names it: one word for what sounds alike.

A simulated clip records the causes that were applied; a description may name those and no others. Kinds that nobody
tells apart by ear (white noise and a fan, one kitchen and another) share a name. stock.toml has their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqe_fast.answer.causes import END, UNCLEAR, Calibration, Causes, Kind
from sqe_fast.results import DIMENSIONS

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("steady noise", "noisiness"),
        Kind("street noise", "noisiness", "steady noise"),
        Kind("machine noise", "noisiness", "steady noise"),
        Kind("wind", "noisiness", "steady noise"),
        Kind("water", "noisiness", "steady noise"),
        Kind("hum", "noisiness"),
        Kind("voices", "noisiness"),
        Kind("sudden sounds", "noisiness"),
        Kind("clatter", "noisiness", "sudden sounds"),
        Kind("typing", "noisiness", "sudden sounds"),
        Kind("ticking", "noisiness", "sudden sounds"),
        Kind("animal sounds", "noisiness", "sudden sounds"),
        Kind("crying child", "noisiness", "sudden sounds"),
        Kind("crackle", "noisiness"),
        Kind("telephone band", "coloration"),
        Kind("muffled sound", "coloration"),
        Kind("thin sound", "coloration"),
        Kind("reverberation", "coloration"),
        Kind("clipping", "coloration"),
        Kind("coding", "coloration"),
        Kind("grain", "coloration"),
        Kind("noise suppression", "coloration"),
        Kind("robotic voice", "coloration"),
        Kind("altered pitch", "coloration"),
        Kind("packet loss", "discontinuity"),
        Kind("stutter", "discontinuity"),
        Kind("cut-off words", "discontinuity"),
        Kind("drop-outs", "discontinuity"),
        Kind("skips", "discontinuity"),
        Kind("low level", "loudness"),
        Kind("high level", "loudness"),
        Kind("uneven level", "loudness"),
    )
}
"""By name."""


def uncalibrated() -> Causes:
    """All of `KINDS`, before validation has said how far the reading of each can be trusted. A list goes on until it is
    likely to be complete: what is not sure is held back by its own threshold."""
    names = (*KINDS, *UNCLEAR.values(), END)
    reading = dict.fromkeys(names, Calibration()) | {END: Calibration(threshold=0.8)}
    return Causes(tuple(KINDS.values()), reading)


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
