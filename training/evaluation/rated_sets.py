"""Rated recordings to evaluate on, each set by itself: what resembles the training data, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np
import numpy.typing as npt

from sqe_fast import audio
from sqe_fast.audio import Source
from sqe_fast.results import RATINGS
from training.configs import Sets
from training.corpora import holub, nisqa, p835
from training.corpora.annotation import Annotation
from training.corpora.corpus import Clips
from training.evaluation import scores
from training.rating import panels
from training.simulation.measures import SAMPLE_RATE, Signal

Domain = Literal["in-domain", "out-of-domain", "trained on"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)
GROUPS = {"conditions": "condition", "points": "point"}
"""By what a row names files are put together: by condition, and by what has one score (a condition and talker)."""


@dataclass(frozen=True, eq=False)
class RatedSet:
    """Recordings and what they were rated. Every row holds the same of the five ratings, `mos` among them."""

    name: str
    domain: Domain
    rows: Sequence[Annotation]
    sources: Sequence[Source]

    def __post_init__(self) -> None:
        if not self.rows or len(self.rows) != len(self.sources):
            raise ValueError(f"{self.name}: {len(self.rows)} rows, {len(self.sources)} recordings")
        if "mos" not in self.ratings or any(self._held(row) != self.ratings for row in self.rows):
            raise ValueError(f"{self.name}: every row must hold the same ratings, mos among them")
        if len({row["rated_by"] for row in self.rows}) > 1:
            raise ValueError(f"{self.name}: human and simulated ratings must be judged apart")

    @property
    def ratings(self) -> tuple[str, ...]:
        return self._held(self.rows[0])

    @property
    def rated_by(self) -> str:
        return str(self.rows[0]["rated_by"])

    @property
    def complete(self) -> bool:
        """All five ratings are there: the rows can be described and compared."""
        return self.ratings == RATINGS

    def true(self, name: str) -> npt.NDArray[np.float64]:
        return np.array([row[name] for row in self.rows], np.float64)

    def windows(self, index: int) -> Iterator[Signal]:
        """Recording `index` as a model hears it, at 16 kHz mono. Raises ClipError."""
        return (clip.samples for clip in audio.load(self.sources[index]).windows())

    @staticmethod
    def _held(row: Annotation) -> tuple[str, ...]:
        return tuple(name for name in RATINGS if name in row)


@dataclass(frozen=True, eq=False)
class ClipSources(Sequence[Source]):
    """The recordings of a built split, read when they are asked for."""

    clips: Clips
    rows: Sequence[Annotation]

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | Sequence[Source]:
        if isinstance(index, slice):
            return ClipSources(self.clips, self.rows[index])
        return self.clips.audio(self.rows[index]), SAMPLE_RATE

    def __len__(self) -> int:
        return len(self.rows)


def accuracy(rated: RatedSet, read: Mapping[str, scores.Values], answered: Sequence[int]) -> dict[str, Any]:
    """Per rating: figures over files and, where the rows name `GROUPS` that hold several, over groups.

    `read[name]` [m] holds the ratings of the recordings `answered` [m], by whatever read them.
    """
    true = {name: rated.true(name)[list(answered)] for name in rated.ratings}
    files = {name: scores.rows(scores.accuracy(read[name], true[name])) for name in rated.ratings}
    found: dict[str, Any] = {"files": files}
    for group, column in GROUPS.items():
        names = [str(rated.rows[index].get(column) or "") for index in answered]
        if all(names) and scores.FEWEST <= len(set(names)) < len(names):
            means = {name: scores.condition_means(names, read[name], true[name]) for name in rated.ratings}
            figures = {name: scores.rows(scores.accuracy(*both)) for name, both in means.items()}
            found[group] = {"count": len(set(names)), "figures": figures}
    return found


def built(clips: Clips, name: str, domain: Domain = "in-domain", limit: int | None = None) -> RatedSet:
    """A built split, or its first `limit` clips."""
    rows = clips.annotations[:limit]
    return RatedSet(name, domain, rows, ClipSources(clips, rows))


def panel_sets(panel: str, folder: Path, *, final: bool) -> Iterator[RatedSet]:
    """People's ratings of talkers who are trained on (corpora/human.py) and, only if it is `final`, of the others. Rows
    lack discontinuity and loudness."""
    read = {panels.HOLUB: holub.read, panels.P835: p835.read}[panel]
    trained = read(folder, panels.TALKERS[panel])
    yield RatedSet(f"{panel}, talkers trained on", "trained on", trained, [row["file"] for row in trained])
    if final:
        rows = read(folder, panels.UNTOUCHED[panel])
        yield RatedSet(f"{panel}, untouched talkers", "out-of-domain", rows, [row["file"] for row in rows])


def nisqa_sets(folder: Path) -> list[RatedSet]:
    """Each of the corpus's test databases that is there, by itself."""
    rows = nisqa.listing(folder, "test").rows
    databases = sorted({row["db"] for row in rows})
    lots = [[row for row in rows if row["db"] == database] for database in databases]
    return [RatedSet(lot[0]["db"], "out-of-domain", lot, [folder / row["file"] for row in lot]) for lot in lots]


def gather(test: Path, sets: Sets) -> list[RatedSet]:
    """The sets that were asked for. `test` is a built split's folder. Only with `final` are the panels' untouched
    talkers among them: a model that was changed after hearing them must not be judged by them again."""
    found = []
    if sets.corpus:
        clips = Clips.open(test)
        rated_by = clips.annotations[0]["rated_by"]
        # NISQA's own test databases share neither talkers nor conditions with what it trains on.
        found.append(built(clips, f"{rated_by} test", "in-domain" if rated_by == "simulated" else "out-of-domain"))
    for panel, folder in ((panels.HOLUB, sets.holub), (panels.P835, sets.p835)):
        if folder:
            found += panel_sets(panel, folder, final=sets.final)
    if sets.nisqa:
        found += nisqa_sets(sets.nisqa)
    if not found:
        raise ValueError("nothing to evaluate on: name a test split, a panel's folder or the NISQA folder")
    return found
