"""The 1–5 scale in words: which category a rating falls into, and which words fit it.

The corpus and the evaluation share these rules, so that "words agree with numbers" means one thing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sqe_fast.answer import scale
from sqe_fast.answer.scale import LABELS
from training.corpora.annotation import Annotation

SLACK = 0.15
"""How far over the border between two categories the words of the other one still fit: 2.6 is fair, nearly poor."""


def shown(row: Annotation) -> dict[str, Any]:
    """The row with its ratings as a line states them, to 0.1: words follow from the numbers that stand beside them."""
    return {**row, **scale.shown(row)}


def label(rating: float) -> int:
    """0 … 4: the category that `rating` rounds to."""
    return int(np.clip(np.floor(rating + 0.5) - 1, 0, 4))


def fits(category: int, rating: float) -> bool:
    """Whether words of `category` (0 … 4) may be said of `rating`."""
    return abs(min(max(rating, 1.0), 5.0) - (category + 1)) <= 0.5 + SLACK + 1e-9


def fitting(rating: float) -> tuple[int, ...]:
    """The one or two categories whose words fit `rating`."""
    return tuple(category for category in range(len(LABELS)) if fits(category, rating))
