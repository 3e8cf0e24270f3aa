"""What is fuzzed: bytes → container inspection → decoder → blocks. Any bytes at all are a ClipError, or sane blocks."""

from __future__ import annotations

import io
from enum import IntEnum

import numpy as np

from sqe_fast.audio import sources
from sqe_fast.audio.containers import inspect
from sqe_fast.audio.sources import FormatGrew
from sqe_fast.errors import ClipError, ErrorCode

MOST_FRAMES = 1 << 18
"""Decoded of an input; a few kilobytes may claim hours."""
MAX_CHANNELS, MIN_RATE, MAX_RATE = 64, 1_000, 768_000


class Reached(IntEnum):
    """How far an input came."""

    INSPECTION = 0
    DECODER = 1
    """A decoder took it: its header was understood."""
    SAMPLES = 2
    """It gave samples."""


def hear(data: bytes) -> Reached:
    """Raises AssertionError for what breaks a promise of `sources`, and whatever else should not have been raised."""
    contents = inspect(io.BytesIO(data))
    for part in contents.parts:
        for piece in part:
            assert isinstance(piece, bytes) or 0 <= piece.start <= piece.stop <= len(data), f"{piece} of {len(data)}"
    try:
        pcm = sources.FileSource("<bytes>", io.BytesIO(data))
    except ClipError as error:
        if error.code is ErrorCode.BAD_INPUT:  # of callers' objects alone
            raise AssertionError(str(error)) from error
        return Reached.INSPECTION
    return _heard(pcm)


def _heard(pcm: sources.FileSource) -> Reached:
    assert pcm.rate >= 0
    assert pcm.channels > 0
    try:
        frames = _frames(pcm)
    except FormatGrew:
        frames = _frames(pcm)  # which knows now
    assert isinstance(pcm.cut, bool)
    return Reached.SAMPLES if frames else Reached.DECODER


def _frames(pcm: sources.FileSource) -> int:
    frames = 0
    if pcm.channels > MAX_CHANNELS or not MIN_RATE <= pcm.rate <= MAX_RATE:
        return frames  # refused by its header
    try:
        for block in pcm.blocks():
            assert block.ndim == 2, block.shape
            assert block.shape[1] == pcm.channels, (block.shape, pcm.channels)
            assert block.dtype == np.float32, block.dtype
            frames += len(block)
            if frames > MOST_FRAMES:
                break
    except ClipError:
        pass
    return frames
