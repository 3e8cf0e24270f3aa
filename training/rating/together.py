"""How the five ratings of one file hang together: fitted to the 712 rated files of the NISQA test sets.

What listener.py takes from here stands there as constants: HALO, WEIGHTS, WORST, OFFSET.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LinearRegression

from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.nisqa import COLUMNS
from training.rating.curves import share
from training.rating.listener import HALO_POWER

Values = npt.NDArray[np.float64]

NISQA_RATINGS = Path("rated") / "nisqa_test_ratings_712.csv"
BY_FAR, BAD = 0.6, 3.4
"""A dimension is worst by far where it is so much below all others; below the second it is bad."""


def nisqa_ratings(data: Path) -> Values:
    """[712, 5], in the order of RATINGS."""
    names = {name: column for column, name in COLUMNS.items()}
    with (data / NISQA_RATINGS).open(newline="") as lines:
        return np.array([[float(row[names[name]]) for name in RATINGS] for row in csv.DictReader(lines)])


def dimensions_of(ratings: Values) -> Values:
    """[n, 4], in the order of DIMENSIONS, of ratings [n, 5]."""
    return ratings[:, [RATINGS.index(name) for name in DIMENSIONS]]


def worst_by_far(dimensions: Values, index: int) -> npt.NDArray[np.bool_]:
    """[n]: files whose dimension `index` is worst by far."""
    return np.delete(dimensions, index, axis=1).min(axis=1) - dimensions[:, index] > BY_FAR


@dataclass(frozen=True)
class Weights:
    """The MOS as a weighted sum of the dimensions, the worst counted a second time."""

    dimensions: Values
    worst: float
    offset: float
    determination: float
    """R²."""


def fit_weights(ratings: Values) -> Weights:
    dimensions, mos = dimensions_of(ratings), ratings[:, RATINGS.index("mos")]
    known = np.column_stack([dimensions, dimensions.min(axis=1)])
    fitted = LinearRegression().fit(known, mos)
    return Weights(fitted.coef_[:4], float(fitted.coef_[4]), float(fitted.intercept_), float(fitted.score(known, mos)))


def fit_halo(ratings: Values) -> Values:
    """[4, 4]: the share that each dimension (row), with nothing left, takes of each other one (column)."""
    dimensions, halo = dimensions_of(ratings), np.zeros((4, 4))
    for index in range(len(DIMENSIONS)):
        chosen = worst_by_far(dimensions, index) & (dimensions[:, index] < BAD)
        others = [other for other in range(4) if other != index]
        lost = np.clip(1 - share(dimensions[chosen, index]), 0.0, 1.0) ** HALO_POWER
        halo[index, others] = lost @ (1 - share(dimensions[chosen][:, others])) / (lost @ lost)  # least squares
    return halo
