"""Codecs that print: libmpg123, inside libsndfile, writes what it thinks of a stream to C's `stderr`."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_kept: int | None = None
_nowhere: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """What C code prints to its `stderr` meanwhile, on any thread, goes nowhere.

    C's variable is exchanged, not the descriptor: what Python writes to sys.stderr is not touched.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _kept, _nowhere
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        if _nowhere is None:
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            _nowhere = libc.fopen(os.devnull.encode(), b"w")
        stderr = _stderr()
        _kept, stderr.value = stderr.value, _nowhere


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            _stderr().value = _kept


def _stderr() -> ctypes.c_void_p:
    return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
