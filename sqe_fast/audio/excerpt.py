"""A part of a source, as manifests name utterances of a long recording."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqe_fast.audio.joined import Samples
from sqe_fast.errors import ClipError, ErrorCode

if TYPE_CHECKING:
    from sqe_fast.audio.sources import PcmSource

ROUNDED = 0.1
"""Seconds by which an excerpt may reach beyond its recording: manifests round."""


@dataclass(frozen=True)
class Excerpt:
    """A part of a source, for the evaluator. The source is decoded from its beginning, so that every sample is the one
    that the whole has; what follows the part is not."""

    source: Any
    start: float
    """Seconds from the beginning."""
    duration: float | None = None
    """Seconds; None: all that follows."""


class ExcerptSource:
    """What `sources.PcmSource` says, of a part of `pcm`. Raises ClipError where there is no such part."""

    def __init__(self, pcm: PcmSource, excerpt: Excerpt) -> None:
        start, duration = excerpt.start, math.inf if excerpt.duration is None else excerpt.duration
        if not (0 <= start < math.inf and duration > 0):
            raise ClipError(
                ErrorCode.BAD_INPUT, f"{duration} s from {start} s on are no part of a recording: give seconds above 0"
            )
        self.name = pcm.name
        self.cut = False
        self._pcm = pcm
        self._start = start
        self._end = start + duration

    @property
    def rate(self) -> int:
        return self._pcm.rate

    @property
    def channels(self) -> int:
        return self._pcm.channels

    @property
    def tracks(self) -> tuple[int, ...]:
        return self._pcm.tracks

    def blocks(self) -> Iterator[Samples]:
        """Raises ClipError where the recording ends before the part begins."""
        rate, position = self.rate, 0
        first, end = round(self._start * rate), None if self._end == math.inf else round(self._end * rate)
        for block in self._pcm.blocks():
            part = block[max(0, first - position) : None if end is None else max(0, end - position)]
            position += len(block)
            if len(part):
                yield part
            if end is not None and position >= end:
                return
        if position <= first:
            length = position / rate
            raise ClipError(ErrorCode.BAD_INPUT, f"a part from {self._start:g} s on: all there is are {length:g} s")
        self.cut = self._pcm.cut or (end is not None and position < end - ROUNDED * rate)
