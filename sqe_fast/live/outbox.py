"""Events of one session on their way to whoever reads them: alerts first, the newest updates kept."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from sqe_fast.live.events import CallSummary, Event, QualityAlert, QualityRecovered, QualityUpdate

UPDATES = 64
"""Of a channel or a session that nobody reads; the oldest makes place and counts as dropped."""
ALERTS = 64
"""And recoveries, of which the oldest two make place."""


class Outbox:
    """Filled by the hub, emptied by readers. `arrived` is called, on the hub's thread, whenever something came."""

    def __init__(self, arrived: Callable[[], None] = lambda: None) -> None:
        self.arrived = arrived
        self._urgent: deque[QualityAlert | QualityRecovered] = deque(maxlen=ALERTS)
        self._updates: deque[QualityUpdate] = deque()
        self._lost: dict[int | None, int] = {}
        """Windows, by channel, of updates that nobody took and of which no newer one waits."""
        self._summary: CallSummary | None = None
        self._closed = False
        self._change = threading.Condition()

    @property
    def over(self) -> bool:
        """The summary was delivered: nothing follows."""
        with self._change:
            return self._closed and self._summary is None

    def put(self, event: Event) -> None:
        """Nothing may follow a summary."""
        with self._change:
            assert not self._closed, "an event behind the summary"
            if isinstance(event, QualityUpdate):
                self._put_update(event)
            elif isinstance(event, CallSummary):
                self._summary, self._closed = event, True
            else:
                self._urgent.append(event)
            self._change.notify_all()
        self.arrived()

    def _put_update(self, update: QualityUpdate) -> None:
        lost = self._lost.pop(update.channel, 0)
        self._updates.append(replace(update, dropped=update.dropped + lost) if lost else update)
        if len(self._updates) > UPDATES:
            gone = self._updates.popleft()
            self._count(gone.channel, gone.dropped + 1)

    def _count(self, channel: int | None, windows: int) -> None:
        """Add to the next update of this channel that will be taken."""
        for place, update in enumerate(self._updates):
            if update.channel == channel:
                self._updates[place] = replace(update, dropped=update.dropped + windows)
                return
        self._lost[channel] = self._lost.get(channel, 0) + windows

    def take(self, timeout: float | None = 0.0) -> Event | None:
        """The next event: alerts and recoveries, then updates, then the summary. Waits for one up to `timeout` seconds,
        None for ever; None where none came, or none will come any more."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._urgent or self._updates, timeout)
            if self._urgent:
                return self._urgent.popleft()
            if self._updates:
                return self._updates.popleft()
            summary, self._summary = self._summary, None
            return summary

    def drain(self, timeout: float | None = 0.0) -> Iterator[Event]:
        while (event := self.take(timeout)) is not None:
            yield event
