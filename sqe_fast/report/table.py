"""Rows as columns: what a page must hold of all of them, so that it can count, sort and filter them by itself."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sqe_fast.jobs.reading import NoRow
from sqe_fast.jobs.rows import GIVEN, start_of
from sqe_fast.results import RATINGS

Row = Mapping[str, Any]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

SCORES = (*RATINGS, "mos_std")
MOST_NO_ROWS = 20
"""Lines that are no rows and are told one by one; of more, their number."""


class Lists:
    """Of each row some entries of a vocabulary that grows, each with a weight, as in compressed sparse rows."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.ends = array("L", [0])
        """[n + 1]; those of row i are from `ends[i]` to `ends[i + 1]`."""
        self.entries = array("L")
        self.weights = array("f")

    def append(self, entries: Iterable[tuple[str, float]]) -> None:
        for name, weight in entries:
            self.entries.append(self.names.setdefault(name, len(self.names)))
            self.weights.append(weight)
        self.ends.append(len(self.entries))

    def holders(self) -> Iterator[tuple[str, IntArray]]:
        """Each name, and the rows that have it, in their order."""
        entries = np.asarray(self.entries, np.int64)
        ends = np.asarray(self.ends, np.int64)
        rows = np.repeat(np.arange(len(ends) - 1), ends[1:] - ends[:-1])
        for name, number in self.names.items():
            yield name, np.unique(rows[entries == number])


@dataclass
class Table:
    """The recordings of a file of rows, those of a timeline's windows aside."""

    names: list[str]
    scores: FloatArray
    """[6, n] as `SCORES`; NaN where there is none."""
    durations: FloatArray
    """[n] seconds; NaN where there is none."""
    excerpts: list[str | None]
    """[n]; which part of its file a recording is, where a manifest cut it out: "3.5+2.0" (`rows.Origin`)."""
    starts: FloatArray
    """[n] seconds into its file at which it starts; 0 for a whole file."""
    channels: IntArray
    """[n]; −1 for the recording as a whole."""
    errors: Lists
    flags: Lists
    """Without their values: "clipped" for "clipped=0.120"."""
    causes: Lists
    """Their weights are probabilities."""
    dimensions: dict[str, str]
    """Of causes, as far as they are told."""
    models: Counter[str]
    details: list[str]
    """[n] of JSON: what is shown of a single row, and of no others."""
    windows: int
    """Rows of timelines."""
    no_rows: list[NoRow]
    """The first ones of them."""
    no_row_count: int

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mos(self) -> FloatArray:
        """[n]; NaN where a row is not rated."""
        mos: FloatArray = self.scores[SCORES.index("mos")]
        return mos


def table_of(rows: Iterable[dict[str, Any] | NoRow]) -> Table:
    names: list[str] = []
    excerpts: list[str | None] = []
    scores, durations, starts, channels = array("f"), array("f"), array("f"), array("l")
    errors, flags, causes = Lists(), Lists(), Lists()
    dimensions: dict[str, str] = {}
    models: Counter[str] = Counter()
    details: list[str] = []
    no_rows: list[NoRow] = []
    windows = no_row_count = 0
    for row in rows:
        if isinstance(row, NoRow):
            no_row_count += 1
            if len(no_rows) < MOST_NO_ROWS:
                no_rows.append(row)
            continue
        if is_window(row):
            windows += 1
            continue
        names.append(row["file"])
        scores.extend(_or_nan(row[name]) for name in SCORES)
        durations.append(_or_nan(row["duration"]))
        excerpts.append(row["excerpt"])
        starts.append(start_of(row["excerpt"]))
        channels.append(-1 if row["channel"] is None else min(row["channel"], 2**15))
        errors.append([(row["error"]["code"], 1.0)] if row["error"] else [])
        flags.append((name, 1.0) for name in dict.fromkeys(flag.partition("=")[0] for flag in row["flags"]))
        causes.append((cause["name"], cause["probability"]) for cause in row["causes"])
        dimensions.update((cause["name"], cause["dimension"]) for cause in row["causes"] if cause["dimension"])
        models[row["model"]] += 1
        details.append(_details(row))
    return Table(
        names,
        np.asarray(scores, np.float32).reshape(-1, len(SCORES)).T,
        np.asarray(durations, np.float32),
        excerpts,
        np.asarray(starts, np.float32),
        np.asarray(channels, np.int64),
        errors,
        flags,
        causes,
        dimensions,
        models,
        details,
        windows,
        no_rows,
        no_row_count,
    )


def is_window(row: Row) -> bool:
    """A row of a timeline, and not of a recording."""
    return row.get("start") is not None


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _details(row: Row) -> str:
    told = {
        "description": row["description"],
        "error": row["error"]["message"] if row["error"] else None,
        "flags": row["flags"],
        "no_speech": [[each["start"], each["end"], each["kind"]] for each in row["no_speech"]],
        "given": [
            [str(name), value if isinstance(value, str) else json.dumps(value)] for name, value in row[GIVEN].items()
        ],
        "model": row["model"],
    }
    return json.dumps({name: value for name, value in told.items() if value})
