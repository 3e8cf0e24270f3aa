"""Containers that state in one header how long their sound is: AU, NIST SPHERE, AVR, MPC 2000, Psion, HTK, VOC, MATLAB,
MIDI sample dump. Fields and their places are libsndfile's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from sqe_fast.audio.formats.view import Found, Patch, View

MAX_BLOCKS = 1 << 16
"""Blocks of a VOC or MATLAB file that are looked at."""
_MAT5_VALUES = (14, 15)
"""A matrix, and a compressed one."""


class Claim(NamedTuple):
    """Where a header says that the sound ends; None: it does not say. `repair` makes it say that it ends at `held`."""

    end: int | None
    repair: Patch | None = None
    held: int | None = None


def headed(view: View, start: int) -> Found | None:
    """None where no such header stands at `start`."""
    head = view.at(start, 16)
    read = next((read for magic, read in _HEADERS if re.match(magic, head, re.DOTALL)), None)
    claim = read(view, start) if read else None
    if claim is None:
        return None
    end = view.size if claim.end is None else claim.end
    stop = min(end, view.size if claim.held is None else claim.held)
    pieces = view.patched(start, stop, *([claim.repair] if claim.repair else []))
    return Found((pieces,), end > view.size, stop)


def _au(view: View, start: int) -> Claim:
    order = "big" if view.at(start, 1) == b"." else "little"
    offset, size = view.number(start + 4, 4, order), view.number(start + 8, 4, order)
    if size in (0, 0xFFFFFFFF, 0x7FFFF000):
        unknown = b"\xff" * 4
        return Claim(None, Patch(start + 8, unknown) if view.size > start + offset else None)
    return Claim(start + offset + size)


def _nist(view: View, start: int) -> Claim | None:
    """A header of text, whose second line is its length."""
    text = view.at(start, 4_096)
    fields = {name: int(value) for name, value in re.findall(rb"\n(\w+) -i (\d+)", text)}
    lines = text.split(b"\n", 2)
    if b"shorten" in text or len(lines) < 3 or not lines[1].strip().isdigit():
        return Claim(None)
    names = (b"sample_count", b"sample_n_bytes")
    if not all(fields.get(name) for name in names):
        return Claim(None)
    size = fields[b"sample_count"] * fields[b"sample_n_bytes"] * fields.get(b"channel_count", 1)
    return Claim(start + int(lines[1]) + size)


def _avr(view: View, start: int) -> Claim:
    bits, channels = view.number(start + 14, 2, "big"), 2 if view.number(start + 12, 2, "big") else 1
    return Claim(start + 128 + view.number(start + 26, 4, "big") * bits // 8 * channels)


def _mpc(view: View, start: int) -> Claim:
    return Claim(start + 42 + 2 * view.number(start + 30, 4) * (2 if view.number(start + 21, 1) else 1))


def _psion(view: View, start: int) -> Claim:
    return Claim(start + 32 + view.number(start + 18, 4, "big"))


def _htk(view: View, start: int) -> Claim | None:
    """No magic: two bytes a sample, of kind 0. libsndfile refuses one that is not as long as it says."""
    if view.number(start + 4, 4, "big") == 0:
        return None
    end = start + 12 + 2 * view.number(start, 4, "big")
    held = (view.size - start - 12) // 2
    return Claim(end, Patch(start, held.to_bytes(4, "big")) if end > view.size else None, start + 12 + 2 * held)


def _voc(view: View, start: int) -> Claim:
    """Blocks of a type and three bytes of length, up to one of type 0, which may be missing."""
    offset = start + view.number(start + 20, 2)
    for _ in range(MAX_BLOCKS):
        if offset >= view.size or view.at(offset, 1) == b"\0":
            break
        offset += 4 + view.number(offset + 1, 3)
    return Claim(offset + 1 if offset < view.size else offset)


def _mat4(view: View, start: int) -> Claim:
    """Matrices: type, rows, columns, imaginary part?, length of the name; then the name and the values."""
    order = "big" if view.at(start, 1) == b"\0" and view.number(start, 4) else "little"
    offset = start
    for _ in range(2):  # the sample rate, and the sound
        kind, rows, columns, _, name = (view.number(offset + 4 * i, 4, order) for i in range(5))
        offset += 20 + name + rows * columns * (8, 4, 4, 2, 2, 1)[min(5, kind % 100 // 10)]
    return Claim(offset)


def _mat5(view: View, start: int) -> Claim:
    order = "big" if view.at(start + 126, 2) == b"MI" else "little"
    offset = start + 128
    for _ in range(MAX_BLOCKS):
        if view.number(offset, 4, order) not in _MAT5_VALUES:
            break
        offset += 8 + view.number(offset + 4, 4, order)
    # libsndfile counts the padding of the last matrix to 8 bytes, which it does not write.
    return Claim(view.size if view.size < offset <= view.size + 8 else offset)


def _sample_dump(view: View, start: int) -> Claim | None:
    """Packets of 127 bytes, 120 of them samples in 7 bits a byte."""
    bits, count = view.number(start + 6, 1), view.at(start + 10, 3)
    if len(count) < 3 or not bits:
        return None
    samples, packet = count[0] | count[1] << 7 | count[2] << 14, 120 // -(-bits // 7)
    end = start + 21 + -(-samples // packet) * 127
    held = max(0, view.size - start - 21) // 127 * packet
    repair = Patch(start + 10, bytes([held & 127, held >> 7 & 127, held >> 14]))
    return Claim(end, repair if end > view.size else None)


_Reader = Callable[[View, int], Claim | None]
_HEADERS: tuple[tuple[bytes, _Reader], ...] = (
    (rb"\.snd|dns\.", _au),
    (rb"NIST_1A\n", _nist),
    (rb"2BIT", _avr),
    (rb"\x01\x04.{14}", _mpc),
    (rb"ALawSoundFile\*\*", _psion),
    (rb".{8}\x00\x02\x00\x00", _htk),
    (rb"Creative Voice F", _voc),
    (rb"MATLAB 5\.0 MAT-", _mat5),
    (rb"(\x00\x00\x00\x00|\x00\x00\x03\xe8)\x00\x00\x00\x01|\x00\x00\x00\x00\x01\x00\x00\x00", _mat4),
    (rb"\xf0\x7e.\x01", _sample_dump),
)
