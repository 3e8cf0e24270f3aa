"""A stock of few causes: two kinds of noise with a group, and one of each other dimension."""

from __future__ import annotations

from sqe_fast.answer.causes import END, UNCLEAR, Calibration, Causes, Kind
from sqe_fast.answer.stock import Stock

KINDS = (
    Kind("steady noise", "noisiness"),
    Kind("wind", "noisiness", "steady noise"),
    Kind("water", "noisiness", "steady noise"),
    Kind("hum", "noisiness"),
    Kind("clipping", "coloration"),
    Kind("packet loss", "discontinuity"),
    Kind("stutter", "discontinuity"),
    Kind("low level", "loudness"),
)
NAMES = (*(kind.name for kind in KINDS), *UNCLEAR.values(), END)


def causes(kinds: tuple[Kind, ...] = KINDS, **reading: Calibration) -> Causes:
    """Thresholds of ½ without calibration, but for names as given ("packet_loss" for "packet loss")."""
    changed = {name.replace("_", " "): calibration for name, calibration in reading.items()}
    names = (*(kind.name for kind in kinds), *UNCLEAR.values(), END)
    return Causes(kinds, dict.fromkeys(names, Calibration()) | changed)


STOCK = Stock(causes())
UNSURE = Calibration(threshold=0.15)
EAGER = Stock(Causes(KINDS, dict.fromkeys(NAMES, UNSURE) | {END: Calibration(threshold=0.4)}))
"""Names what is not sure at all, so that a model of random weights lists something."""
