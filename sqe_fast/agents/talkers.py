"""The live calls of one agent: a stream for each talker, opened with the first of their audio."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sqe_fast.errors import ClipError, UnusableError
from sqe_fast.live.events import CallSummary, Event
from sqe_fast.live.stream import AsyncStream

CLOSING = 2.0
"""Seconds that the end of a call may take: for its last windows and the summary's prose."""

Opens = Callable[[int], AsyncStream]
"""`evaluator.astream`, or a partial of it with windows, alerts and what else it takes; called with the sample rate."""
Talker = TypeVar("Talker", bound=Hashable)

REFUSALS = ClipError, UnusableError, ValueError
"""What a stream raises for audio that it does not take. An agent goes on without ratings, and says so."""

logger = logging.getLogger(__name__)


class Talkers(Generic[Talker]):
    """On one event loop. `tell` is a function or a coroutine function that takes each event with its talker, those of
    one talker one after the other."""

    def __init__(self, astream: Opens, tell: Callable[[Talker, Event], Awaitable[None] | None]) -> None:
        self._astream, self._tell = astream, tell
        self._streams: dict[tuple[Talker, int], AsyncStream] = {}
        """By talker and sample rate: a stream has but one."""
        self._refused: set[tuple[Talker, int]] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._over = False

    def push(self, talker: Talker, pcm: npt.NDArray[np.int16], rate: int) -> None:
        """Append samples [n, channels] at `rate` Hz; returns at once. After `close` nothing is heard.

        Raises one of REFUSALS, as a stream does, once for each talker and rate: what follows
        from them is passed over.
        """
        key = talker, rate
        if self._over or key in self._refused:
            return
        try:
            self._stream(*key).push(pcm)
        except REFUSALS:
            self._refused.add(key)
            raise

    def _stream(self, talker: Talker, rate: int) -> AsyncStream:
        stream = self._streams.get((talker, rate))
        if stream is None:
            stream = self._streams[talker, rate] = self._astream(rate)
            self._readers.add(asyncio.get_running_loop().create_task(self._read(talker, stream)))
        return stream

    async def _read(self, talker: Talker, stream: AsyncStream) -> None:
        async for event in stream.events():
            try:
                told = self._tell(talker, event)
                if inspect.isawaitable(told):
                    await told
            except Exception:
                logger.exception("a listener failed on a %s", type(event).__name__)

    async def close(self, seconds: float = CLOSING) -> None:
        """Hear the rest, tell what is left, the summaries last. What is not heard within `seconds` is given up."""
        self._over = True
        await asyncio.gather(*(_end(stream, seconds) for stream in self._streams.values()))
        self._streams.clear()
        readers, self._readers = self._readers, set()
        if readers:
            _, slow = await asyncio.wait(readers, timeout=CLOSING)
            for reader in slow:
                reader.cancel()

    async def cancel(self) -> None:
        """As `close`, without waiting for what is under way."""
        await self.close(0.0)


async def _end(stream: AsyncStream, seconds: float) -> CallSummary:
    try:
        async with asyncio.timeout(seconds):
            return await stream.close()
    except TimeoutError:
        return await stream.cancel()
