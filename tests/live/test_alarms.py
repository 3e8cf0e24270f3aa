"""From ratings to alerts: one for a bad second, one for a line that flaps, none for a good one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sqe_fast.live.alarms import Alerting, Fault, QualityWatch
from sqe_fast.results import Cause, Ratings

LOSS, HUM = Cause("packet loss", "discontinuity", 0.9), Cause("hum", "noisiness", 0.95)


def rated(value: float, **others: float) -> Ratings:
    names = ("noisiness", "coloration", "discontinuity", "loudness", "mos")
    return Ratings(**{name: others.get(name, value) for name in names}, mos_std=0.3)


def follow(
    values: Sequence[float], alerting: Alerting | None = None, causes: tuple[Cause, ...] = ()
) -> tuple[list[Fault], list[float]]:
    """A window a second, with this rating of discontinuity: the faults that began, and since when they were over."""
    watch = QualityWatch(alerting or Alerting())
    faults, over = [], []
    for second, value in enumerate(values):
        fault = watch.add(second, second + 1, rated(4.5, discontinuity=value), causes)
        faults += [fault] if fault else []
        since = watch.recovered(second, second + 1)
        over += [] if since is None else [since]
    return faults, over


def test_one_bad_second_gives_one_alert() -> None:
    """An alert for each window that the second is in, or none because it was smoothed away."""
    faults, over = follow([4.5] * 5 + [2.0] * 5 + [4.5] * 15)
    assert len(faults) == 1
    assert (faults[0].dimension, faults[0].since) == ("discontinuity", 5)
    assert faults[0].at <= 7
    assert len(over) == 1
    assert 10 <= over[0] <= 12


def test_a_flapping_line_gives_one_alert() -> None:
    flapping = ([2.0] * 3 + [4.5] * 5) * 20
    assert [len(found) for found in follow(flapping)] == [1, 0]
    assert [len(found) for found in follow(flapping, Alerting(steady=False))] == [20, 20]


def test_a_rating_between_the_bounds_changes_nothing() -> None:
    """A recovery that the next window takes back."""
    assert [len(found) for found in follow([2.0] * 3 + [3.0] * 30)] == [1, 0]
    assert [len(found) for found in follow([3.0] * 30)] == [0, 0]


def test_a_call_that_gets_worse_is_at_fault_though_it_is_fair() -> None:
    """An alert that waits until nobody can listen; the dimension that always was the lowest, blamed for what fell."""
    watch = QualityWatch(Alerting(smoothing=0.0))
    for second in range(10):
        assert watch.add(second, second + 1, rated(4.6, loudness=3.2), ()) is None
    fault = watch.add(10, 11, rated(4.6, loudness=3.2, noisiness=3.5), (HUM,))
    assert fault is not None
    assert (fault.dimension, fault.since, fault.cause) == ("noisiness", 10, HUM)
    assert watch.recovered(10, 11) is None
    for second in range(11, 30):
        watch.add(second, second + 1, rated(4.6, loudness=3.2, noisiness=4.0), ())
        assert watch.recovered(second, second + 1) is None, "not back at the usual"
    watch.add(30, 50, rated(4.6, loudness=3.2, noisiness=4.4), ())
    assert watch.recovered(30, 50) == 30


def test_a_call_that_always_was_fair_is_not_at_fault() -> None:
    assert [len(found) for found in follow([3.3, 3.0, 3.6, 3.1] * 20)] == [0, 0]


def test_the_score_is_smoothed_as_documented() -> None:
    watch = QualityWatch(Alerting(smoothing=0.25))
    watch.add(0, 1, rated(4.0), ())
    watch.add(1, 2, rated(2.0), ())
    assert watch.score == rated(2.5)
    unsteady = QualityWatch(Alerting(smoothing=0.25, steady=False))
    unsteady.add(0, 1, rated(4.0), ())
    unsteady.add(1, 2, rated(2.0), ())
    assert unsteady.score == rated(2.0)


def test_the_cause_is_the_likeliest_of_the_dimension_at_fault() -> None:
    """The hum blamed for words that are missing."""
    milder = Cause("stutter", "discontinuity", 0.6)
    assert follow([1.5], causes=(HUM, milder, LOSS))[0][0].cause == LOSS
    assert follow([1.5], causes=(HUM,))[0][0].cause is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"below": 0.5},
        {"above": 5.1},
        {"below": 3.5},
        {"hold": -1.0},
        {"drop": 0.0},
        {"smoothing": 1.0},
        {"smoothing": -0.1},
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"pass|1 ≤ below"):
        Alerting(**wrong)  # type: ignore[arg-type]
