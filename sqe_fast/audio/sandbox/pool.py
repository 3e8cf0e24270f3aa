"""Children that are kept warm, and who is asked."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from sqe_fast.audio.raw import RawFormat
from sqe_fast.audio.sandbox.source import SandboxedSource
from sqe_fast.audio.sandbox.worker import Lost, Worker
from sqe_fast.errors import UnusableError
from sqe_fast.options import Sandbox

Value = TypeVar("Value")


class Pool:
    """Children are started as they are needed, up to `limits.children`, and replaced where they die.

    A child serves several sources by turns, a block at a time, so that a recording that is heard slowly holds up
    nobody. May be shared between threads. `close` ends the children, as garbage collection and the end of the process
    do, however it comes.
    """

    def __init__(self, limits: Sandbox) -> None:
        self.limits = limits
        self._most = limits.children or max(2, min(8, (os.cpu_count() or 1) // 2))
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._finalizer = weakref.finalize(self, _end, self._workers)
        _pools.add(self)

    def open(self, name: str, file: Path | BinaryIO, raw: RawFormat | None = None) -> SandboxedSource:
        """As `sources.FileSource`."""
        return SandboxedSource(self, name, file, raw)

    def start(self) -> None:
        """Start a child now, beside what else has to be loaded."""
        with self._lock:
            if not self._workers:
                self._workers.append(Worker(self.limits))

    def close(self) -> None:
        """End all children. What is still being decoded raises UnusableError."""
        self._finalizer()

    def ask(self, question: Callable[[Worker], Value], at: Worker | None = None) -> Value:
        """What `question` gives of a child, of `at` where that still lives.

        Where the child dies, it is asked again of a fresh one that does nothing else, so that nobody is blamed for what
        another's file has left behind. Raises ClipError where that one dies too.
        """
        while True:
            with self._chosen(at) as worker, worker.lock:
                if worker.gone:  # by the question of somebody else
                    continue
                try:
                    return _answered(question, worker)
                except Lost as lost:
                    if lost.sure:
                        raise lost.error from None
            break
        self._refuse_closed()
        alone = Worker(self.limits)
        try:
            value = _answered(question, alone)
        except Lost as lost:
            raise lost.error from None
        finally:
            if not alone.gone:
                self._adopt(alone)
        return value

    @contextmanager
    def _chosen(self, at: Worker | None) -> Iterator[Worker]:
        with self._lock:
            worker = at if at is not None and not at.gone else self._freest()
            worker.waiting += 1
        try:
            yield worker
        finally:
            with self._lock:
                worker.waiting -= 1

    def _freest(self) -> Worker:
        self._refuse_closed()
        self._workers[:] = [worker for worker in self._workers if not worker.gone]
        freest = min(self._workers, key=lambda worker: worker.waiting, default=None)
        if freest is None or (freest.waiting and len(self._workers) < self._most):
            freest = Worker(self.limits)
            self._workers.append(freest)
        return freest

    def _refuse_closed(self) -> None:
        if not self._finalizer.alive:
            raise UnusableError("the evaluator is closed")

    def in_fork(self) -> None:
        """Its parent's children are not its own; nor is the lock, which a thread may have held that is not here."""
        self._lock = threading.Lock()
        self._workers.clear()

    def _adopt(self, worker: Worker) -> None:
        with self._lock:
            if self._finalizer.alive:
                self._workers.append(worker)
                return
        worker.end()


def _answered(question: Callable[[Worker], Value], worker: Worker) -> Value:
    try:
        return question(worker)
    except (KeyError, TypeError, ValueError):
        raise worker.nonsense() from None


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        if not worker.gone:
            worker.end()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _in_fork() -> None:
    for pool in tuple(_pools):
        pool.in_fork()


os.register_at_fork(after_in_child=_in_fork)
