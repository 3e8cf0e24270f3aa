"""The campaign of kills sees what it is there to see."""

from __future__ import annotations

import pytest

from benchmarks.jobs.kill import differences

ROWS: list[object] = ["a", "b", "c"]


def test_equal_rows() -> None:
    assert differences(ROWS, list(ROWS)) == []


@pytest.mark.parametrize(
    "found", [["a", "b"], ["a", "b", "b", "c"], ["a", "c", "b"], ["a", "b", "x"], [], ["a", "b", "c", "c"]]
)
def test_rows_that_are_lost_doubled_or_moved(found: list[object]) -> None:
    [told] = differences(ROWS, found)
    assert told.startswith(f"{len(found)} rows where there should be 3")
