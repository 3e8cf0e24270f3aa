"""Codecs that print: libmpg123, inside libsndfile, writes what it thinks of a stream to C's `stderr`,
libsndfile itself to C's `stdout`, where rows may be."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STREAMS = ("stdout", "stderr")
_lock = threading.Lock()
_inside = 0
_kept: dict[str, int | None] = {}
_nowhere: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """What C code prints meanwhile, on any thread, goes nowhere.

    C's variables are exchanged, not the descriptors: what Python writes is not touched.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _nowhere
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        if _nowhere is None:
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            _nowhere = libc.fopen(os.devnull.encode(), b"w")
        for name in _STREAMS:
            stream = _stream(name)
            _kept[name], stream.value = stream.value, _nowhere


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            for name in _STREAMS:
                _stream(name).value = _kept[name]


def _stream(name: str) -> ctypes.c_void_p:
    return ctypes.c_void_p.in_dll(ctypes.CDLL(None), name)
