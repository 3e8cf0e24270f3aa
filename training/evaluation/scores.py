"""Figures with 95 % intervals: how well read ratings follow given ones, per file and per condition; A/B accuracy.

Pure functions of arrays and lists. Continuous figures are bootstrapped over what was drawn independently (files, or
conditions); shares carry Wilson's interval.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from sqe_fast.results import Winner
from training.streams import Stream, stream

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

DRAWS = 1000
FEWEST = 3
"""Two points always lie on a line."""
CONSTANT = 1e-12
"""Ratings that vary no more than this are one rating."""
AT_ONCE = 1_000_000
"""Numbers drawn at once, to bound memory."""


@dataclass(frozen=True)
class Figure:
    """A value and its 95 % interval; NaN where it is undefined, which is null in JSON."""

    value: float
    low: float
    high: float

    def to_row(self) -> dict[str, float | None]:
        return {k: None if math.isnan(v) else round(v, 4) for k, v in vars(self).items()}

    @classmethod
    def from_row(cls, row: Mapping[str, float | None]) -> Figure:
        return cls(**{k: math.nan if v is None else v for k, v in row.items()})


@dataclass(frozen=True)
class Share:
    """`right` of `of`, with Wilson's score interval (E. B. Wilson 1927), which holds near 0 and 1 too."""

    right: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.of:
            raise ValueError(f"{self.right} of {self.of} is no share")

    @property
    def figure(self) -> Figure:
        """All NaN where there was nothing to count."""
        if not self.of:
            return Figure(math.nan, math.nan, math.nan)
        interval = stats.binomtest(self.right, self.of).proportion_ci(method="wilson")
        return Figure(self.right / self.of, float(interval.low), float(interval.high))

    def to_row(self) -> dict[str, Any]:
        return {"right": self.right, "of": self.of, **self.figure.to_row()}


# Metrics take arrays [..., n] and give [...]: all resamples of a bootstrap at once.


def lcc(read: Values, true: Values) -> Values:
    """Pearson's linear correlation; NaN where either side is constant."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in (read, true))
    power = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    found = np.full(power.shape, np.nan)
    np.divide((x * y).sum(axis=-1), power, where=power > CONSTANT, out=found)
    return found


def srcc(read: Values, true: Values) -> Values:
    """Spearman's rank correlation, tied ranks averaged."""
    return lcc(stats.rankdata(read, axis=-1), stats.rankdata(true, axis=-1))


def mse(read: Values, true: Values) -> Values:
    return np.asarray(np.mean((read - true) ** 2, axis=-1))


def rmse(read: Values, true: Values) -> Values:
    return np.sqrt(mse(read, true))


def bias(read: Values, true: Values) -> Values:
    """Mean of what was read less what was given."""
    return np.asarray(np.mean(read - true, axis=-1))


def line_rmse(read: Values, true: Values) -> Values:
    """Root mean squared error after the straight line that brings `read` nearest to `true`: a panel's scale is its own
    (ITU-T P.1401, 7.3). Never above the standard deviation of `true`, which is what a constant gives."""
    followed = np.nan_to_num(lcc(read, true))
    return np.std(true, axis=-1) * np.sqrt(1 - np.minimum(followed**2, 1.0))


METRICS: dict[str, Callable[[Values, Values], Values]] = {
    "lcc": lcc,
    "srcc": srcc,
    "mse": mse,
    "rmse": rmse,
    "bias": bias,
    "line_rmse": line_rmse,
}
METRIC_NAMES = {
    "lcc": "LCC",
    "srcc": "SRCC",
    "mse": "MSE",
    "rmse": "RMSE as it stands",
    "bias": "bias",
    "line_rmse": "RMSE after a straight line",
}


def accuracy(read: Values, true: Values, draws: int = DRAWS, seed: int = 0) -> dict[str, Figure]:
    """Every metric of `read` [n] against `true` [n], bootstrapped over the n items.

    Raises ValueError for arrays of other shapes, fewer than three items, and values that are not finite.
    """
    read, true = np.asarray(read, np.float64), np.asarray(true, np.float64)
    if read.shape != true.shape or read.ndim != 1 or read.size < FEWEST:
        raise ValueError(f"need two arrays of one length, at least {FEWEST}, not {read.shape} and {true.shape}")
    if not (np.isfinite(read).all() and np.isfinite(true).all()):
        raise ValueError("ratings must be finite")

    def metrics(chosen: Indices, axis: int = -1) -> Values:
        return np.stack([metric(read[chosen], true[chosen]) for metric in METRICS.values()])

    values, drawn = metrics(np.arange(read.size)), _resampled(metrics, read.size, draws, seed)
    return {
        name: Figure(float(value), *percentiles(resampled))
        for name, value, resampled in zip(METRICS, values, drawn, strict=True)
    }


def bootstrap(of: Callable[[Indices], float], count: int, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of any figure `of` the indices [count] of one resample of `count` items."""
    if count < 2:  # its only resample is itself
        return percentiles(np.array([of(np.arange(count))]))
    return percentiles(_resampled(of, count, draws, seed))


def _resampled(of: Callable[..., Any], count: int, draws: int, seed: int) -> Values:
    """`of` each of `draws` resamples of `count` items, [..., draws]. A function with an `axis` is given many resamples
    at once: the indices [n, count], for which it returns [..., n]."""
    with warnings.catch_warnings(action="ignore", category=stats.DegenerateDataWarning):  # NaN: see `percentiles`
        found = stats.bootstrap(
            (np.arange(count),),
            of,
            n_resamples=draws,
            batch=max(1, AT_ONCE // count),
            method="percentile",
            rng=stream(Stream.BOOTSTRAP, seed),
        )
    return np.asarray(found.bootstrap_distribution)


def percentiles(found: Values) -> tuple[float, float]:
    """The middle 95 % of a figure's resamples; those that leave it undefined (a correlation over one point drawn again
    and again) don't count."""
    defined = found[~np.isnan(found)]
    if not defined.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def within(read: Values, spread: Values, true: Values) -> dict[str, Share]:
    """How often `true` [n] lies within one and within two of `spread` [n] around `read` [n]."""
    apart = np.abs(read - true)
    return {name: Share(int(np.sum(apart <= k * spread)), apart.size) for k, name in ((1, "one"), (2, "two"))}


def condition_means(conditions: Sequence[str], *ratings: Values) -> tuple[Values, ...]:
    """The mean of each array over the files of each condition, conditions in alphabetical order."""
    names, index = np.unique(np.asarray(conditions), return_inverse=True)
    counts = np.bincount(index, minlength=names.size)
    return tuple(np.bincount(index, weights=values, minlength=names.size) / counts for values in ratings)


# --- A/B tests ----------------------------------------------------------------------------------------

BUCKETS: tuple[tuple[str, float], ...] = (
    ("tie, ≤ 0.1", 0.0),
    ("0.1–0.25", 0.15),
    ("0.25–0.5", 0.25),
    ("0.5–1", 0.5),
    ("1–2", 1.0),
    ("≥ 2", 2.0),
)
"""Name and lower border, inclusive, of each range of |ΔMOS|; MOS as shown, in tenths, so 0.15 parts 0.1 from 0.2."""
CLEAR = "≥ 0.5, all"
"""The pairs that were drawn, evenly from the buckets, not as often as they occur."""


def bucket(gap: float) -> int:
    """Which of `BUCKETS` the difference of two shown MOS lies in."""
    size = round(abs(gap) * 10) / 10  # 3.4 − 2.9 is not quite 0.5
    return max(index for index, (_, border) in enumerate(BUCKETS) if size >= border)


@dataclass(frozen=True)
class Outcome:
    """One comparison: the shown MOS of A minus that of B, the right verdict, and the model's answer."""

    gap: float
    right: Winner
    answer: Winner
    probability: float
    """That A is better."""
    swapped: float | None = None
    """The probability that the clip in first place is better, when the same two were asked the other way round."""

    @property
    def mirrored(self) -> bool:
        """Swapping the clips swaps the answer, to the last bit."""
        return self.swapped is not None and self.swapped == 1.0 - self.probability


def ab_shares(outcomes: Sequence[Outcome]) -> dict[str, Share]:
    """How often the verdict is right, by bucket; then over all pairs with |ΔMOS| ≥ 0.5."""
    lots: list[list[bool]] = [[] for _ in BUCKETS]
    for outcome in outcomes:
        lots[bucket(outcome.gap)].append(outcome.answer == outcome.right)
    shares = {name: Share(sum(lot), len(lot)) for (name, _), lot in zip(BUCKETS, lots, strict=True)}
    clear = [right for (_, border), lot in zip(BUCKETS, lots, strict=True) if border >= 0.5 for right in lot]
    return {**shares, CLEAR: Share(sum(clear), len(clear))}


def mirrored(outcomes: Sequence[Outcome]) -> Share:
    """Of the pairs that were asked both ways, those with the mirrored answer."""
    asked = [outcome.mirrored for outcome in outcomes if outcome.swapped is not None]
    return Share(sum(asked), len(asked))


def ab_accuracy(true: Values, read: Values, least_gap: float = 0.5) -> Figure:
    """How often the verdict is right over all pairs of n clips with |ΔMOS| ≥ `least_gap`, as often as they occur.

    true, read: shown MOS [n], given and read; two that were read within 0.1 are a tie, which is wrong here. The
    interval is bootstrapped over clips, since pairs share them. NaN where there is no such pair.
    """
    gaps, ahead = (np.round(np.subtract.outer(mos, mos) * 10) for mos in (np.asarray(true), np.asarray(read)))
    clear = (gaps >= round(least_gap * 10)).astype(np.float64)
    right = clear * (ahead > 1)

    def share(indices: Indices) -> float:
        times = np.bincount(indices, minlength=len(gaps)).astype(np.float64)
        pairs = float(times @ clear @ times)
        return float(times @ right @ times) / pairs if pairs else math.nan

    return Figure(share(np.arange(len(gaps))), *bootstrap(share, len(gaps)))


def draw_pairs(mos: Values, per_bucket: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Up to `per_bucket` pairs of clips for each bucket, by shown MOS; which clip comes first is left to chance.

    Distinct pairs; a bucket that holds fewer gives all it has.
    """
    tenths = np.round(np.asarray(mos) * 10).astype(np.int64)
    first, second = np.triu_indices(tenths.size, k=1)
    borders = np.array([math.ceil(border * 10 - 1e-9) for _, border in BUCKETS])
    lots = np.searchsorted(borders, np.abs(tenths[first] - tenths[second]), side="right") - 1
    pairs = []
    for lot in range(len(BUCKETS)):
        candidates = np.flatnonzero(lots == lot)
        for k in rng.permutation(candidates)[:per_bucket]:
            pair = (int(first[k]), int(second[k]))
            pairs.append(pair if rng.random() < 0.5 else pair[::-1])
    return pairs


def rows(figures: Mapping[str, Figure | Share]) -> dict[str, Any]:
    """For JSON."""
    return {name: figure.to_row() for name, figure in figures.items()}
