"""A child as the pool sees it: asked one thing at a time, within its limits, and killed where it passes them."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from sqe_fast.audio.sandbox import confine, wire
from sqe_fast.errors import ClipError, ErrorCode, UnusableError
from sqe_fast.options import Sandbox

CHILD = "sqe_fast.audio.sandbox.child"
"""The module whose `main` serves."""
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""No threads that would do nothing but take address space."""
_GLANCE = 0.1
"""Seconds between two looks at what a child that does not answer has used."""
_START_SECONDS = 60.0
"""Of CPU, until a child is ready."""


class Lost(Exception):
    """The child is gone. `error` is what its row gets, where it was the row's own fault."""

    def __init__(self, error: ClipError, *, sure: bool) -> None:
        super().__init__(error)
        self.error = error
        self.sure = sure
        """It was, certainly; else what an earlier file left behind may have been."""


class Worker:
    """One child process. `lock` is held by whoever asks."""

    def __init__(self, limits: Sandbox) -> None:
        self.lock = threading.Lock()
        self.waiting = 0
        """Threads that ask or are about to; guarded by the pool."""
        self.closing: deque[int] = deque()
        """Numbers of sources and readings that nobody holds any more; said with the next question."""
        self.gone = False
        self.cpu_seconds = 0.0
        """That the last question has cost."""
        self._numbers = itertools.count()
        self.limits = limits
        self._ready = False
        self._socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        try:
            self._process = _started(theirs.fileno(), lifeline, limits.memory)
        finally:
            theirs.close()
            os.close(lifeline)
        self._clock = ~self._process.pid << 3 | 2  # what clock_getcpuclockid(3) gives
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        _workers.add(self)

    def number(self) -> int:
        return next(self._numbers)

    def ask(
        self, question: wire.Message, files: Sequence[int] = (), *, cpu_seconds: float
    ) -> tuple[wire.Message, bytearray]:
        """The answer, and samples. Raises ClipError for what is wrong with the source, Lost, and ValueError for what is
        no answer."""
        if not self._ready:
            self._await_start()
        closed = [self.closing.popleft() for _ in range(len(self.closing))]
        answer, samples = self._exchanged({**question, "closed": closed}, files, cpu_seconds)
        if "error" in answer:
            self._raise(answer["error"])
        return answer, samples

    def _raise(self, error: Any) -> None:
        code, message = error
        raised = ClipError(ErrorCode(code), str(message))
        if raised.code is ErrorCode.DECODER_MEMORY:
            raise self._lost(_out_of_memory(self.limits), sure=False)
        if raised.code is ErrorCode.DECODER_CRASHED:
            raise ClipError(raised.code, _crashed(raised.message).message)
        raise raised

    def nonsense(self) -> Lost:
        """What was answered is no answer: something else than our code runs there."""
        return self._lost(_crashed("gave an answer that is none"), sure=False)

    def _exchanged(
        self, question: wire.Message, files: Sequence[int], cpu_seconds: float
    ) -> tuple[wire.Message, bytearray]:
        budget = _Budget(self._clock, cpu_seconds, self.limits.wait_seconds)
        try:
            wire.send(self._socket, question, files=files)
            answer = wire.receive(lambda buffer: self._fill(buffer, budget))
        except TimeoutError as passed:
            raise self._lost(_too_slow(str(passed)), sure=True) from None
        except (EOFError, OSError):
            raise self._lost(None, sure=False) from None
        self.cpu_seconds = budget.used()
        return answer

    def _fill(self, buffer: memoryview, budget: _Budget) -> None:
        while len(buffer):
            while not self._poll.poll(1_000 * _GLANCE):
                budget.check()
            count = self._socket.recv_into(buffer)
            if not count:
                raise EOFError
            buffer = buffer[count:]

    def _await_start(self) -> None:
        budget = _Budget(self._clock, _START_SECONDS, self.limits.wait_seconds)
        try:
            answer, _ = wire.receive(lambda buffer: self._fill(buffer, budget))
        except (EOFError, OSError, ValueError) as error:
            said = self._said() if isinstance(error, EOFError) else str(error)
            self.end()
            raise UnusableError(
                f"decoders cannot be started in a process of their own ({said}): mend that, or decode without a sandbox"
            ) from None
        if answer["network"] == confine.OPEN:
            warnings.warn(
                "files are decoded in processes with limits, but nothing here can keep these from the network: neither "
                "seccomp nor a network namespace is allowed",
                RuntimeWarning,
                stacklevel=2,
            )
        self._ready = True

    def _said(self) -> str:
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"exit code {self._process.wait()}")

    def _lost(self, error: ClipError | None, *, sure: bool) -> Lost:
        if error is None:  # it went by itself: in a moment its end is known
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            error = _crashed(_end_of(self._process.returncode))
        self.end()
        return Lost(error, sure=sure)

    def end(self) -> None:
        """Kills it. May be called again."""
        self.gone = True
        self._process.kill()
        self._process.wait()
        self.disown()

    def disown(self) -> None:
        """Closes what leads to it, as a fork has to do: it goes with its own parent."""
        self.gone = True
        self._socket.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._process.stderr is not None:
            self._process.stderr.close()


def _started(control: int, lifeline: int, memory: int) -> subprocess.Popen[bytes]:
    """By a fresh interpreter that imports what we would: no fork of our threads, no second run of __main__."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; sys.dont_write_bytecode = True\n"
        # Nothing is imported yet that has threads.
        "from sqe_fast.audio.sandbox import confine\n"
        f"confine.die_with_parent({lifeline}); before = confine.network(); confine.leave_network()\n"
        f"from {CHILD} import main; main({control}, {memory}, before)"
    )
    if not sys.executable:
        raise UnusableError("this Python does not know its own executable, so nothing can be decoded in a sandbox")
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(control, lifeline),
        env={**os.environ, **_ENVIRONMENT},
        start_new_session=True,  # signals of a terminal are for its parent
    )


class _Budget:
    """What a question may cost."""

    def __init__(self, clock: int, cpu_seconds: float, wait_seconds: float) -> None:
        self._clock = clock
        self._begun = self._cpu()
        self._cpu_seconds, self._wait_seconds = cpu_seconds, wait_seconds
        self._seen, self._deadline = 0.0, time.monotonic() + wait_seconds

    def _cpu(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it has ended
            return 0.0

    def used(self) -> float:
        return max(0.0, self._cpu() - self._begun)

    def check(self) -> None:
        """Raises TimeoutError."""
        used, now = self.used(), time.monotonic()
        if used > self._cpu_seconds:
            raise TimeoutError(f"took {self._cpu_seconds:.0f} s of CPU without an answer")
        if used > self._seen:  # on a busy machine it may have to wait
            self._seen, self._deadline = used, now + self._wait_seconds
        if now > self._deadline:
            raise TimeoutError(f"gave nothing for {self._wait_seconds:.0f} s")


def _end_of(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _crashed(how: str) -> ClipError:
    return ClipError(
        ErrorCode.DECODER_CRASHED,
        f"what decodes it crashed ({how}): the file is damaged or made to do harm; export it again, or leave it out",
    )


def _too_slow(how: str) -> ClipError:
    return ClipError(
        ErrorCode.DECODER_TIMEOUT,
        f"what decodes it {how}: the file is damaged or made to do harm; export it again, or leave it out",
    )


def _out_of_memory(limits: Sandbox) -> ClipError:
    return ClipError(
        ErrorCode.DECODER_MEMORY,
        f"decoding it takes more than {limits.memory >> 20} MiB: export it again, or allow more memory (Sandbox)",
    )


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _in_fork() -> None:
    for worker in tuple(_workers):
        worker.disown()


os.register_at_fork(after_in_child=_in_fork)
