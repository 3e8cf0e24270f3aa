"""Streams of sound put together as one: those that follow one another, and those that run side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 65_536
"""Frames in a block."""

Samples = npt.NDArray[np.floating[Any]]
"""[frames, channels], full scale ±1."""


class Piece(NamedTuple):
    """Of a stream whose rate and channels may change on the way."""

    rate: int
    """Hz."""
    samples: Samples


def in_line(pieces: Iterable[Piece], rate: int, channels: int) -> Iterator[Samples]:
    """At `rate`, with so many channels; no piece has more of them. One channel is on all; of several each stays where
    it is, and what they lack is silent: a mean could hide a talker behind another."""
    resampler, at = None, rate
    for piece in pieces:
        if piece.rate != at:
            if resampler is not None:
                yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)
            resampler, at = None if piece.rate == rate else _resampler(piece.rate, rate, channels), piece.rate
        samples = _widened(piece.samples, channels)
        yield samples if resampler is None else resampler.resample_chunk(np.ascontiguousarray(samples, np.float32))
    if resampler is not None:
        yield resampler.resample_chunk(np.empty((0, channels), np.float32), last=True)


def _resampler(rate: int, to: int, channels: int) -> Any:
    import soxr

    return soxr.ResampleStream(rate, to, channels, dtype="float32", quality="HQ")


def _widened(samples: Samples, channels: int) -> Samples:
    lacking = channels - samples.shape[1]
    if not lacking:
        return samples
    if samples.shape[1] == 1:
        return np.repeat(samples, channels, axis=1)
    return np.pad(samples, ((0, 0), (0, lacking)))


def side_by_side(tracks: Sequence[Iterator[Samples]], channels: Sequence[int]) -> Iterator[Samples]:
    """The channels of one track after those of another. All begin together; what ends first is followed by silence.
    Holds a block or two of each."""
    held = [np.empty((0, count), np.float32) for count in channels]
    stops = np.cumsum(channels)
    while True:
        for number, track in enumerate(tracks):
            while len(held[number]) < BLOCK and (block := next(track, None)) is not None:
                held[number] = np.concatenate([held[number], np.asarray(block, np.float32)])
        size = min(BLOCK, max(map(len, held)))
        if not size:
            return
        joined = np.zeros((size, int(stops[-1])), np.float32)
        for number, (stop, count) in enumerate(zip(stops, channels, strict=True)):
            part, held[number] = held[number][:size], held[number][size:]
            joined[: len(part), stop - count : stop] = part
        yield joined


def delayed(blocks: Iterator[Samples], frames: int, channels: int) -> Iterator[Samples]:
    """Behind so many frames of silence."""
    for start in range(0, frames, BLOCK):
        yield np.zeros((min(BLOCK, frames - start), channels), np.float32)
    yield from blocks
