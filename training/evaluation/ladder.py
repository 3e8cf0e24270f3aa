"""Ladders: one family of degradation, five rising steps, held-out speakers. Does the right rating fall, and the MOS?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqe_fast.evaluator import Evaluator
from training.simulation.library import Library, open_library, read
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.recipes import single
from training.simulation.simulate import apply
from training.simulation.stage import Materials
from training.streams import Stream, stream

SPEAKERS = 8
SECONDS = (2.5, 8.0)
SEVERITIES = (0.1, 0.3, 0.5, 0.7, 0.9)

LADDERS = {
    # family → dimension that must fall
    "steady": "noisiness",
    "street": "noisiness",
    "voices": "noisiness",
    "band": "coloration",
    "overload": "coloration",
    "codec": "coloration",
    "reverb": "coloration",
    "mnru": "coloration",
    "loss": "discontinuity",
    "jitter": "discontinuity",
    "mutes": "discontinuity",
    "gate": "discontinuity",
    "level": "loudness",
    "drift": "loudness",
}
ENOUGH_DIMENSION, ENOUGH_MOS, INVERSION = 1.0, 0.7, 0.1
"""What a ladder must lower from end to end, and the one small step upwards it may take."""


@dataclass(frozen=True)
class Ladder:
    """How one family was rated, step by step."""

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


def rung(family: str, severity: float, lib: Library, voices: list[Signal]) -> list[Signal]:
    """Each voice with one family at a severity. What else is drawn, its kind and its moments, is the same at each."""
    clips = []
    for seed, voice in enumerate(voices):
        recipe = single(family, severity, lib, stream(Stream.CLIP_RECIPE, seed))
        clips.append(apply(voice, recipe, Materials(lib.root), seed)[0])
    return clips


def climb(evaluator: Evaluator, data: Path) -> list[Ladder]:
    """Rate every step of every ladder for every held-out speaker."""
    lib = open_library(data, "test")
    voices = held_out_speech(lib)
    ladders = []
    for name, dimension in LADDERS.items():
        ratings, mos = [], []
        for severity in SEVERITIES:
            clips = [(clip, SAMPLE_RATE) for clip in rung(name, severity, lib, voices)]
            evaluations = evaluator.evaluate(clips, describe=False)
            found = [evaluation.ratings for evaluation in evaluations if evaluation.ratings]
            if len(found) != len(voices):
                raise ValueError(f"{name}: {[str(e.error) for e in evaluations if e.error]}")
            ratings.append(round(float(np.mean([r[dimension] for r in found])), 3))
            mos.append(round(float(np.mean([r.mos for r in found])), 3))
        ladders.append(Ladder(name, dimension, tuple(ratings), tuple(mos)))
    return ladders
