"""Threads that compute stand back; all others stay where they are."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from sqe_fast import Evaluator
from sqe_fast.errors import UnusableError
from sqe_fast.options import Serving
from tests.support.live_calls import noise

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")


def threads() -> set[int]:
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


def niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
@pytest.mark.parametrize("nice", [0, 3])
def test_all_that_computes_stands_back_and_nothing_else(nice: int, device: str) -> None:
    """An event loop behind a runner's own threads, or one that was made slower itself."""
    usual = niceness(threading.get_native_id())
    before = threads()
    with Evaluator.from_pretrained(device=device, nice=nice, threads=2) as evaluator:
        stream = evaluator.stream(describe=False, deadline=1e6)
        stream.push(noise(3.0))
        stream.settle(60.0)
        started = threads() - before
        names = {thread.name for thread in threading.enumerate() if thread.native_id in started}
        assert {"sqe-fast engine", "sqe-fast live"} <= names
        assert {niceness(thread) for thread in started} == {min(usual + nice, 19)}
        assert niceness(threading.get_native_id()) == usual
        assert {niceness(thread) for thread in before & threads()} == {usual}
        stream.close(60.0)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for nice in (-1, 20):
        with pytest.raises(ValueError, match="0 to 19"):
            Serving(nice=nice)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UnusableError, match="Linux only"):
        Serving(nice=1)
