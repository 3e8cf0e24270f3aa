"""Which recordings a page shows with their sound: the worst, and those that changed most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sqe_fast.report.pairs import Pairs
from sqe_fast.report.table import SCORES, FloatArray, IntArray, Table
from sqe_fast.results import DIMENSIONS


def worst(table: Table, most: int) -> list[int]:
    """Rows: the `most` of the lowest MOS, then a fifth as many in each dimension, and a tenth as many with each cause
    and each flag, so that a reader who filters sees some, too."""
    rated = np.flatnonzero(~np.isnan(table.mos))
    return _unique(_of_each(table, rated, most))


def _of_each(table: Table, rated: IntArray, most: int) -> Iterator[IntArray]:
    yield lowest(table.mos, rated, most)
    for name in DIMENSIONS:
        yield lowest(table.scores[SCORES.index(name)], rated, most // 5)
    for lists in (table.causes, table.flags):
        for _, holders in lists.holders():
            yield lowest(table.mos, np.intersect1d(holders, rated), most // 10)


def changed(now: Table, before: Table, pairs: Pairs, most: int) -> list[int]:
    """Rows of `now`: the `most` whose MOS fell furthest, then the half as many whose MOS rose furthest."""
    change = now.mos[pairs.now] - before.mos[pairs.before]
    rated = np.flatnonzero(~np.isnan(change))
    ends = lowest(change, rated[change[rated] < 0], most), lowest(-change, rated[change[rated] > 0], most // 2)
    return _unique(pairs.now[rows] for rows in ends)


def lowest(values: FloatArray, rows: IntArray, most: int) -> IntArray:
    """Those of `rows` whose values are the lowest, at most `most`, the lowest first."""
    return rows[np.argsort(values[rows], kind="stable")[:most]]


def _unique(groups: Iterator[IntArray]) -> list[int]:
    return list(dict.fromkeys(int(row) for rows in groups for row in rows))
