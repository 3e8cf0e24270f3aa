"""Events on their way to a reader: alerts first, the newest updates, every lost window counted once, one summary."""

from __future__ import annotations

import random

from sqe_fast.live.events import CallSummary, QualityAlert, QualityUpdate
from sqe_fast.live.outbox import ALERTS, UPDATES, Outbox


def update(second: int, dropped: int = 0, channel: int | None = None) -> QualityUpdate:
    return QualityUpdate(second, second + 1, None, (), None, (), 0.0, dropped, channel)


def alert(second: int) -> QualityAlert:
    return QualityAlert("mute", "discontinuity", None, "bad", None, second, second + 1, "")


SUMMARY = CallSummary(1.0, (), "fake")


def test_alerts_go_before_updates_and_the_summary_last() -> None:
    outbox = Outbox()
    events = [update(0), alert(1), update(1), alert(2)]
    for event in [*events, SUMMARY]:
        outbox.put(event)
    assert list(outbox.drain()) == [events[1], events[3], events[0], events[2], SUMMARY]


def test_the_summary_comes_once() -> None:
    outbox = Outbox()
    outbox.put(SUMMARY)
    assert not outbox.over
    assert list(outbox.drain(None)) == [SUMMARY]
    assert outbox.over
    assert list(outbox.drain(None)) == []


def test_updates_that_nobody_took_are_counted_in_the_next_that_is() -> None:
    """Windows that vanish between two updates; a count that is another channel's."""
    rng = random.Random(0)
    for _ in range(20):
        outbox, put, taken = Outbox(), {0: 0, 1: 0}, {0: 0, 1: 0}
        for second in range(600):
            channel, dropped = rng.randrange(2), rng.choice([0, 0, 3])
            outbox.put(update(second, dropped, channel))
            put[channel] += 1 + dropped
            if rng.random() < 0.02:
                for event in outbox.drain():
                    taken[event.channel] += 1 + event.dropped  # type: ignore[union-attr, index]
        left = list(outbox.drain())
        assert len(left) <= UPDATES
        for event in left:
            taken[event.channel] += 1 + event.dropped  # type: ignore[union-attr, index]
        for channel in put:
            outbox.put(update(600, 0, channel))
            taken[channel] += next(outbox.drain()).dropped  # type: ignore[union-attr]
        assert taken == put


def test_nothing_grows_where_nobody_reads() -> None:
    outbox = Outbox()
    for second in range(1_000):
        outbox.put(update(second))
        outbox.put(alert(second))
    kept = list(outbox.drain())
    assert len(kept) == UPDATES + ALERTS
    assert kept[ALERTS - 1] == alert(999)
    assert kept[-1] == update(999)
