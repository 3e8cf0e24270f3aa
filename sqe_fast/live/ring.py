"""Audio between the producer and the hub: bounded, in whole blocks, the oldest lost first."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.features import FloatArray
from sqe_fast.errors import ClipError, ErrorCode

BLOCKS_A_SECOND = 10
RING_SECONDS = 30.0
MAX_AMPLITUDE = 10.0
"""In units of full scale, as of files: integers held as floats are caught."""
CHANNELS = (1, 2)
_INT16 = np.dtype(np.int16)


class Block(NamedTuple):
    """`frame`: its first, counted from the beginning of the call."""

    frame: int
    samples: FloatArray
    """[frames, channels], at the call's own rate, full scale ±1."""
    pushed_at: float
    """When its last sample came."""


class Ring:
    """Samples at `rate` Hz. One thread pushes and another takes blocks of 0.1 s, whatever the sizes of the pieces."""

    def __init__(self, rate: int, seconds: float = RING_SECONDS) -> None:
        self.block = rate // BLOCKS_A_SECOND
        self._capacity = round(seconds * BLOCKS_A_SECOND) * self.block
        self._samples: FloatArray | None = None
        self._first = 0
        """Frame that is taken next."""
        self._next = 0
        """Frame that is pushed next."""
        self._times: deque[float] = deque()
        """When each whole block from `_first` on was complete."""
        self._latest = 0.0
        """When the last push was."""
        self._lock = threading.Lock()

    @property
    def frames(self) -> int:
        """All that were pushed."""
        return self._next

    @property
    def channels(self) -> int | None:
        """None before the first push."""
        return None if self._samples is None else int(self._samples.shape[1])

    @property
    def ready(self) -> bool:
        """A whole block waits."""
        return bool(self._times)

    def push(self, pcm: npt.ArrayLike, now: float) -> bool:
        """Append samples [n] or [n, 2], int16 or float32 (full scale ±1). True where they complete a block.

        Raises ClipError, and takes nothing, for other dtypes and shapes, NaN, infinity, and values over 10.
        """
        samples = _checked(np.asarray(pcm), self.channels)
        with self._lock:
            if self._samples is None:
                self._samples = np.zeros((self._capacity, samples.shape[1]), np.float32)
            self._write(samples)
            self._latest = now
            whole = self._next // self.block - self._first // self.block
            completed = whole > len(self._times)
            self._times.extend([now] * (whole - len(self._times)))
            self._lose()
        return completed

    def take(self) -> Block | None:
        """The next whole block, if there is one."""
        with self._lock:
            return self._take(self.block, self._times.popleft()) if self._times else None

    def rest(self) -> Block | None:
        """What is left of less than a block, once no whole one is."""
        with self._lock:
            left = self._next - self._first
            return self._take(left, self._latest) if left and not self._times else None

    def _write(self, samples: npt.NDArray[np.generic]) -> None:
        assert self._samples is not None
        skipped = max(0, len(samples) - self._capacity)
        place = (self._next + skipped) % self._capacity
        self._next += len(samples)
        kept = samples[skipped:]
        until = min(len(kept), self._capacity - place)
        scale = 1 / 32_768 if samples.dtype == _INT16 else 1
        np.multiply(kept[:until], scale, out=self._samples[place : place + until], casting="unsafe", dtype=np.float32)
        np.multiply(kept[until:], scale, out=self._samples[: len(kept) - until], casting="unsafe", dtype=np.float32)

    def _lose(self) -> None:
        """Pass over the oldest blocks that were written over."""
        while self._next - self._first > self._capacity:
            self._first += self.block
            self._times.popleft()

    def _take(self, frames: int, pushed_at: float) -> Block:
        assert self._samples is not None
        places = np.arange(self._first, self._first + frames) % self._capacity
        block = Block(self._first, self._samples[places], pushed_at)
        self._first += frames
        return block


def _checked(array: npt.NDArray[np.generic], channels: int | None) -> npt.NDArray[np.generic]:
    """[n, channels]"""
    if array.dtype not in (_INT16, np.dtype(np.float32)):
        raise ClipError(ErrorCode.BAD_INPUT, f"samples of type {array.dtype}: push int16 or float32 (full scale ±1)")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] not in CHANNELS:
        raise ClipError(ErrorCode.BAD_INPUT, f"samples of shape {array.shape}: push [n] or [n, 2]")
    if channels is not None and array.shape[1] != channels:
        raise ClipError(
            ErrorCode.BAD_INPUT, f"{array.shape[1]} channels, and {channels} before: open a stream for each"
        )
    if array.dtype != _INT16 and array.size:
        peak = max(float(array.max()), -float(array.min()))
        if not np.isfinite(peak):
            raise ClipError(ErrorCode.NON_FINITE, "NaN or infinity: repair the samples, or what produced them")
        if peak > MAX_AMPLITUDE:
            raise ClipError(
                ErrorCode.OUT_OF_RANGE,
                f"a sample of {peak:.3g}, where full scale is 1: push 16-bit samples as int16",
            )
    return array
