"""Ladders: one degradation, five rising steps, held-out speakers. Does the right rating fall, and the MOS with it?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqe_fast.evaluator import Evaluator
from training.simulation.library import Library, open_library, read
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.simulate import apply
from training.simulation.stage import Materials, Params

SPEAKERS = 8
SECONDS = (2.5, 8.0)
NORMAL_LEVEL: Params = {"stage": "level", "level_dbov": -22.0}

LADDERS: dict[str, tuple[str, tuple[Params, ...]]] = {
    # name → (dimension that must fall, five steps from mild to severe)
    "noise": (
        "noisiness",
        tuple({"stage": "noise", "kind": "street", "source": "street", "snr_db": s} for s in (38, 27, 17, 8, 0)),
    ),
    "loss": (
        "discontinuity",
        tuple({"stage": "loss", "kind": "silence", "rate": r, "burst": 2.0} for r in (0.01, 0.04, 0.1, 0.2, 0.35)),
    ),
    "band": (
        "coloration",
        tuple({"stage": "band", "low_hz": 0.0, "high_hz": f} for f in (7000, 4500, 3200, 2200, 1400)),
    ),
    "clipping": ("coloration", tuple({"stage": "clip", "headroom_db": h} for h in (11, 6, 1, -4, -10))),
    "level": ("loudness", tuple({"stage": "level", "level_dbov": v} for v in (-22, -32, -41, -50, -59))),
}
ENOUGH_DIMENSION, ENOUGH_MOS, INVERSION = 1.0, 0.7, 0.1
"""What a ladder must lower from end to end, and the one small step upwards it may take."""


@dataclass(frozen=True)
class Ladder:
    name: str
    dimension: str
    ratings: tuple[float, ...]
    """Mean rating of the dimension over speakers, step by step."""
    mos: tuple[float, ...]

    @property
    def passed(self) -> bool:
        enough = self.ratings[0] - self.ratings[-1] >= ENOUGH_DIMENSION and self.mos[0] - self.mos[-1] >= ENOUGH_MOS
        return enough and _falls(self.ratings) and _falls(self.mos)

    def to_row(self) -> dict[str, object]:
        return {"ladder": self.name, self.dimension: self.ratings, "mos": self.mos, "passed": self.passed}


def _falls(values: tuple[float, ...]) -> bool:
    rises = [step for step in np.diff(values) if step > 0]
    return len(rises) <= 1 and all(step < INVERSION for step in rises)


def held_out_speech(lib: Library) -> list[Signal]:
    """One clip of each of eight held-out speakers, the first of usable length."""
    clips: dict[str, Signal] = {}
    for speech in sorted(lib.speech, key=lambda s: s.file):
        samples = read(lib.root / "clean" / speech.file)
        usable = SECONDS[0] <= samples.size / SAMPLE_RATE <= SECONDS[1] and active_level(samples) > -40
        if usable and speech.speaker not in clips:
            clips[speech.speaker] = samples
    return list(clips.values())[:SPEAKERS]


def climb(evaluator: Evaluator, data: Path) -> list[Ladder]:
    """Rate every step of every ladder for every held-out speaker."""
    lib = open_library(data, "test")
    street = next(file for file, category in lib.noises if category == "street")
    materials = Materials({"street": read(data / "noise" / street)}, {})
    voices = held_out_speech(lib)
    ladders = []
    for name, (dimension, steps) in LADDERS.items():
        ratings, mos = [], []
        for step in steps:
            recipe = (step,) if step["stage"] == "level" else (NORMAL_LEVEL, step, NORMAL_LEVEL)
            clips = [(apply(voice, recipe, materials, seed)[0], SAMPLE_RATE) for seed, voice in enumerate(voices)]
            evaluations = evaluator.evaluate(clips, describe=False)
            found = [evaluation.ratings for evaluation in evaluations if evaluation.ratings]
            if len(found) != len(voices):
                raise ValueError(f"{name}: {[str(e.error) for e in evaluations if e.error]}")
            ratings.append(round(float(np.mean([r[dimension] for r in found])), 3))
            mos.append(round(float(np.mean([r.mos for r in found])), 3))
        ladders.append(Ladder(name, dimension, tuple(ratings), tuple(mos)))
    return ladders
