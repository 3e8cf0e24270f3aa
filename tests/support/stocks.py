"""A stock of few causes and fewer phrases: two kinds of noise with a group, and one of each other dimension."""

from __future__ import annotations

from typing import Any

from sqe_fast.answer.causes import END, UNCLEAR, Calibration, Causes, Kind
from sqe_fast.answer.phrases import Phrases
from sqe_fast.answer.scale import LABELS
from sqe_fast.answer.stock import Stock
from sqe_fast.results import DIMENSIONS

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


def stock(known: Causes) -> Stock:
    """Of these causes, with a few phrases."""
    return Stock(known, Phrases(PHRASES, {kind.name: kind.dimension for kind in known.kinds}))


PHRASES: dict[str, Any] = {
    **{
        name: {
            kind: {label: [f"the {name} is {label}{end}", f"{name} at {label}{end}"] for label in LABELS}
            for kind, end in (("plain", ""), ("cause", " from {cause}"))
        }
        for name in DIMENSIONS
    },
    "joint": {"excellent": ["{dimensions} are fine"]},
    "openings": {"good": ["little to fix:"]},
    "links": {"add": ["also,"], "rest": ["otherwise,"]},
    "mos": ["overall {label}, MOS {mos}."],
    "degrees": {"very": {"bad": ["extremely"], "poor": ["very"], "fair": ["clearly"], "good": ["slightly"]}},
    "causes": {
        **{kind.name: {"one": [kind.name]} for kind in KINDS},
        "wind": {"one": ["wind"], "many": ["gusts of wind"]},
        "clipping": {"one": ["clipping"], "says": {"any": ["the voice sounds {very} harsh"]}},
    },
    "better": {name: [f"is better in {name}"] for name in DIMENSIONS},
    "worse": {
        "plain": {name: [f"is worse in {name}"] for name in DIMENSIONS},
        "cause": {name: [f"has {{cause}} in its {name}"] for name in DIMENSIONS},
    },
}
PHRASES["noisiness"]["cause"]["poor"] = ["{cause} covers/cover the voice and makes/make it hard to follow"]

STOCK = stock(causes())
UNSURE = Calibration(threshold=0.15)
EAGER = stock(Causes(KINDS, dict.fromkeys(NAMES, UNSURE) | {END: Calibration(threshold=0.4)}))
"""Names what is not sure at all, so that a model of random weights lists something."""
