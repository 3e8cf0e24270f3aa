"""Metrics against scipy and hand-computed values; intervals that hold what they should; A/B buckets."""

import math

import numpy as np
import pytest
from scipy import stats

from sqe_fast.answer.scale import verdict
from training.evaluation.scores import (
    BUCKETS,
    CLEAR,
    METRICS,
    Figure,
    Outcome,
    Share,
    ab_accuracy,
    ab_shares,
    accuracy,
    bias,
    bootstrap,
    bucket,
    condition_means,
    draw_pairs,
    lcc,
    line_rmse,
    mirrored,
    mse,
    rmse,
    srcc,
    within,
)

TRUE = np.array([1.0, 2.0, 3.0, 4.0])
READ = np.array([1.5, 1.5, 3.5, 3.5])


def test_metrics_by_hand() -> None:
    assert mse(READ, TRUE) == pytest.approx(0.25)
    assert rmse(READ, TRUE) == pytest.approx(0.5)
    assert lcc(READ, TRUE) == pytest.approx(2 / math.sqrt(5))  # Σxy = 4, Σx² = 4, Σy² = 5, each about its mean
    assert srcc(READ, TRUE) == pytest.approx(2 / math.sqrt(5))  # tied ranks 1.5, 1.5, 3.5, 3.5
    assert lcc(-READ, TRUE) == pytest.approx(-2 / math.sqrt(5))


def test_bias_has_its_sign_and_a_line_takes_it_away() -> None:
    """People who are 0.8 stricter than we are must be told so, and told that it is all there is."""
    assert bias(TRUE + 0.8, TRUE) == pytest.approx(0.8)
    assert bias(TRUE, TRUE + 0.8) == pytest.approx(-0.8)
    assert line_rmse(0.5 * TRUE + 0.8, TRUE) == pytest.approx(0, abs=1e-6)
    slope, offset = np.polyfit(READ, TRUE, 1)
    assert line_rmse(READ, TRUE) == pytest.approx(rmse(slope * READ + offset, TRUE))
    assert line_rmse(np.full(4, 2.0), TRUE) == pytest.approx(TRUE.std())


def test_how_often_people_lie_within_what_the_model_says_of_itself() -> None:
    found = within(READ, np.array([0.5, 0.2, 0.5, 0.3]), TRUE)
    assert (found["one"].right, found["two"].right, found["two"].of) == (2, 3, 4)


def test_correlations_are_scipys() -> None:
    rng = np.random.default_rng(0)
    true = np.round(rng.uniform(1, 5, 80), 1)  # with ties
    read = np.exp(true / 2) + rng.normal(0, 1, 80)
    assert lcc(read, true) == pytest.approx(stats.pearsonr(read, true).statistic, abs=1e-12)
    assert srcc(read, true) == pytest.approx(stats.spearmanr(read, true).statistic, abs=1e-12)


def test_a_correlation_with_a_constant_is_undefined_and_null_in_json() -> None:
    found = accuracy(np.full(5, 3.0), np.arange(5.0), draws=20)
    assert all(math.isnan(value) for value in vars(found["lcc"]).values())
    assert found["srcc"].to_row() == {"value": None, "low": None, "high": None}
    assert math.isnan(Figure.from_row(found["srcc"].to_row()).low)
    assert found["mse"].value == pytest.approx(3.0)  # the mean of 9, 4, 1, 0, 1


def test_intervals_hold_the_value_shrink_with_clips_and_repeat() -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform(1, 5, 400)
    read = true + rng.normal(0, 0.4, 400)
    wide, narrow = accuracy(read[:40], true[:40], draws=200), accuracy(read, true, draws=200)
    for name in METRICS:
        assert wide[name].low < wide[name].value < wide[name].high
        assert narrow[name].high - narrow[name].low < wide[name].high - wide[name].low
    assert accuracy(read[:40], true[:40], draws=200) == wide
    assert accuracy(read[:40], true[:40], draws=200, seed=1) != wide


def test_the_bootstrap_of_a_mean_has_its_standard_error() -> None:
    values = np.random.default_rng(2).normal(0, 1, 500)
    low, high = bootstrap(lambda i: float(values[i].mean()), values.size)
    assert (high - low) / (2 * 1.96) == pytest.approx(values.std() / math.sqrt(500), rel=0.1)
    assert low < values.mean() < high


@pytest.mark.parametrize(
    ("read", "true"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([1, 2, math.nan], [1, 2, 3]), ([[1, 2, 3]], [[1, 2, 3]])]
)
def test_what_cannot_be_scored_is_refused(read: list[float], true: list[float]) -> None:
    with pytest.raises(ValueError, match=r"need two arrays|finite"):
        accuracy(np.array(read), np.array(true))


def test_conditions_are_averaged_before_they_are_compared() -> None:
    read, true = condition_means(["b", "a", "b", "a"], np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 1.0, 2.0, 2.0]))
    assert read.tolist() == [4.0, 2.0]
    assert true.tolist() == [1.5, 1.5]


@pytest.mark.parametrize(("right", "of"), [(0, 7), (7, 7), (3, 10), (98, 100)])
def test_shares_have_wilsons_interval(right: int, of: int) -> None:
    """By E. B. Wilson's formula (1927); not the normal approximation, which leaves [0, 1]."""
    z, p = 1.959963984540054, right / of
    center, half = p + z**2 / (2 * of), z * math.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    borders = ((center - half) / (1 + z**2 / of), (center + half) / (1 + z**2 / of))
    figure = Share(right, of).figure
    assert (figure.value, figure.low, figure.high) == pytest.approx((p, *borders), abs=1e-9)
    assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_one_item_is_its_own_interval() -> None:
    """A single described clip has a BLEU; SciPy refuses to resample it."""
    assert bootstrap(lambda chosen: 2.5 + chosen[0], 1) == (2.5, 2.5)


def test_a_resample_that_leaves_a_figure_undefined_does_not_count() -> None:
    """Of three points, some resamples hold one point alone and have no correlation: the interval is of the others."""
    found = accuracy(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 3.0]))["lcc"]
    assert 0 < found.low <= found.value < found.high <= 1


def test_a_share_of_nothing_is_null_and_one_over_all_is_refused() -> None:
    assert Share(0, 0).to_row() == {"right": 0, "of": 0, "value": None, "low": None, "high": None}
    with pytest.raises(ValueError, match="no share"):
        Share(3, 2)


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (3.4, 3.4, "tie, ≤ 0.1"),
        (3.4, 3.3, "tie, ≤ 0.1"),
        (3.1, 3.3, "0.1–0.25"),
        (3.4, 3.1, "0.25–0.5"),
        (2.9, 3.4, "0.5–1"),
        (1.2, 2.1, "0.5–1"),
        (4.4, 3.4, "1–2"),
        (4.1, 2.1, "≥ 2"),
        (1.0, 5.0, "≥ 2"),
    ],
)
def test_buckets_at_their_borders(a: float, b: float, name: str) -> None:
    assert BUCKETS[bucket(a - b)][0] == name
    assert BUCKETS[bucket(b - a)][0] == name


def test_verdicts_are_counted_by_bucket() -> None:
    outcomes = [
        Outcome(0.0, "tie", "tie", 0.5),
        Outcome(0.1, "tie", "A", 0.9),
        Outcome(-0.7, "B", "B", 0.1),
        Outcome(-0.7, "B", "A", 0.8),
        Outcome(2.5, "A", "A", 0.9),
    ]
    shares = ab_shares(outcomes)
    assert shares["tie, ≤ 0.1"] == Share(1, 2)
    assert shares["0.5–1"] == Share(1, 2)
    assert shares["≥ 2"] == Share(1, 1)
    assert shares["0.25–0.5"] == Share(0, 0)
    assert shares[CLEAR] == Share(2, 3)


def test_only_the_exact_mirror_counts_as_mirrored() -> None:
    swapped = (0.25, 0.25, 0.75, 0.2501, None)
    assert mirrored([Outcome(1, "A", "A", 0.75, other) for other in swapped]) == Share(2, 4)


def test_pairs_fill_every_bucket_and_are_distinct() -> None:
    mos = np.round(np.random.default_rng(3).uniform(1, 5, 60), 1)
    pairs = draw_pairs(mos, 10, np.random.default_rng(0))
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == 10 * len(BUCKETS)
    lots = [bucket(mos[a] - mos[b]) for a, b in pairs]
    assert [lots.count(index) for index in range(len(BUCKETS))] == [10] * len(BUCKETS)
    assert 15 < sum(a < b for a, b in pairs) < 45
    assert pairs == draw_pairs(mos, 10, np.random.default_rng(0))


def test_a_bucket_gives_no_more_pairs_than_it_has() -> None:
    assert sorted(map(sorted, draw_pairs(np.array([2.0, 2.0, 4.5]), 5, np.random.default_rng(0)))) == [
        [0, 1],
        [0, 2],
        [1, 2],
    ]


def test_ab_accuracy_counts_every_clear_pair_once() -> None:
    """By hand: of the gaps of 0.5 and more, 1.0 and 1.5 (2.0 against 3.0 and 3.5) are right; 0.5 was read as a tie."""
    figure = ab_accuracy(np.array([2.0, 3.0, 3.5]), np.array([2.1, 3.3, 3.4]))
    assert figure.value == pytest.approx(2 / 3)
    assert figure.low <= figure.value <= figure.high


def test_ab_accuracy_equals_the_verdicts_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    true = np.round(rng.uniform(1, 5, 60), 1)
    read = np.round(np.clip(true + rng.normal(0, 0.5, 60), 1, 5), 1)
    pairs = [(i, j) for i in range(60) for j in range(i) if round(abs(true[i] - true[j]) * 10) >= 5]
    right = sum(verdict(read[i], read[j]) == verdict(true[i], true[j]) for i, j in pairs)
    assert ab_accuracy(true, read).value == pytest.approx(right / len(pairs))


def test_ab_accuracy_without_a_clear_pair_is_undefined() -> None:
    assert math.isnan(ab_accuracy(np.array([3.0, 3.2]), np.array([3.0, 3.2])).value)
