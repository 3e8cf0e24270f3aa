"""A file that a child decodes, read as `sources.FileSource` is."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import numpy as np

from sqe_fast.audio.foreign import costs_one_row
from sqe_fast.audio.joined import Samples
from sqe_fast.audio.raw import RawFormat
from sqe_fast.audio.sandbox import wire
from sqe_fast.audio.sandbox.worker import Worker
from sqe_fast.audio.sources import FormatGrew, kept, opened
from sqe_fast.errors import ClipError, ErrorCode

if TYPE_CHECKING:
    from sqe_fast.audio.sandbox.pool import Pool

_CPU_SECONDS_A_BYTE = 4e-6
"""That a file may take beside what the sandbox allows: twelve hours at 6 kbit/s, all decoded at once, take less."""
_PLAIN_FILES = (io.FileIO, io.BufferedReader, io.BufferedRandom)
"""File objects that are what their descriptor says; others may unpack or decrypt it."""


class _Header(NamedTuple):
    """What `sources.PcmSource` says of a source."""

    rate: int
    channels: int
    tracks: tuple[int, ...]

    @classmethod
    def of(cls, answer: wire.Message) -> _Header:
        """Raises ValueError or the like for what is none."""
        header = cls(int(answer["rate"]), int(answer["channels"]), tuple(map(int, answer["tracks"])))
        if header.channels < 1:
            raise ValueError(header)
        return header


def _changed() -> ClipError:
    return ClipError(ErrorCode.UNREADABLE, "the file changed while it was being scored: score it again")


@dataclass
class _Place:
    """A source or a reading in a child, which forgets it when nobody holds this any more."""

    worker: Worker
    number: int

    def __del__(self) -> None:
        self.worker.closing.append(self.number)


class SandboxedSource:
    """What `sources.PcmSource` says. Other file objects than plain files are copied, into memory or a temporary file
    without a name, since a child cannot call them."""

    def __init__(self, pool: Pool, name: str, file: Path | BinaryIO, raw: RawFormat | None) -> None:
        self.name = name
        self._pool = pool
        self._raw = raw
        self._file = file if isinstance(file, Path) else _held(file)
        if not isinstance(self._file, Path):
            weakref.finalize(self, self._file.close)
        self._place: _Place | None = None
        self._grew = False
        self.allowance = 0.0
        """Seconds of CPU for a pass, beside the length of its audio."""
        self.header, self.cut = self._pool.ask(self._opened)

    @property
    def rate(self) -> int:
        return self.header.rate

    @property
    def channels(self) -> int:
        return self.header.channels

    @property
    def tracks(self) -> tuple[int, ...]:
        return self.header.tracks

    def blocks(self) -> Iterator[Samples]:
        reading = _Reading(self)
        while not reading.ended:
            block = self._pool.ask(reading.next_block, at=reading.worker)
            if block is not None:
                yield block

    def place(self, worker: Worker) -> _Place:
        """In this child; it is opened there where it was not, or where the child it was in has died."""
        if self._place is None or self._place.worker is not worker:
            header, _ = self._opened(worker)
            if header != self.header:
                raise _changed()
            assert self._place is not None
        return self._place

    def grow(self, header: _Header) -> FormatGrew | ClipError:
        """What is to be raised: it grows once."""
        if self._grew:
            return _changed()
        self._grew, self.header = True, header
        return FormatGrew()

    @property
    def worker(self) -> Worker | None:
        return None if self._place is None else self._place.worker

    def _opened(self, worker: Worker) -> tuple[_Header, bool]:
        raw = self._raw and [self._raw.rate, self._raw.encoding, self._raw.channels]
        number = worker.number()
        with self.file() as file:
            self.allowance = worker.limits.cpu_seconds + _CPU_SECONDS_A_BYTE * os.fstat(file.fileno()).st_size
            question = {"ask": "open", "number": number, "raw": raw, "grown": self._grew}
            answer, _ = worker.ask(question, [file.fileno()], cpu_seconds=self.allowance)
        self._place = _Place(worker, number)
        return _Header.of(answer), bool(answer["cut"])

    def file(self) -> AbstractContextManager[BinaryIO]:
        """Opened again where it has a name: it may be gone."""
        return opened(self._file) if isinstance(self._file, Path) else nullcontext(self._file)


class _Reading:
    """One pass through a source."""

    def __init__(self, source: SandboxedSource) -> None:
        self._source = source
        self.ended = False
        self._place: _Place | None = None
        self._blocks = 0
        self._frames = 0
        self._cpu_seconds = 0.0

    @property
    def worker(self) -> Worker | None:
        return self._source.worker if self._place is None else self._place.worker

    def next_block(self, worker: Worker) -> Samples | None:
        """None where there is none. In another child than before, after what has been given already."""
        if self._place is not None and self._place.worker is worker:
            question = {"ask": "next", "number": self._place.number}
            answer, samples = worker.ask(question, cpu_seconds=self._allowance)
        else:
            place, number = self._source.place(worker), worker.number()
            question = {"ask": "read", "number": number, "source": place.number, "skip": self._blocks}
            with self._source.file() as file:
                answer, samples = worker.ask(question, [file.fileno()], cpu_seconds=self._allowance)
            self._place = _Place(worker, number)
        self._cpu_seconds += worker.cpu_seconds
        if "grew" in answer:
            raise self._source.grow(_Header.of(answer["grew"]))
        self.ended = bool(answer["end"])
        if self.ended:
            self._source.cut |= bool(answer["cut"])
        if not answer["given"]:
            return None
        block = np.frombuffer(samples, np.float32).reshape(answer["shape"])
        if block.ndim != 2 or block.shape[1] != self._source.channels:
            raise ValueError(block.shape)
        self._blocks += 1
        self._frames += len(block)
        return block

    @property
    def _allowance(self) -> float:
        """Seconds of CPU that are left for this pass; decoding takes a thousandth of the audio's length."""
        heard = self._frames / max(1, self._source.rate)
        return max(self._source.allowance + heard - self._cpu_seconds, 0.001)


def _held(file: BinaryIO) -> BinaryIO:
    """What a descriptor leads to that a child can open."""
    if isinstance(file, io.BytesIO) and type(file) is io.BytesIO:
        memory = cast(BinaryIO, os.fdopen(os.memfd_create("sqe-fast"), "r+b"))
        memory.write(file.getbuffer())
        memory.flush()
        return memory
    with costs_one_row(ErrorCode.UNREADABLE, "the file object cannot be read, open it again"):
        if type(file) in _PLAIN_FILES:
            if isinstance(file, io.BufferedRandom):
                file.flush()
            return cast(BinaryIO, open(f"/proc/self/fd/{file.fileno()}", "rb", buffering=0))
        file.seek(0)
        return kept(file)
