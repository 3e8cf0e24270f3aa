"""One call: its ring, its tracks, its outbox, and how it ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from sqe_fast.errors import ClipError, ErrorCode, UnusableError
from sqe_fast.live.events import CallSummary, ChannelSummary
from sqe_fast.live.outbox import Outbox
from sqe_fast.live.ring import Ring
from sqe_fast.live.track import Track

BLOCKS_AT_ONCE = 20
"""Of one session before it is the others' turn: 2 s of audio."""


class Session:
    """`push` and the requests may come from any thread; the hub alone calls `step`, `fail`.

    `tracks_of` makes the tracks for a number of channels, `model` names the weights.
    """

    def __init__(self, rate: int, model: str, tracks_of: Callable[[Session, int], list[Track]]) -> None:
        self.ring = Ring(rate)
        self.outbox = Outbox()
        self.ended: Future[CallSummary] = Future()
        """Done when the summary is in the outbox, or the session was abandoned (cancelled)."""
        self._rate, self._model, self._tracks_of = rate, model, tracks_of
        self._tracks: list[Track] = []
        self._closing = self._cancelled = self._abandoned = False
        self._finished = False
        """All audio was heard."""
        self._summaries: list[ChannelSummary] | None = None
        """Those that are there; None before they were asked for."""
        self._asked: deque[Future[str | None]] = deque()
        """For descriptions."""
        self._settlers: deque[Future[None]] = deque()
        self._requests = threading.Lock()
        """Guards both, and that nobody waits for an answer of a session that has ended."""

    # --- from any thread ---------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        return not (self._closing or self.ended.done())

    def close(self) -> None:
        """Hear the rest, then the summary."""
        self._closing = True

    def cancel(self) -> None:
        """The summary now, without what is under way and without prose."""
        self._closing = self._cancelled = True

    def abandon(self) -> None:
        """Nobody listens any more."""
        self._closing = self._abandoned = True

    def describe(self) -> Future[str | None]:
        """The newest rated window in words; cancelled where the call has ended."""
        future: Future[str | None] = Future()
        with self._requests:
            if self.ended.done():
                future.cancel()
            self._asked.append(future)
        return future

    def settle(self) -> Future[None]:
        """Done once nothing is under way."""
        future: Future[None] = Future()
        with self._requests:
            if self.ended.done():
                future.set_result(None)
            else:
                self._settlers.append(future)
        return future

    # --- on the hub's thread -----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go on as far as can be without waiting, a bounded number of blocks. True where more waits already."""
        if self.ended.done():
            return False
        if self._abandoned:
            self._drop_all()
            self._end(None)
            return False
        if self._cancelled:
            self._drop_all()
            self._conclude(prose=False)
            return False
        more = self._hear()
        for track in self._tracks:
            track.pump()
        self._answer()
        if self._closing and not more:
            self._wind_up()
        self._tell_settled(more)
        return more

    def fail(self, error: Exception) -> None:
        """End this call, and no other: its summary says why."""
        if self.ended.done():
            return
        self._drop_all()
        self._summaries = []
        for track in self._tracks:
            track.summarise(self._summaries.append, prose=False)
            track.pump()
        self._end(ClipError(ErrorCode.STREAM_FAILED, f"{type(error).__name__}: {error}"))

    def _hear(self) -> bool:
        for _ in range(BLOCKS_AT_ONCE):
            block = self.ring.take()
            if block is None:
                return False
            if not self._tracks:
                self._tracks = self._tracks_of(self, block.samples.shape[1])
            for track in self._tracks:
                track.hear(block)
                track.pump()
        return self.ring.ready

    def _wind_up(self) -> None:
        if not self._finished:
            self._finished = True
            self._hear_rest()
        for track in self._tracks:
            track.pump()
        if all(track.settled for track in self._tracks):
            self._conclude(prose=True)

    def _hear_rest(self) -> None:
        block = self.ring.rest()
        if block is not None:
            if not self._tracks:
                self._tracks = self._tracks_of(self, block.samples.shape[1])
            for track in self._tracks:
                track.hear(block)
        for track in self._tracks:
            track.finish()

    def _conclude(self, *, prose: bool) -> None:
        if self._summaries is None:
            self._summaries = []
            for track in self._tracks:
                track.summarise(self._summaries.append, prose=prose)
        for track in self._tracks:
            track.pump()
        if len(self._summaries) == len(self._tracks):
            self._end(None)

    def _end(self, error: ClipError | None) -> None:
        self._closing = True
        channels = sorted(self._summaries or (), key=lambda each: -1 if each.channel is None else each.channel)
        summary = CallSummary(self.ring.frames / self._rate, tuple(channels), self._model, error)
        self.outbox.put(summary)
        with self._requests:
            self.ended.set_result(summary)
            while self._asked:
                self._asked.popleft().cancel()
        self._finish_settlers()

    def _drop_all(self) -> None:
        for track in self._tracks:
            track.abandon()

    def _answer(self) -> None:
        while self._asked:
            future = self._asked.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            if self._tracks:
                self._tracks[0].describe(future.set_result)
            else:
                future.set_result(None)

    def _tell_settled(self, more: bool) -> None:
        if not more and all(track.settled for track in self._tracks):
            self._finish_settlers()

    def _finish_settlers(self) -> None:
        while self._settlers:
            future = self._settlers.popleft()
            if future.set_running_or_notify_cancel():
                future.set_result(None)


CLOSED = "the stream is closed"


def refuse_closed(session: Session) -> None:
    """Raises UnusableError."""
    if not session.open:
        raise UnusableError(CLOSED)
