"""Two tables of the same recordings, before and after a change: which rows belong together, and how ratings differ."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqe_fast.report.table import SCORES, Table
from sqe_fast.results import RATINGS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CONFIDENCE = 0.95
RESAMPLES = 2_000
MARGIN = 0.1
"""A difference up to this is no change, as between two clips that are compared."""


@dataclass(frozen=True)
class Pairs:
    """Rows of one recording, or of one channel of it."""

    now: IntArray
    """[m], in their order."""
    before: IntArray
    """[m]"""
    rule: str
    """By what they were found."""


@dataclass(frozen=True)
class Difference:
    """Of one rating, now less before, over the pairs that are rated on both sides."""

    before: float
    now: float
    mean: float
    low: float | None
    """Bounds of the mean, at `CONFIDENCE`; None for fewer than two recordings."""
    high: float | None
    better: int
    """Pairs that rose by more than `MARGIN`."""
    worse: int


@dataclass(frozen=True)
class Differences:
    pairs: int
    """Rated on both sides."""
    recordings: int
    """Files that these are of: they are what is drawn, since the channels of one are alike."""
    of: dict[str, Difference]
    """By rating; empty without pairs."""


def pair(now: Table, before: Table) -> Pairs:
    """By name, or by what is left of it where that finds more: the path below the folder that all recordings of a file
    are in, and that without its suffix. Excerpts of one file are told apart by their place; what comes several times is
    paired in order."""
    found = [_paired(rule, _keyed(now, names), _keyed(before, names)) for rule, names in _RULES]
    return max(found, key=lambda pairs: len(pairs.now))


def _whole(table: Table) -> list[str]:
    return [os.path.normpath(name) for name in table.names]


def _below(table: Table) -> list[str]:
    names = _whole(table)
    try:
        folder = os.path.commonpath({os.path.dirname(name) for name in names})
    except ValueError:  # no names, or absolute ones beside relative ones
        return names
    return [os.path.relpath(name, folder) if folder else name for name in names]


def _stems(table: Table) -> list[str]:
    return [os.path.splitext(name)[0] for name in _below(table)]


_RULES: tuple[tuple[str, Callable[[Table], list[str]]], ...] = (
    ("name", _whole),
    ("the path below each side's common folder", _below),
    ("the path below each side's common folder, without suffix", _stems),
)

_Key = tuple[str, str | None, int, int]
"""Name, excerpt, channel, and how often all three came before."""


def _keyed(table: Table, names: Callable[[Table], list[str]]) -> dict[_Key, int]:
    seen: defaultdict[tuple[str, str | None, int], int] = defaultdict(int)
    keyed: dict[_Key, int] = {}
    for row, one in enumerate(zip(names(table), table.excerpts, table.channels.tolist(), strict=True)):
        keyed[(*one, seen[one])] = row
        seen[one] += 1
    return keyed


def _paired(rule: str, now: dict[_Key, int], before: dict[_Key, int]) -> Pairs:
    both = [(row, before[key]) for key, row in now.items() if key in before]
    rows = np.array(both, np.int64).reshape(-1, 2)
    return Pairs(rows[:, 0], rows[:, 1], rule)


def differences(now: Table, before: Table, pairs: Pairs) -> Differences:
    """Of all pairs together."""
    rated = ~np.isnan(now.mos[pairs.now]) & ~np.isnan(before.mos[pairs.before])
    ours, theirs = pairs.now[rated], pairs.before[rated]
    if not len(ours):
        return Differences(0, 0, {})
    of = [SCORES.index(name) for name in RATINGS]
    scores_now, scores_before = (
        np.round(1_000 * side) for side in (now.scores[of][:, ours], before.scores[of][:, theirs])
    )
    change = (scores_now - scores_before).astype(np.float64) / 1_000
    numbers: dict[str, int] = {}
    file = np.array([numbers.setdefault(now.names[row], len(numbers)) for row in ours])
    low, high = _interval(change, file)
    return Differences(
        len(ours),
        int(file.max()) + 1,
        {
            name: Difference(
                float(scores_before[i].mean()) / 1_000,
                float(scores_now[i].mean()) / 1_000,
                float(change[i].mean()),
                None if low is None else float(low[i]),
                None if high is None else float(high[i]),
                int((change[i] > MARGIN).sum()),
                int((change[i] < -MARGIN).sum()),
            )
            for i, name in enumerate(RATINGS)
        },
    )


def _interval(change: FloatArray, file: IntArray) -> tuple[FloatArray | None, FloatArray | None]:
    """Bootstrap percentiles of the means of `change` [5, m] (Efron 1979); drawn are files, with all of their pairs."""
    files = int(file.max()) + 1
    if files < 2:
        return None, None
    summed = np.stack([np.bincount(file, weights=each) for each in (*change, np.ones(len(file)))])  # [6, files]
    random = np.random.default_rng(0)
    drawn = np.empty((RESAMPLES, len(summed)))
    for total in drawn:
        total[:] = summed @ np.bincount(random.integers(files, size=files), minlength=files)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn[:, :-1] / drawn[:, -1:], (tail, 100 - tail), axis=0)
    return low, high
