"""Threads that compute stand back behind an event loop of the same process, where that is asked for (Linux)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LEAST = 19
"""The lowest priority that there is."""
_Made = TypeVar("_Made")


def stand_back(nice: int) -> None:
    """Lower the priority of the calling thread, and of those that it will start, by `nice`. It cannot be raised again
    without privileges."""
    if nice:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + nice, LEAST))


def made_behind(nice: int, make: Callable[[], _Made]) -> _Made:
    """What `make` returns; the threads that it starts have their priority lowered, the caller has not."""
    if not nice:
        return make()
    with ThreadPoolExecutor(1, initializer=stand_back, initargs=(nice,)) as thread:
        return thread.submit(make).result()
