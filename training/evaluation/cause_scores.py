"""Are the causes that a model names those that were recorded? By kind, and on clips with one degradation alone.

A finer kind that is named by its coarser one ("sudden sounds" for typing) counts as named, and as right. "Unclear
noise" names nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.corpora.annotation import Annotation
from training.evaluation.scores import Share
from training.language.causes import KINDS, audible

TO_BE_NAMED = 3.5
"""A recorded cause ought to be named where it alone would leave its dimension at most here."""
ENOUGH, HALF = 20, 0.5
"""Clips that a kind needs for its own recall to say something, and what that should be at least."""
NOTHING = "nothing"


@dataclass(frozen=True)
class CauseScores:
    precision: Share
    """Of the causes named, those recorded."""
    recall: dict[str, Share]
    """For each kind: of its clips in which it ought to be named, those in which it is."""
    confusion: dict[str, dict[str, int]]
    """For each kind that ought to be named: what is named in its dimension, or `nothing`. Where it is named among
    others, it counts as named."""

    @property
    def macro_recall(self) -> float:
        """Mean over the kinds, each counting the same; NaN without any."""
        values = [share.right / share.of for share in self.recall.values()]
        return float(np.mean(values)) if values else float("nan")

    @property
    def worst(self) -> dict[str, Share]:
        """Recall of the kinds with enough clips, the worst first."""
        enough = {name: share for name, share in self.recall.items() if share.of >= ENOUGH}
        return dict(sorted(enough.items(), key=lambda item: item[1].right / item[1].of))

    @property
    def missed(self) -> list[str]:
        """Kinds with enough clips of which fewer than half are named, the worst first."""
        return [name for name, share in self.worst.items() if share.right < HALF * share.of]

    def to_row(self) -> dict[str, Any]:
        return {
            "precision": self.precision.to_row(),
            "macro_recall": round(self.macro_recall, 4) if self.recall else None,
            "missed": self.missed,
            "recall": {name: share.to_row() for name, share in self.recall.items()},
            "confusion": self.confusion,
        }


def cause_scores(rows: Sequence[Annotation], named: Sequence[Iterable[str]]) -> CauseScores:
    """`named` [n] holds the names of the causes that were read for each row."""
    right = claimed = 0
    recalled: dict[str, list[bool]] = {}
    confusion: dict[str, Counter[str]] = {}
    for row, names in zip(rows, map(_known, named), strict=True):
        recorded = [cause["name"] for cause in row["causes"]]
        claimed += len(names)
        right += sum(any(_names(name, one) for one in recorded) for name in names)
        for name in to_be_named(row):
            hit = any(_names(other, name) for other in names)
            recalled.setdefault(name, []).append(hit)
            rivals = [other for other in names if KINDS[other].dimension == KINDS[name].dimension]
            confusion.setdefault(name, Counter()).update([name] if hit else rivals or [NOTHING])
    return CauseScores(
        Share(right, claimed),
        {name: Share(sum(hits), len(hits)) for name, hits in sorted(recalled.items())},
        {name: dict(counts.most_common()) for name, counts in sorted(confusion.items())},
    )


def to_be_named(row: Annotation) -> list[str]:
    """Every recorded cause that is bad enough for silence about it to be an omission."""
    return sorted({cause["name"] for cause in audible(row) if cause["rating"] <= TO_BE_NAMED})


def single_scores(rows: Sequence[Annotation], named: Sequence[Iterable[str]]) -> dict[str, dict[str, Share]]:
    """For clips with one degradation each, by its family: how often one of its causes is named, and how often one that
    is not there."""
    lots: dict[str, list[tuple[bool, bool]]] = {}
    for row, names in zip(rows, map(_known, named), strict=True):
        recorded = {cause["name"] for cause in row["causes"]}
        of = [any(_names(name, one) for one in recorded) for name in names]
        for family in sorted({cause["family"] for cause in row["causes"]}):
            lots.setdefault(family, []).append((any(of), not all(of)))
    return {
        family: {"right": Share(sum(r for r, _ in lot), len(lot)), "wrong": Share(sum(w for _, w in lot), len(lot))}
        for family, lot in sorted(lots.items())
    }


def _known(names: Iterable[str]) -> list[str]:
    """Those that name something."""
    return [name for name in names if name in KINDS]


def _names(name: str, recorded: str) -> bool:
    """Whether who says `name` has named what was `recorded`."""
    return name in (recorded, KINDS[recorded].group)
