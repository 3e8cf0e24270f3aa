"""MPEG audio (ISO 11172-3, 13818-3; layers I to III): which frames there are, and how many.

A decoder that knows a stream's length from an estimate stops there, and one that meets a second stream stops as well.
So the frames are counted here, each stream becomes a part, and its Xing or Info frame says how many frames it has;
where there is none, or it is wrong, the decoder is shown one that is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from sqe_fast.audio.formats.view import Found, Patch, Piece, Pieces, View

MAX_TRIES = 1 << 16
"""Places at which a lost stream is looked for again: a file of 0xFF bytes must not cost a billion."""
CHAIN, LONG_CHAIN = 3, 8
"""Frames in a row that make a stream of what could be chance, and of what follows junk."""

_KBITS = {  # bit rates in kbit/s by header index, 1 to 14, of (first version?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_INFO_BIT_RATE = 9
"""Index of the bit rate of an Info frame that is made here: large enough for its 24 bytes at every rate."""
_HAS_FRAMES, _HAS_BYTES, _HAS_TOC, _HAS_QUALITY = 1, 2, 4, 8


class Frame(NamedTuple):
    """What a frame's header says."""

    length: int
    """Bytes, the header included."""
    kind: tuple[int, int, int, bool]
    """Version, layer, index of the sample rate, mono: equal throughout a stream."""
    side: int
    """Bytes of a layer III frame before its main data, where a Xing or Info header stands."""


@lru_cache(maxsize=4096)
def frame_of(header: bytes) -> Frame | None:
    """The frame that begins with these four bytes; None where they are no header, or state no bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate, mono = header[2] >> 4, header[2] >> 2 & 3, header[3] >> 6 == 3
    if version == 1 or layer == 4 or not 1 <= bit_rate <= 14 or rate == 3:
        return None
    first = version == 3
    bits, hertz, padding = 1000 * _KBITS[first, layer][bit_rate - 1], _RATES[version][rate], header[2] >> 1 & 1
    if layer == 1:
        length = (12 * bits // hertz + padding) * 4
    else:
        length = (144 if first or layer == 2 else 72) * bits // hertz + padding
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(length, (version, layer, rate, mono), 4 + side)


@dataclass
class _Stream:
    """The frames of one stream; `info` is the position of its Xing or Info header, where the first frame has one."""

    frame: Frame
    header: bytes
    info: int | None
    frames: int = 0
    spans: list[list[int]] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        self.frames += 1
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1][1] = end
        else:
            self.spans.append([start, end])


def streams(view: View, start: int, end: int, junk: int = 0) -> Found | None:
    """What [start, end) holds; None where no stream begins there, tags before it, or so many other bytes, set aside."""
    first = _skip_tags(view, start, end)
    if not _chain(view, first, end):
        later = _next_stream(view, first, min(end, first + junk)) if junk else None
        if later is None or not _chain(view, later, end, LONG_CHAIN):
            return None
        first = later
    found, cut = _scan(view, first, end)
    parts = []
    for stream in found:
        pieces, missing = _part(view, stream)
        parts.append(pieces)
        cut |= missing
    return Found(tuple(parts), cut, end)


def _scan(view: View, position: int, end: int) -> tuple[list[_Stream], bool]:
    """All streams of [position, end), and whether something between their frames, or of the last one, is missing."""
    found: list[_Stream] = []
    cut = False
    while position < end:
        header = view.at(position, 4)
        frame = frame_of(header)
        other = frame is not None and bool(found) and frame.kind != found[-1].frame.kind
        if frame is None or (other and not _chain(view, position, end)):
            after_tags = _skip_tags(view, position, end)
            again = after_tags if after_tags > position else _next_stream(view, position + 1, end)
            if again is None:
                rest = view.at(position, 2)
                return found, cut or (len(rest) == 2 and rest[0] == 0xFF and rest[1] & 0xE0 == 0xE0)
            cut |= again != after_tags
            position = again
            continue
        if position + frame.length > end:
            return found, True
        info = position + frame.side if view.at(position + frame.side, 4) in (b"Xing", b"Info") else None
        if not found or other or info is not None:
            found.append(_Stream(frame, header, info))
        found[-1].add(position, position + frame.length)
        position += frame.length
    return found, cut


def _chain(view: View, position: int, end: int, count: int = CHAIN) -> bool:
    """So many frames of one kind follow one another, or fewer that end with the file."""
    kind = None
    for _ in range(count):
        frame = frame_of(view.at(position, 4))
        if frame is None or (kind is not None and frame.kind != kind) or position + frame.length > end:
            return kind is not None and (position >= end or _skip_tags(view, position, end) >= end)
        kind = frame.kind
        position += frame.length
    return True


def _next_stream(view: View, position: int, end: int) -> int | None:
    for _ in range(MAX_TRIES):
        position = view.find(b"\xff", position, end)
        if position < 0:
            return None
        if _chain(view, position, end):
            return position
        position += 1
    return None


def _skip_tags(view: View, position: int, end: int) -> int:
    """Where ID3 (1 and 2) and APE tags that stand at `position` end."""
    while position < end:
        head = view.at(position, 32)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            position += 10 + size + (10 if head[5] & 0x10 else 0)
        elif head[:3] == b"TAG" and end - position >= 128:
            position += 128
        elif head[:8] == b"APETAGEX":
            is_header = bool(head[23] & 0x20) if len(head) >= 24 else False
            position += int.from_bytes(head[12:16], "little") + 32 if is_header else 32
        else:
            return position
    return position


def _part(view: View, stream: _Stream) -> tuple[Pieces, bool]:
    """What a decoder is shown of a stream, and whether it lacks frames that it states."""
    spans: Pieces = tuple(range(*span) for span in stream.spans)
    size = sum(map(len, spans))
    if stream.frame.kind[1] != 3:
        return spans, False
    if stream.info is None:
        return (_info_frame(stream, size), *spans), False
    flags = view.number(stream.info + 4, 4, "big")
    frames = stream.frames - 1
    if not flags & _HAS_FRAMES:
        start, stop = stream.spans[0]
        head = _info_frame(stream, size)
        rest: tuple[Piece, ...] = (range(start + stream.frame.length, stop), *spans[1:])
        return (head, *rest), False
    stated = view.number(stream.info + 8, 4, "big")
    if stated == frames:
        return spans, False
    patches = _right_info(view, stream, flags, frames, size, ends=stated <= frames)
    start, stop = stream.spans[0]
    return (*view.patched(start, stop, *patches), *spans[1:]), stated > frames


def _right_info(view: View, stream: _Stream, flags: int, frames: int, size: int, *, ends: bool) -> list[Patch]:
    """Over a Xing or Info header: its frames and bytes; and no samples to be dropped at an end that is not there."""
    assert stream.info is not None
    position = stream.info + 8
    patches = [Patch(position, frames.to_bytes(4, "big"))]
    position += 4
    if flags & _HAS_BYTES:
        patches.append(Patch(position, min(size, 0xFFFFFFFF).to_bytes(4, "big")))
        position += 4
    position += (100 if flags & _HAS_TOC else 0) + (4 if flags & _HAS_QUALITY else 0)
    if view.at(position, 1).isalpha() and not ends and position + 24 <= stream.spans[0][1]:
        dropped = view.at(position + 21, 3)  # 12 bits at the start, 12 at the end
        patches.append(Patch(position + 22, bytes([dropped[1] & 0xF0, 0])))
    return patches


def _info_frame(stream: _Stream, size: int) -> bytes:
    """An Info frame for a stream that has none."""
    first, second, third, fourth = stream.header
    header = bytes([first, second | 1, third & 0x0C | _INFO_BIT_RATE << 4, fourth])
    frame = frame_of(header)
    assert frame is not None
    flags = (_HAS_FRAMES | _HAS_BYTES).to_bytes(4, "big")
    numbers = stream.frames.to_bytes(4, "big") + min(size + frame.length, 0xFFFFFFFF).to_bytes(4, "big")
    return (header + bytes(frame.side - 4) + b"Info" + flags + numbers).ljust(frame.length, b"\0")
