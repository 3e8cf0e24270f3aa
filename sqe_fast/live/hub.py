"""All live calls of one evaluator, and the one thread that stands between their audio and the engine."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.engine.driver import Bell, Driver
from sqe_fast.engine.engine import Priority
from sqe_fast.engine.niceness import stand_back
from sqe_fast.engine.sequence import Request, Result
from sqe_fast.errors import UnusableError
from sqe_fast.live.session import Session
from sqe_fast.live.track import Plan, Track


class Hub:
    """Steps sessions that have something to do. `start` gives it a thread of its own; without one, whoever holds it
    calls `step`. `clock` is `time.monotonic`, by which the engine's deadlines go."""

    def __init__(
        self, driver: Driver, prompts: PromptBuilder, model: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.clock = clock
        self._driver, self._prompts, self._model = driver, prompts, model
        self._n_mels = driver.engine.runner.info.n_mels
        self._process = os.getpid()
        self._bell = Bell()
        self._lock = threading.RLock()
        """Guards all that follows. A finalizer may come in while its own thread holds it."""
        self._sessions: set[Session] = set()
        self._ready: dict[Session, None] = {}
        """In the order in which they came."""
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def sessions(self) -> int:
        """Calls in the air."""
        with self._lock:
            return len(self._sessions)

    def open(self, rate: int, plan: Plan, *, each: bool) -> Session:
        """Raises UnusableError after `close`, and in a fork, which has no thread."""
        self.refuse_fork()

        def tracks_of(session: Session, channels: int) -> list[Track]:
            columns = range(channels) if each else (None,)
            submit = _submitter(self, session)
            return [
                Track(column, rate, plan, self._prompts, self._n_mels, submit, session.outbox.put, self.clock)
                for column in columns
            ]

        session = Session(rate, self._model, tracks_of)
        with self._lock:
            if self._closed or self._driver.closed:
                raise UnusableError("the evaluator is closed")
            self._sessions.add(session)
        return session

    def refuse_fork(self) -> None:
        """As `Driver.refuse_fork`: a fork has the memory of both threads, and neither of them."""
        self._driver.refuse_fork()

    def wake(self, session: Session) -> None:
        """There is something to do for it. From any thread, and cheap."""
        with self._lock:
            if session in self._sessions:
                self._ready[session] = None
                self._bell.ring()

    def submit(self, session: Session, request: Request, priority: Priority, deadline: float) -> Future[Result]:
        """As `Driver.submit`; the session is stepped when the future is done."""
        future = self._driver.submit(request, priority, deadline)
        future.add_done_callback(lambda _: self.wake(session))
        return future

    def step(self) -> bool:
        """One turn for each session that is ready; False where none was."""
        with self._lock:
            ready, self._ready = self._ready, {}
        for session in ready:
            self._step(session)
        return bool(ready)

    def _step(self, session: Session) -> None:
        try:
            more = session.step()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is this call's, and reaches it in its summary)
            session.fail(error)
            more = False
        if session.ended.done():
            with self._lock:
                self._sessions.discard(session)
        elif more:
            self.wake(session)

    # --- the thread --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Step on a thread of its own until `close`."""
        self._thread = threading.Thread(target=self._run, name="sqe-fast live", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stand_back(self._driver.nice)
        while self._wait():
            self.step()
        self._end_all()

    def _wait(self) -> bool:
        while not (self._closed or self._ready):
            self._bell.wait()
        return not self._closed

    def close(self) -> None:
        """End all calls, which say so in their summaries, and the thread."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._closed = True
            self._bell.ring()
        if self._thread is None:
            self._end_all()
        elif self._thread is not threading.current_thread():
            self._thread.join()

    def _end_all(self) -> None:
        with self._lock:
            sessions, self._ready = tuple(self._sessions), {}
            self._sessions.clear()
        for session in sessions:
            session.fail(UnusableError("the evaluator is closed"))


def _submitter(hub: Hub, session: Session) -> Callable[[Request, Priority, float], Future[Result]]:
    def submit(request: Request, priority: Priority, deadline: float) -> Future[Result]:
        return hub.submit(session, request, priority, deadline)

    return submit


class Live:
    """The hub with its thread, as an evaluator holds it: the thread ends with `close`, or when nobody holds this any
    more, neither the evaluator nor a stream."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        hub.start()
        self._finalizer = weakref.finalize(self, Hub.close, hub)

    def close(self) -> None:
        self._finalizer()
