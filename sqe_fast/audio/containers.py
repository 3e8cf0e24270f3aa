"""What is in a sound file, told from its container without decoding: its streams, and whether sound is missing.

libsndfile quietly shortens a cut file to what is there, stops where a length was estimated too short, and knows of one
stream a file. So the containers are read here, and each stream becomes a part that it decodes to the end. Of FLAC the
decoder's own count is compared with what is stated.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO, NamedTuple

from sqe_fast.audio.formats import chunks, headers, mpeg, ogg
from sqe_fast.audio.formats.names import SHORT_MARKS, recognised
from sqe_fast.audio.formats.view import Found, Pieces, Spliced, View

__all__ = ["Contents", "Pieces", "Spliced", "inspect"]

MAX_STREAMS = 4_096
"""Parts of one file that are heard."""
MAX_JUNK = 1 << 16
"""Bytes before a container in which it is looked for."""
_MARKS = (b"WAVEfmt ", b"OggS\0\x02", b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
_HEADS = (
    rb"(RIFF|RF64|RIFX)....WAVE|FORM....(AIF[FC]|8SVX|16SV)|riff.{20}wave|caff\x00\x01|OggS\x00|fLaC|ID3[\x02-\x04]\x00|"
    rb"\.snd|NIST_1A\n|Creative Voice File|2BIT"
)
"""How containers begin whose beginning is no accident."""
_AGAIN = (
    (b"#!AMR", 0, rb"#!AMR(-WB)?(_MC1\.0)?\n"),
    (b"\x30\x26\xb2\x75", 0, rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
    (b"FLV\x01", 0, rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00"),
    (b"\x1a\x45\xdf\xa3", 0, rb"\x1a\x45\xdf\xa3.{1,64}?\x42\x82.{1,8}?(matroska|webm)"),
    (b"ftyp", 4, rb"\x00\x00\x00[\x10-\x80]ftyp[ -~]{4}"),
)
"""Containers of which one may follow another, and which tell only by a beginning where it begins: what to look for, how
far behind the beginning it stands, and what stands there."""
_TS_PACKET = 188
"""Bytes of a packet of an MPEG transport stream, which states no length."""
_BEFORE = {b"WAVEfmt ": 8}
"""How far a mark stands from the start of its container."""


class Contents(NamedTuple):
    """The streams of a file, one after the other; none: it is for the decoder to tell what it is."""

    parts: tuple[Pieces, ...]
    cut: bool
    """Sound is missing at the end, or on the way."""


def inspect(file: BinaryIO) -> Contents:
    """Moves the file's position. A file that is one stream as a whole is one part of one piece."""
    view = View(file)
    parts: list[Pieces] = []
    cut = False
    found = _found(view, 0) or _after_junk(view, file)
    while found is not None:
        parts += found.parts
        cut |= found.cut or len(parts) > MAX_STREAMS
        more = found.stop < view.size and len(parts) <= MAX_STREAMS
        found = _found(view, found.stop) if more else None
    return Contents(tuple(parts), cut)


def begins_like_sound(head: bytes) -> bool:
    """Whether a file's first bytes, some thousand, are those of a sound file that something decodes. Two bytes alone,
    which other files may begin with as well, are no sign of one."""
    if re.match(_HEADS, head, re.DOTALL) or mpeg.streams(View(io.BytesIO(head)), 0, len(head)) is not None:
        return True
    return recognised(io.BytesIO(head)) not in (None, *SHORT_MARKS)


def _found(view: View, start: int) -> Found | None:
    """The container at a position."""
    magic = view.at(start, 12)
    if (magic[:4] in (b"RIFF", b"RF64", b"RIFX") and magic[8:] == b"WAVE") or magic[:4] == b"FORM":
        return chunks.riff(view, start)
    if magic[:4] == b"RIFF" and magic[8:] == b"AVI ":
        # What FFmpeg says of the length of its tracks is an estimate where there are several.
        size = view.number(start + 4, 4)
        return Found(((range(start, view.size),),), size != 0xFFFFFFFF and start + 8 + size > view.size, view.size)
    if magic[:1] == b"G" and all(view.at(start + packet * _TS_PACKET, 1) == b"G" for packet in range(1, 4)):
        return Found(((range(start, view.size),),), bool((view.size - start) % _TS_PACKET), view.size)
    if magic[:4] == b"riff":
        return chunks.wave64(view, start)
    if magic[:4] == b"caff":
        return chunks.caf(view, start)
    if magic[:4] == b"OggS":
        return ogg.links(view, start, view.size)
    if magic[:4] == b"fLaC":
        return _flac(view, start)
    for mark, offset, head in _AGAIN:
        if magic[offset:].startswith(mark) and re.match(head, view.at(start, 128), re.DOTALL):
            return _up_to_the_next(view, start, mark, offset, head)
    return mpeg.streams(view, start, view.size) or headers.headed(view, start)


def _flac(view: View, start: int) -> Found:
    """Up to where another begins: frames say nothing of their length. How many there are, the decoder counts."""
    again = [view.find(mark, start + 4, view.size) for mark in _MARKS[2:]]
    stop = min((position for position in again if position >= 0), default=view.size)
    return Found(((range(start, stop),),), False, stop)


def _up_to_the_next(view: View, start: int, mark: bytes, offset: int, head: bytes) -> Found:
    """Whether something is missing, the decoder tells."""
    position = start + offset
    while (position := view.find(mark, position + 1, view.size)) >= 0:
        if re.match(head, view.at(position - offset, 128), re.DOTALL):
            stop = position - offset
            return Found(((range(start, stop),),), False, stop)
    return Found(((range(start, view.size),),), False, view.size)


def _after_junk(view: View, file: BinaryIO) -> Found | None:
    """Behind something that is no sound, near the start of the file."""
    if recognised(file) is not None:
        return None
    stop = min(view.size, MAX_JUNK)
    begins = [view.find(mark, 1, stop) - _BEFORE.get(mark, 0) for mark in _MARKS]
    first = min((position for position in begins if position > 0), default=None)
    if first is not None:
        return _found(view, first)
    return mpeg.streams(view, 0, view.size, junk=MAX_JUNK)
