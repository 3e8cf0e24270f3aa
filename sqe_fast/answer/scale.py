"""Ratings as numbers of one decimal: 41 of them, their names, which of two is ahead, what is shown."""

from __future__ import annotations

from collections.abc import Mapping

from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS, Ratings, Winner

NUMBER_VALUES = tuple(n / 10 for n in range(round(RATING_MIN * 10), round(RATING_MAX * 10) + 1))
NUMBER_TOKENS = tuple(f" {value:.1f}" for value in NUMBER_VALUES)
LABELS = ("bad", "poor", "fair", "good", "excellent")
"""The absolute category rating scale, ITU-T P.800."""


def number_index(value: float) -> int:
    """Where a rating, rounded to 0.1 and clipped to 1.0–5.0, stands among `NUMBER_TOKENS`."""
    return round(min(max(value, RATING_MIN), RATING_MAX) * 10) - round(RATING_MIN * 10)


def shown(ratings: Mapping[str, float] | Ratings) -> dict[str, float]:
    """As a line states them, to 0.1."""
    return {name: NUMBER_VALUES[number_index(ratings[name])] for name in RATINGS}


def verdict(mos_a: float, mos_b: float) -> Winner:
    """The clip with the higher MOS; a tie where the two, as shown to 0.1, lie no more than 0.1 apart."""
    lead = number_index(mos_a) - number_index(mos_b)
    return "tie" if abs(lead) <= 1 else "A" if lead > 0 else "B"
