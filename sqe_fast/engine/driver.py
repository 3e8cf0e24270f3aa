"""The one thread that steps the engine. Everybody else submits a request and gets a Future, so nobody's call moves
another's request, an event loop never waits, and batches form across callers."""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import Future
from queue import SimpleQueue

from sqe_fast.engine.engine import Engine, Priority
from sqe_fast.engine.niceness import stand_back
from sqe_fast.engine.sequence import Request, Result
from sqe_fast.errors import BusyError, UnusableError

CAPACITY = 4096
"""Requests that may wait at each priority. What holds more than that should hold back itself."""


class Driver:
    """Runs `engine` on a thread of its own until `close`, or until nobody holds the driver any more. `nice` lowers the
    priority of that thread."""

    def __init__(self, engine: Engine, *, capacity: int = CAPACITY, nice: int = 0) -> None:
        self.engine, self.nice = engine, nice
        self._capacity = capacity
        self._loop = _Loop(engine, nice)
        self._finalizer = weakref.finalize(self, _Loop.stop, self._loop)

    def submit(
        self, request: Request, priority: Priority = Priority.BATCH, deadline: float = float("inf")
    ) -> Future[Result]:
        """Queue a request; returns at once. Cancelling the future drops the request, wherever it is.

        `deadline` is a `time.monotonic()`: a request that has not begun by then gets the error `too_late`. Raises
        BusyError where `capacity` requests of this priority wait, ValueError for an empty program, and UnusableError
        after `close` and in a forked process, which has the memory of the thread and not the thread.
        """
        self.refuse_fork()
        if self.engine.depth(priority) >= self._capacity:
            raise BusyError(f"{self._capacity} requests of priority {priority.name.lower()} are waiting already")
        future = self.engine.submit(request, priority, deadline)
        self._loop.wake(future)
        return future

    def refuse_fork(self) -> None:
        """Raises UnusableError in a process that is a fork of the one that made this driver."""
        if os.getpid() != self._loop.process:
            raise UnusableError(
                f"this evaluator was opened by process {self._loop.process} and cannot work in its fork: open one in "
                "each process, after the fork"
            )

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """End the thread after the step that it is in. Requests that are not finished raise UnusableError."""
        self._finalizer()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Bell:
    """Wakes the one thread that waits for it. What is to be done is told before it rings, and looked for after it rang.

    Not a condition: the garbage collector may run a finalizer on the very thread that is about to sleep, where a
    condition has no waiter yet to notify, and forgets."""

    def __init__(self) -> None:
        self._rung = SimpleQueue[None]()

    def ring(self) -> None:
        """From any thread."""
        if self._rung.empty():
            self._rung.put(None)

    def wait(self) -> None:
        """Until it rings, or at once where it did since the last time."""
        self._rung.get()


class _Loop:
    """The thread and what it shares with the driver; it does not know the driver, which may so be collected."""

    def __init__(self, engine: Engine, nice: int) -> None:
        self._engine, self._nice = engine, nice
        self.process = os.getpid()
        self._bell = Bell()
        self._closing = threading.RLock()
        self._closed = False
        # A daemon: the interpreter does not wait for it, and ends it by the driver's finalizer.
        self._thread = threading.Thread(target=self._run, name="sqe-fast engine", daemon=True)
        self._thread.start()

    def wake(self, future: Future[Result]) -> None:
        with self._closing:
            if not self._closed:
                self._bell.ring()
                return
        future.cancel()
        raise UnusableError(_CLOSED)

    def stop(self) -> None:
        if os.getpid() != self.process:
            return
        with self._closing:
            self._closed = True
            self._bell.ring()
        # The finalizer may run on any thread, this one included.
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        stand_back(self._nice)
        while self._wait():
            try:
                self._engine.step()
            except Exception as error:  # noqa: BLE001 (nobody's in particular: it reaches all who wait)
                self._engine.abandon(error)
        self._engine.abandon(UnusableError(_CLOSED))

    def _wait(self) -> bool:
        """Until there is something to do; False once there will be no more."""
        while not (self._closed or self._engine.busy):
            self._bell.wait()
        return not self._closed


_CLOSED = "the evaluator is closed"
