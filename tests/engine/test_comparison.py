"""Two MOS distributions beside each other, and the order of a ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.answer.scale import NUMBER_VALUES
from sqe_fast.engine.comparison import better, in_order, neighbours, ranking
from sqe_fast.engine.pipeline import Chances, Scored, combine, mixed
from sqe_fast.engine.pipeline import Score as WindowScore
from sqe_fast.results import Comparison, Ratings

VALUES = np.array(NUMBER_VALUES)


def rated(mos: float, std: float = 0.0) -> Ratings:
    return Ratings(3.0, 3.0, 3.0, 3.0, mos, std)


def scored(file: str, mos: float | None) -> Scored:
    return Scored(file, "fake", ratings=None if mos is None else rated(mos))


def at(*values: float) -> Chances:
    """Equally likely, and nothing else."""
    chances = np.zeros(len(NUMBER_VALUES))
    for value in values:
        chances[NUMBER_VALUES.index(value)] += 1 / len(values)
    return chances


def bell(mean: float, std: float) -> Chances:
    weights = np.exp(-0.5 * ((VALUES - mean) / std) ** 2)
    return np.asarray(weights / weights.sum())


def drawn(seed: int) -> Chances:
    """Any shape, some values impossible."""
    rng = np.random.default_rng(seed)
    weights = rng.random(len(NUMBER_VALUES)) * (rng.random(len(NUMBER_VALUES)) < 0.5)
    weights[rng.integers(len(NUMBER_VALUES))] += 1
    return np.asarray(weights / weights.sum())


def test_the_probability_is_that_of_two_independent_draws() -> None:
    """A half forgotten, or the sign lost; a normal taken for a distribution that is none."""
    assert (better(at(3.0), at(2.9)), better(at(2.9), at(3.0)), better(at(3.0), at(3.0))) == (1.0, 0.0, 0.5)
    assert better(at(1.0, 4.0), at(3.0)) == 0.5  # two normals of these means and spreads say 0.37
    assert better(at(1.0, 3.0), at(1.0, 2.0)) == pytest.approx(0.25 * (0.5 + 0 + 1 + 1))
    assert better(bell(3.5, 0.3), bell(3.0, 0.4)) == pytest.approx(0.841345, abs=2e-3)  # Φ(0.5 / 0.5)


def test_the_probability_is_what_drawing_finds() -> None:
    rng = np.random.default_rng(0)
    for seed in range(4):
        a, b = drawn(seed), drawn(seed + 10)
        first, second = (rng.choice(VALUES, 400_000, p=chances) for chances in (a, b))
        found = np.mean(first > second) + np.mean(first == second) / 2
        assert better(a, b) == pytest.approx(found, abs=4e-3)


@settings(derandomize=True)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_every_probability_has_an_exact_complement(seed: int, other: int) -> None:
    a, b = drawn(seed), drawn(other)
    assert better(a, b) == 1.0 - better(b, a)
    assert better(b, a) == 1.0 - better(a, b)
    assert 0.0 <= better(a, b) <= 1.0
    assert better(a, a) == 0.5


def test_windows_are_mixed_by_their_speech() -> None:
    """The distribution of one window, or of none of them: its mean and spread are those of the whole's ratings."""
    windows = [(30.0, bell(2.0, 0.3)), (10.0, bell(4.0, 0.5))]

    def spread(chances: Chances) -> tuple[float, float]:
        mean = float(chances @ VALUES)
        return mean, float(np.sqrt(chances @ (VALUES - mean) ** 2))

    whole = combine([WindowScore(0, weight, rated(*spread(chances))) for weight, chances in windows])
    found = spread(mixed([chances.astype(np.float32) for _, chances in windows], [weight for weight, _ in windows]))
    assert found == pytest.approx((whole.mos, whole.mos_std), abs=1e-6)


def test_the_best_comes_first_and_what_was_not_rated_last() -> None:
    """Equals that change places, an unrated clip that counts as the worst, or as a neighbour."""
    given = [scored("a", 2.0), scored("b", None), scored("c", 4.0), scored("d", 2.0), scored("e", None)]
    standings = in_order(given)
    assert [each.scored.file for each in standings] == ["c", "a", "d", "b", "e"]
    assert [(a.file, b.file) for a, b in neighbours(standings)] == [("c", "a"), ("a", "d")]
    pairs = [
        Comparison(a.evaluation, b.evaluation, winner, chance)
        for (a, b), winner, chance in zip(neighbours(standings), ("A", "tie"), (0.9, 0.5), strict=True)
    ]
    ranked = ranking(standings, pairs)
    assert [(each.place, each.tied, each.probability) for each in ranked] == [
        (1, False, 0.9),
        (2, True, 0.5),
        (3, None, None),
        (None, None, None),
        (None, None, None),
    ]
    assert [each.evaluation.source for each in ranked] == [2, 0, 3, 1, 4]
