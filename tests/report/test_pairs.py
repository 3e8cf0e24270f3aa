"""Two files of rows: who belongs to whom, and whether differences and their intervals are what SciPy says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from sqe_fast.report.pairs import differences, pair
from sqe_fast.report.table import Table, table_of
from sqe_fast.results import RATINGS, Evaluation, Ratings


def table(names: Sequence[str], mos: Sequence[float | None], channels: Sequence[int | None] | None = None) -> Table:
    rows = (
        Evaluation(name, None if value is None else Ratings(4.0, 3.0, 2.0, 1.5, value, 0.2), channel=channel)
        for name, value, channel in zip(names, mos, channels or [None] * len(names), strict=True)
    )
    return table_of({**row.to_row(), "given": {}, "excerpt": None} for row in rows)


@pytest.mark.parametrize(
    ("now", "before", "expected", "rule"),
    [
        (["a", "b", "c"], ["c", "a", "x"], [(0, 1), (2, 0)], "name"),
        (["./a", "x/../b"], ["a", "b"], [(0, 0), (1, 1)], "name"),
        (
            ["after/x/a.wav", "after/b.wav"],
            ["/tmp/before/b.wav", "/tmp/before/x/a.wav"],
            [(0, 1), (1, 0)],
            "path below",
        ),
        (["o/a.opus", "o/b.opus"], ["w/a.wav", "w/b.wav"], [(0, 0), (1, 1)], "without suffix"),
        (["a", "a", "a"], ["a", "a"], [(0, 0), (1, 1)], "name"),
        (["a"], ["/x", "b"], [], "name"),
        ([], [], [], "name"),
    ],
)
def test_rows_are_paired(now: list[str], before: list[str], expected: list[tuple[int, int]], rule: str) -> None:
    found = pair(table(now, [3.0] * len(now)), table(before, [3.0] * len(before)))
    assert list(zip(found.now.tolist(), found.before.tolist(), strict=True)) == expected
    assert rule in found.rule


def test_one_file_that_kept_its_name_does_not_decide_for_the_others() -> None:
    now = ["same.wav", "new/a.wav", "new/b.wav"]
    found = pair(table(now, [3.0] * 3), table(["same.wav", "new/a.flac", "new/b.flac"], [3.0] * 3))
    assert len(found.now) == 3


def test_channels_are_recordings_of_their_own() -> None:
    found = pair(table(["a", "a"], [1.0, 2.0], [0, 1]), table(["a", "a", "a"], [3.0, 4.0, 5.0], [1, 0, None]))
    assert (found.now.tolist(), found.before.tolist()) == ([0, 1], [1, 0])


def test_excerpts_of_a_file_are_paired_by_their_place() -> None:
    """An utterance that one of the two runs lacks must not shift all that follow it."""

    def cut(*excerpts: str | None) -> Table:
        rated = Evaluation("call.wav", Ratings(4.0, 3.0, 2.0, 1.5, 3.0, 0.2)).to_row()
        return table_of({**rated, "given": {}, "excerpt": excerpt} for excerpt in excerpts)

    found = pair(cut("0.0+2.0", "2.0+2.0", "4.0+2.0", None), cut("2.0+2.0", "4.0+2.0", "6.0+2.0", None))
    assert (found.now.tolist(), found.before.tolist()) == ([1, 2, 3], [0, 1, 3])


def test_what_is_not_rated_on_both_sides_is_left_out() -> None:
    now, before = table(list("abc"), [3.0, None, 2.5]), table(list("abc"), [2.5, 2.0, None])
    found = differences(now, before, pair(now, before))
    assert found.pairs == found.recordings == 1
    mos = found.of["mos"]
    assert (mos.before, mos.now, mos.mean, mos.low, mos.high) == (2.5, 3.0, 0.5, None, None)


def test_nothing_paired_is_nothing_compared() -> None:
    now, before = table(["a"], [3.0]), table(["b", "/c"], [3.0, 2.0])
    assert differences(now, before, pair(now, before)).of == {}


def test_a_tenth_is_no_change_and_more_is_one() -> None:
    now = table(list("abcd"), [3.1, 3.101, 2.9, 2.899])
    before = table(list("abcd"), [3.0] * 4)
    mos = differences(now, before, pair(now, before)).of["mos"]
    assert (mos.better, mos.worse) == (1, 1)


def test_intervals_are_those_of_the_bootstrap() -> None:
    random = np.random.default_rng(3)
    before_mos, change = random.uniform(1.5, 3.5, 200), random.gamma(1.0, 0.3, 200)
    names = [f"{number}" for number in range(200)]
    now, before = table(names, before_mos + change), table(names, before_mos)
    mos = differences(now, before, pair(now, before)).of["mos"]
    expected = stats.bootstrap(
        (change,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert mos.low is not None
    assert mos.high is not None
    width = expected.high - expected.low
    assert abs(mos.low - expected.low) < 0.05 * width
    assert abs(mos.high - expected.high) < 0.05 * width
    assert set(differences(now, before, pair(now, before)).of) == set(RATINGS)


def test_the_channels_of_a_recording_are_drawn_together() -> None:
    """A row that comes eight times tells no more than once: drawn one by one, the interval would be narrower by √8."""
    random = np.random.default_rng(4)
    change = random.normal(0.2, 0.3, 60)
    names = [f"{number}" for number in range(60)]
    now, before = table(names, 3 + change), table(names, [3.0] * 60)
    once = differences(now, before, pair(now, before)).of["mos"]
    channels = [channel for _ in names for channel in range(8)]
    eight = [name for name in names for _ in range(8)]
    now, before = table(eight, np.repeat(3 + change, 8), channels), table(eight, [3.0] * 480, channels)
    often = differences(now, before, pair(now, before))
    assert (often.pairs, often.recordings) == (480, 60)
    assert often.of["mos"].low == pytest.approx(once.low, abs=1e-9)
    assert often.of["mos"].high == pytest.approx(once.high, abs=1e-9)
