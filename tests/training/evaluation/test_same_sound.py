"""Same sound, same score: a deaf model must not pass, nor a nervous one."""

import numpy as np

from sqe_fast.results import Evaluation, Ratings
from training.evaluation.rated_sets import RatedSet
from training.evaluation.same_sound import same_sound
from training.simulation.changes import PAIRS
from training.simulation.measures import SAMPLE_RATE, Signal

ROWS = [{"rated_by": "simulated", "mos": 4.0, "causes": [], "seed": seed} for seed in range(3)]


class Rater:
    """Stands for an evaluator: rates a clip by a function of its samples."""

    def __init__(self, rate) -> None:  # type: ignore[no-untyped-def]
        self.rate = rate

    def evaluate(self, sources, describe):  # type: ignore[no-untyped-def]
        assert not describe
        return [Evaluation("clip", ratings=Ratings(*[self.rate(samples)] * 5, mos_std=0.1)) for samples, _ in sources]


def rated() -> RatedSet:
    rng = np.random.default_rng(0)
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    clips: list[Signal] = [
        (0.1 * np.sin(2 * np.pi * 200 * time) * (rng.random(time.size) > 0.1)).astype(np.float32) for _ in ROWS
    ]
    return RatedSet("set", "in-domain", ROWS, [(clip, SAMPLE_RATE) for clip in clips])


def test_a_deaf_model_never_moves_and_fails_every_twin() -> None:
    """The first half of the table alone would call it perfect."""
    found = same_sound(Rater(lambda samples: 4.0), rated(), range(3))
    assert set(found) == set(PAIRS)
    for row in found.values():
        assert row["mean_move"] == row["worst_move"] == row["bias"] == 0
        assert row["twins_fall"]["right"] == 0
        assert row["twins_fall"]["of"] == 3


def test_a_model_that_hears_the_offset_is_found_out() -> None:
    """Its sign is told, and the other changes stay clean."""
    found = same_sound(Rater(lambda samples: 4.0 - 20 * abs(float(np.mean(samples)))), rated(), range(3))
    assert found["a constant offset, against hum"]["bias"] < -0.01
    assert found["polarity, against rectified"]["worst_move"] < 0.01


def test_a_twin_is_asked_only_where_there_is_something_to_lose() -> None:
    """A clip that is bad already cannot show that a model hears one fault more."""
    found = same_sound(Rater(lambda samples: 2.0), rated(), range(3))
    assert all(row["twins_fall"]["of"] == 0 for row in found.values())
