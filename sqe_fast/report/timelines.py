"""The windows of a few recordings, out of a file that may hold those of many."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqe_fast.jobs.reading import NoRow
from sqe_fast.report.table import Row, is_window
from sqe_fast.results import RATINGS

MOST = 600
"""Windows of a recording that are shown: of more, each stands for a few, and is the worst of them."""


def timelines(rows: Iterable[dict[str, Any] | NoRow], wanted: Collection[int]) -> dict[int, list[Row]]:
    """The windows of the recordings of those numbers, where there are any, in the file's order. They stand before the
    row of their recording."""
    found: dict[int, list[Row]] = {}
    windows: list[Row] = []
    number = 0
    for row in rows:
        if isinstance(row, NoRow):
            continue
        if is_window(row):
            windows.append(row)
            continue
        own = [each for each in windows if (each["file"], each["channel"]) == (row["file"], row["channel"])]
        if number in wanted and own:
            found[number] = _thinned(own)
        windows = []
        number += 1
    return found


def _thinned(windows: list[Row]) -> list[Row]:
    step = -(-len(windows) // MOST)
    return [min(windows[at : at + step], key=_mos) for at in range(0, len(windows), step)]


def _mos(window: Row) -> float:
    return 6.0 if window["mos"] is None else float(window["mos"])


def lowest_span(windows: Iterable[Row]) -> tuple[float, float] | None:
    """Start and end of the window of the lowest MOS."""
    rated = [window for window in windows if window["mos"] is not None]
    if not rated:
        return None
    lowest = min(rated, key=_mos)
    return float(lowest["start"]), float(lowest["end"])


def packed(windows: Iterable[Row]) -> list[list[Any]]:
    """Of each window: start, end, five ratings as `RATINGS` (None: not rated), causes and flags."""
    return [
        [
            window["start"],
            window["end"],
            *(window[name] for name in RATINGS),
            [cause["name"] for cause in window["causes"]],
            window["flags"],
        ]
        for window in windows
    ]
