"""A live call as its producer and its listeners hold it: one for threads, one for an event loop."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import Literal, TypeVar, get_args

import numpy.typing as npt

from sqe_fast.audio.timeline import Timeline
from sqe_fast.live.alarms import Alerting
from sqe_fast.live.events import CallSummary, Event
from sqe_fast.live.hub import Hub, Live
from sqe_fast.live.session import Session, refuse_closed
from sqe_fast.live.track import Plan

Channels = Literal["mix", "each"]
_T = TypeVar("_T")
MIN_RATE, MAX_RATE = 8_000, 48_000


class Stream:
    """One call. `push` from one thread, read events from any. A context manager: leaving it closes the call, or cancels
    it where an exception ends it. One that nobody holds any more is given up without a summary."""

    def __init__(self, live: Live, rate: int, plan: Plan, channels: Channels) -> None:
        if isinstance(rate, bool) or int(rate) != rate or not MIN_RATE <= rate <= MAX_RATE:
            raise ValueError(f"sample_rate {rate!r}: pass whole hertz from {MIN_RATE:,} to {MAX_RATE:,}")
        if channels not in get_args(Channels):
            raise ValueError(f"channels {channels!r}: a live call takes one of {', '.join(get_args(Channels))}")
        self._live = live
        self._session = live.hub.open(int(rate), plan, each=channels == "each")
        # Only the hub holds the session then: it must not hold this.
        weakref.finalize(self, _abandon, live.hub, self._session).atexit = False

    def push(self, pcm: npt.ArrayLike) -> None:
        """Append samples [n] or [n, 2], int16 or float32 (full scale ±1), any n; returns at once.

        Raises ClipError, and takes nothing, for another dtype or shape, other channels than before, NaN, infinity or
        values over 10; UnusableError once the call is closed, or in a fork.
        """
        refuse_closed(self._session)
        self._live.hub.refuse_fork()
        if self._session.ring.push(pcm, self._live.hub.clock()):
            self._live.hub.wake(self._session)

    def events(self, timeout: float | None = 0.0) -> Iterator[Event]:
        """What has come, alerts first; waits up to `timeout` seconds for each next one (None: to the end of the call).
        The last event of a call is its `CallSummary`; there is nothing behind it."""
        return self._session.outbox.drain(timeout)

    def describe(self) -> Future[str | None]:
        """The newest rated window in the model's words, when they are written; None where none was rated yet, or it
        came too late."""
        refuse_closed(self._session)
        return self._told(self._session.describe())

    def settle(self, timeout: float | None = None) -> None:
        """Wait until all whole tenths of a second that were pushed have become events: what plays a file faster than
        real time waits here. Raises TimeoutError."""
        self._told(self._session.settle()).result(timeout)

    def close(self, timeout: float | None = None) -> CallSummary:
        """Hear what was pushed, and return the summary, which is also the last event. A second call returns it again.
        Raises TimeoutError where it is not there in time; the call goes on to its end all the same."""
        self._session.close()
        return self._told(self._session.ended).result(timeout)

    def cancel(self) -> CallSummary:
        """As `close`, without waiting for what is under way: its windows count as dropped, and nothing is written."""
        self._session.cancel()
        return self._told(self._session.ended).result()

    def _told(self, future: Future[_T]) -> Future[_T]:
        self._live.hub.wake(self._session)
        return future

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.cancel()


class AsyncStream:
    """One call on an event loop, which never waits: `push` is a plain function, the rest is awaited. An asynchronous
    context manager, as `Stream` is one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def push(self, pcm: npt.ArrayLike) -> None:
        """As `Stream.push`."""
        self._stream.push(pcm)

    async def events(self) -> AsyncIterator[Event]:
        """All events to the end of the call, the summary the last. For one reader at a time."""
        outbox, loop, arrived = self._stream._session.outbox, asyncio.get_running_loop(), asyncio.Event()
        outbox.arrived = _Knock(loop, arrived)
        while not outbox.over:
            arrived.clear()
            for event in outbox.drain():
                yield event
            if not outbox.over:
                await arrived.wait()

    def ready(self) -> Iterator[Event]:
        """What has come so far; does not wait."""
        return self._stream.events()

    async def describe(self) -> str | None:
        """As `Stream.describe`."""
        return await asyncio.wrap_future(self._stream.describe())

    async def settle(self) -> None:
        """As `Stream.settle`."""
        await asyncio.wrap_future(self._stream._told(self._stream._session.settle()))

    async def close(self) -> CallSummary:
        """As `Stream.close`."""
        self._stream._session.close()
        return await self._ended()

    async def cancel(self) -> CallSummary:
        """As `Stream.cancel`."""
        self._stream._session.cancel()
        return await self._ended()

    async def _ended(self) -> CallSummary:
        # Shielded: a task that is cancelled while it waits must not cancel what all listeners wait for.
        return await asyncio.shield(asyncio.wrap_future(self._stream._told(self._stream._session.ended)))

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            await self.close()
        else:
            await self.cancel()


class _Knock:
    """Wakes a reader on its loop, from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, arrived: asyncio.Event) -> None:
        self._loop, self._arrived = loop, arrived

    def __call__(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)


def plan_of(window: float, hop: float, alerting: Alerting | None, deadline: float, *, describe: bool) -> Plan:
    """Raises ValueError for what cannot be."""
    if not 0 < deadline < math.inf:
        raise ValueError(f"deadline {deadline:g}: pass seconds above 0")
    return Plan(Timeline(window, hop), alerting or Alerting(), deadline, describe)


def _abandon(hub: Hub, session: Session) -> None:
    session.abandon()
    hub.wake(session)
