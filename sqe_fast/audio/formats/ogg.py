"""Ogg (RFC 3533): a file is a chain of links, each with streams of its own, in pages that are numbered and checked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from sqe_fast.audio.formats.view import Found, View

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FIRST, _LAST = 0x02, 0x04
_SOUNDS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
"""How the first packet of a stream of sound begins."""


@dataclass
class _Link:
    """One link: where it begins, the number of the last page of each of its streams, and whether that ends it."""

    start: int
    pages: dict[bytes, int] = field(default_factory=dict)
    data: bool = False
    ended: bool = False


def links(view: View, start: int, end: int) -> Found:
    """What begins with the page at `start`. Damaged pages stay where they are: a decoder leaves them out."""
    found: list[_Link] = []
    cut = False
    position = start
    while position < end:
        page = _page(view, position, end)
        if page is None:
            again = view.find(b"OggS", position + 1, end)
            cut |= again >= 0 or b"OggS".startswith(view.at(position, min(4, end - position)))
            if again < 0:
                break
            position = again
            continue
        flags, serial, number = page[5], page[14:18], int.from_bytes(page[18:22], "little")
        if not found or (flags & _FIRST and found[-1].data):
            cut |= bool(found) and not found[-1].ended
            found.append(_Link(position))
        link = found[-1]
        cut |= serial in link.pages and number != link.pages[serial] + 1
        cut |= checksum(page) != int.from_bytes(page[22:26], "little")
        link.pages[serial] = number
        link.data |= not flags & _FIRST
        link.ended = bool(flags & _LAST)
        position += len(page)
    if not found:
        return Found((), True, end)
    edges = [link.start for link in found] + [end]
    parts = tuple((range(edges[i], edges[i + 1]),) for i in range(len(found)))
    return Found(parts, cut or not found[-1].ended, end)


def sounds(view: View) -> int:
    """How many streams of sound the file's first link holds side by side: their first pages stand before all others.
    1 of what is no Ogg."""
    count = position = 0
    while (page := _page(view, position, view.size)) is not None and page[5] & _FIRST:
        count += page[27 + page[26] :].startswith(_SOUNDS)
        position += len(page)
    return max(1, count)


def _page(view: View, position: int, end: int) -> bytes | None:
    """A whole page; None where none stands at `position`."""
    head = view.at(position, min(27 + 255, end - position))
    if head[:4] != b"OggS" or len(head) < 27:
        return None
    table = head[27 : 27 + head[26]]
    length = 27 + head[26] + sum(table)
    return view.at(position, length) if len(table) == head[26] and position + length <= end else None


def checksum(page: bytes) -> int:
    """CRC-32 of the polynomial 0x04C11DB7, highest bit first, from 0, the field itself taken for 0. zlib's is the same
    with the lowest bit first and both ends inverted."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
