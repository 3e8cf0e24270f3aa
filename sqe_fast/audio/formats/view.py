"""Bytes of a file by position, and files put together of pieces of another."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

BLOCK = 1 << 20
"""Bytes of a file that are held at a time."""

Piece = bytes | range
"""Bytes that stand for themselves, or the positions of a file that hold them."""
Pieces = tuple[Piece, ...]


@dataclass(frozen=True)
class Found:
    """What a container holds, from a position of a file on."""

    parts: tuple[Pieces, ...]
    """One stream each, for a decoder that knows of one stream alone. What is between and after them is no sound."""
    cut: bool
    """Sound is missing: the container claims more than there is, or is damaged."""
    stop: int
    """Where the container ends."""


class Patch(NamedTuple):
    """Bytes that a decoder shall see in place of those at a position."""

    position: int
    data: bytes


class View:
    """Random access to the bytes of a binary file, of which a block is held. Moves the file's position."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._start, self._block = 0, b""

    def at(self, position: int, count: int) -> bytes:
        """Fewer than `count` (at most BLOCK) at the end of the file."""
        if position >= self.size:  # a header may state any place, too far off to seek to
            return b""
        offset = position - self._start
        if offset < 0 or offset + count > len(self._block):
            self._load(position)
            offset = 0
        return self._block[offset : offset + count]

    def _load(self, position: int) -> None:
        self._file.seek(position)
        self._start, self._block = position, b""
        while len(self._block) < BLOCK:
            data = self._file.read(BLOCK - len(self._block))
            if not data:
                return
            self._block += data

    def number(self, position: int, count: int, order: str = "little") -> int:
        """An unsigned integer of `count` bytes; what lies beyond the file counts as zero."""
        return int.from_bytes(self.at(position, count).ljust(count, b"\0"), "big" if order == "big" else "little")

    def find(self, pattern: bytes, start: int, stop: int) -> int:
        """The first position of `pattern` that lies in [start, stop) as a whole, or -1."""
        step = BLOCK - len(pattern)
        for position in range(start, stop, step):
            found = self.at(position, min(BLOCK, stop - position)).find(pattern)
            if found >= 0:
                return position + found
        return -1

    def patched(self, start: int, stop: int, *patches: Patch) -> Pieces:
        """The bytes of [start, stop) with `patches`, in order of position, written over them; over a cut header,
        none."""
        patches = tuple(patch for patch in patches if patch.position + len(patch.data) <= min(stop, self.size))
        ends = [patch.position + len(patch.data) for patch in patches]
        edges = [
            start,
            *(edge for patch, end in zip(patches, ends, strict=True) for edge in (patch.position, end)),
            stop,
        ]
        pieces: list[Piece] = []
        for index, (left, right) in enumerate(pairwise(edges)):
            pieces.append(patches[index // 2].data if index % 2 else range(left, right))
        return tuple(piece for piece in pieces if len(piece))


class Spliced(io.RawIOBase):
    """A readable file made of pieces of another. Moves the position of that file, which is left open."""

    def __init__(self, file: BinaryIO, pieces: Pieces) -> None:
        self._file = file
        self._pieces = pieces
        self._starts = [0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + len(piece))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, self._starts[-1])[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} lies before the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        data = b"".join(self._take(min(len(target), max(0, self._starts[-1] - self._position))))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _take(self, count: int) -> list[bytes]:
        taken: list[bytes] = []
        position = self._position
        for piece, start, end in zip(self._pieces, self._starts, self._starts[1:], strict=False):
            while count and start <= position < end:
                wanted = min(count, end - position)
                data = self._read(piece, position - start, wanted)
                if not data:  # the file has become shorter
                    return taken
                taken.append(data)
                position, count = position + len(data), count - len(data)
        return taken

    def _read(self, piece: Piece, offset: int, count: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[offset : offset + count]
        self._file.seek(piece.start + offset)
        return self._file.read(count)
