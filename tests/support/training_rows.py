"""Corpus rows and clips for tests: drawn ratings, causes of the recorded kind, speech made by code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sqe_fast.results import RATINGS
from tests.support.speech import talk
from training.corpora.corpus import HUMAN
from training.language.causes import KINDS


def rows(count: int, seed: int = 1, shortest: int = 16_000, longest: int = 20_000) -> list[dict[str, Any]]:
    """Each with two audible causes, of a noise and of a coloration; lengths in samples."""
    rng = np.random.default_rng(seed)
    return [
        {
            **{name: round(float(rng.uniform(1, 4.8)), 2) for name in RATINGS},
            "causes": [cause(str(rng.choice(["hum", "voices"])), 2.2), cause("reverberation", 3.1)],
            "rated_by": "simulated",
            "samples": int(rng.integers(shortest, longest)),
            "seed": index,
        }
        for index in range(count)
    ]


def cause(name: str, rating: float) -> dict[str, Any]:
    assert name in KINDS
    return {"family": "any", "kind": "any", "name": name, "measures": {}, "rating": rating}


def partly_rated(count: int) -> FakeClips:
    """Clips that a panel rated on two scales."""
    clips = FakeClips(count, seed=9)
    unknown = ("coloration", "discontinuity", "loudness")
    clips.annotations = tuple(
        {
            **{name: value for name, value in row.items() if name not in unknown},
            "split": HUMAN,
            "rated_by": "human",
            "causes": [],
            "plausible": dict.fromkeys(unknown, 3.3),
        }
        for row in clips.annotations
    )
    return clips


class FakeClips:
    """What `corpus.Clips` offers, without a file."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.annotations = tuple(rows(count, seed))
        self.heard = 0

    def audio(self, clip: dict[str, Any]) -> npt.NDArray[np.float32]:
        self.heard += 1
        return talk(clip["samples"] / 16_000, seed=clip["seed"], level=0.02 * clip["mos"])

    def __len__(self) -> int:
        return len(self.annotations)
