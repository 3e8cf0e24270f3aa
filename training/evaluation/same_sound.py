"""Same sound, same score: changes that nobody hears, each beside its audible twin (simulation/changes.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sqe_fast.audio import Source
from sqe_fast.evaluator import Evaluator
from sqe_fast.results import Ratings
from training.evaluation.rated_sets import RatedSet
from training.evaluation.scores import Share
from training.simulation.changes import PAIRS, Change
from training.simulation.measures import SAMPLE_RATE, Signal
from training.streams import Stream, stream

ROOM_TO_FALL = 3.5
"""An audible twin is asked of clips whose dimension is rated at least this: there must be something to lose."""


def same_sound(evaluator: Evaluator, rated: RatedSet, chosen: Sequence[int]) -> dict[str, dict[str, Any]]:
    """For each change, over the `chosen` recordings of a simulated set, which can all be rated: by how much the MOS
    moves under the inaudible one, on average, at most, and with its sign; and how often the twin lowers both its
    dimension and the MOS."""
    sounds = [_samples(rated.sources[index]) for index in chosen]
    before = _rate(evaluator, sounds)
    found = {}
    for number, (name, pair) in enumerate(PAIRS.items()):
        after = _rate(evaluator, _changed(sounds, pair.inaudible, 2 * number))
        moved = np.array([b.mos - a.mos for a, b in zip(before, after, strict=True)])
        able = [index for index, ratings in enumerate(before) if ratings[pair.dimension] >= ROOM_TO_FALL]
        twins = _rate(evaluator, _changed([sounds[index] for index in able], pair.twin, 2 * number + 1))
        falls = [
            twin[pair.dimension] < before[index][pair.dimension] and twin.mos < before[index].mos
            for index, twin in zip(able, twins, strict=True)
        ]
        found[name] = {
            "clips": len(chosen),
            "mean_move": round(float(np.abs(moved).mean()), 4),
            "worst_move": round(float(np.abs(moved).max()), 4),
            "bias": round(float(moved.mean()), 4),
            "twins_fall": Share(sum(falls), len(falls)).to_row(),
        }
    return found


def _samples(source: Source) -> Signal:
    assert isinstance(source, tuple)
    samples, rate = source
    assert rate == SAMPLE_RATE
    return np.asarray(samples, np.float32)


def _changed(sounds: Sequence[Signal], change: Change, number: int) -> list[Signal]:
    return [change(sound, stream(Stream.SAME_SOUND, 0, number, index)) for index, sound in enumerate(sounds)]


def _rate(evaluator: Evaluator, sounds: Sequence[Signal]) -> list[Ratings]:
    evaluations = evaluator.evaluate([(sound, SAMPLE_RATE) for sound in sounds], describe=False)
    ratings = [evaluation.ratings for evaluation in evaluations if evaluation.ratings]
    if len(ratings) != len(sounds):
        raise ValueError(f"not rated: {[str(e.error) for e in evaluations if not e.ratings]}")
    return ratings
