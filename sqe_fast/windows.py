"""From the ratings of a recording's windows to those of the recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sqe_fast.results import DIMENSIONS, Ratings


class Score(NamedTuple):
    """What one window got. `window` counts the recording's windows, those not scored included."""

    window: int
    seconds: float
    ratings: Ratings


def combine(scores: Sequence[Score]) -> Ratings:
    """Duration-weighted means; a single score is returned as it is.

    `mos_std` is that of the mixture of the windows' MOS distributions: the spread within windows, and that between
    them. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("nothing was scored")
    if len(scores) == 1:
        return scores[0].ratings
    total = math.fsum(score.seconds for score in scores)

    def mean(values: Sequence[float]) -> float:
        return math.fsum(score.seconds * value for score, value in zip(scores, values, strict=True)) / total

    mos = mean([score.ratings.mos for score in scores])
    variance = mean([score.ratings.mos_std**2 + (score.ratings.mos - mos) ** 2 for score in scores])
    dimensions = {name: mean([score.ratings[name] for score in scores]) for name in DIMENSIONS}
    return Ratings(**dimensions, mos=mos, mos_std=math.sqrt(variance))


def typical(scores: Sequence[Score]) -> int:
    """The index of the window that stands for the recording: the first whose MOS is nearest to the whole's."""
    mos = combine(scores).mos
    return min(scores, key=lambda score: abs(score.ratings.mos - mos)).window
