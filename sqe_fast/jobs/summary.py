"""What a job came to: counts of errors and flags, how the ratings are distributed, and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqe_fast.jobs.rows import Stored
from sqe_fast.results import RATINGS

PERCENTILES = (5, 25, 50, 75, 95)
_STEPS = 100
"""A rating is kept to a hundredth: 401 counts each, however long the job."""


class Distribution:
    """How often each rating was given, to 0.01."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, rating: float) -> None:
        self._counts[round(rating * _STEPS)] += 1

    def percentile(self, percent: float) -> float:
        """The smallest rating that at least `percent` of all do not exceed. Raises ValueError where there is none."""
        reached, wanted = 0, percent / 100 * self._counts.total()
        for step in sorted(self._counts):
            reached += self._counts[step]
            if reached >= wanted:
                return step / _STEPS
        raise ValueError("no rating was given")


@dataclass
class Summary:
    """Of all rows of an output, those of earlier runs that were resumed included. Its size does not grow with them."""

    recordings: int = 0
    failed: int = 0
    """Recordings that have an error."""
    rows: int = 0
    """One for a recording, or for each of its channels that was heard; windows of a timeline are not counted."""
    seconds: float = 0.0
    """Of audio that was scored."""
    errors: Counter[str] = field(default_factory=Counter)
    """Rows, by code."""
    flags: Counter[str] = field(default_factory=Counter)
    """Rows, by the flag's name."""
    stretches: Counter[str] = field(default_factory=Counter)
    """In which nobody speaks, by kind: they have no part in the ratings."""
    passed_over: dict[str, float] = field(default_factory=dict)
    """Seconds of these, by kind."""
    rated: int = 0
    """Rows that have ratings."""
    ratings: dict[str, Distribution] = field(default_factory=lambda: {name: Distribution() for name in RATINGS})

    def add(self, record: Sequence[Stored]) -> None:
        """The rows of one recording."""
        self.recordings += 1
        self.failed += any(row.error is not None for row in record)
        for row in record:
            self._add(row)

    def _add(self, row: Stored) -> None:
        self.rows += 1
        self.seconds += row.duration or 0.0
        if row.error is not None:
            self.errors[row.error] += 1
        self.flags.update(flag.partition("=")[0] for flag in row.flags)
        for kind, seconds in row.no_speech:
            self.stretches[kind] += 1
            self.passed_over[kind] = self.passed_over.get(kind, 0.0) + seconds
        if row.ratings:
            self.rated += 1
            for name, rating in zip(RATINGS, row.ratings, strict=True):
                self.ratings[name].add(rating)
