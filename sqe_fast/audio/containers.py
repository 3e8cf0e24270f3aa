"""Is a sound file cut off? What its container alone can tell, without decoding.

libsndfile quietly shortens a cut WAV, AIFF or Ogg file to what is there, so the containers are read here: RIFF and IFF
chunk sizes (Microsoft/IBM 1991; RF64: EBU Tech 3306), Ogg pages (RFC 3533), MP3 frame headers (ISO 11172-3, 13818-3).
FLAC, and MP3 with a Xing header, state their length: for those the decoder's own count is compared with it.
"""

from __future__ import annotations

import os
from typing import BinaryIO

MAX_CHUNKS = 4096
"""RIFF chunks looked at before giving up: a file of zeros must not cost a million seeks."""
OGG_PAGE_MAX = 27 + 255 + 255 * 255
MP3_TAIL = 16_384
"""Bytes at the end in which the last MP3 frames are looked for; a layer III frame has at most 1,441."""

_UNKNOWN_32 = 0xFFFFFFFF
_KBITS = {  # layer III bit rates in kbit/s by header index, 1 to 14
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def is_cut(file: BinaryIO) -> bool:
    """True if the container claims more than the file holds. Moves the file's position. Unknown containers: False."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(12)
    if magic[:4] in (b"RIFF", b"RF64", b"RIFX", b"FORM"):
        return _chunks_cut(file, size, magic)
    if magic[:4] == b"OggS":
        return _ogg_cut(_tail(file, size, OGG_PAGE_MAX))
    if magic[:3] == b"ID3" or _mp3_frame_length(magic) is not None:
        return _mp3_cut(_tail(file, size, MP3_TAIL))
    return False


def _tail(file: BinaryIO, size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return file.read(count)


def _chunks_cut(file: BinaryIO, size: int, magic: bytes) -> bool:
    """The audio chunk (`data`, in AIFF `SSND`) claims more bytes than follow it, or there is none."""
    order = "big" if magic[:4] in (b"RIFX", b"FORM") else "little"
    offset, long_size = 12, None
    for _ in range(MAX_CHUNKS):
        file.seek(offset)
        header = file.read(8)
        if len(header) < 8:
            return True
        name, length = header[:4], int.from_bytes(header[4:], "big" if order == "big" else "little")
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            if magic[:4] == b"RF64" and length == _UNKNOWN_32 and long_size is not None:
                length = long_size
            return offset + 8 + length > size
        offset += 8 + length + length % 2
    return False


def _ogg_cut(tail: bytes) -> bool:
    """The last page is incomplete, or does not carry the end-of-stream bit."""
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return True
    segments = tail[start + 26]
    table = tail[start + 27 : start + 27 + segments]
    complete = len(table) == segments and len(tail) >= start + 27 + segments + sum(table)
    return not complete or not tail[start + 5] & 0x04


def _mp3_frame_length(header: bytes) -> int | None:
    """Bytes of the layer III frame that begins with these four bytes; None where they are no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or not 1 <= bit_rate <= 14 or rate == 3:
        return None
    first = version == 3
    bits = 1000 * _KBITS[1 if first else 2][bit_rate - 1]
    return (144 if first else 72) * bits // _MP3_RATES[version][rate] + (header[2] >> 1 & 1)


def _mp3_cut(tail: bytes) -> bool:
    """A chain of at least three whole frames is followed by one that ends beyond the file."""
    for start in range(min(len(tail), 4096)):
        position, whole = start, 0
        while (length := _mp3_frame_length(tail[position : position + 4])) is not None:
            if position + length > len(tail):
                break
            position, whole = position + length, whole + 1
        if whole >= 3:
            rest = tail[position:]
            return len(rest) > 1 and rest[0] == 0xFF and rest[1] & 0xE0 == 0xE0
    return False
