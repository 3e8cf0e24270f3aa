"""Mutations that know of headers: numbers at their edges in either byte order, pieces cut, doubled, moved, or taken
from another file of the family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from sqe_fast.audio.formats import ogg

_EDGES = (0, 1, 2, 3, 7, 8, 9, 16, 127, 128, 255, 256, 1_023, 1_024, 32_767, 32_768, 65_535, 0x7FFF_0000, 0x7FFF_FFFF,
          0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)  # fmt: skip
_HEADER = 256
"""Bytes at the beginning of which half of all mutations are."""


def mutated(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to four mutations of `data`."""
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        random.choice(_MUTATIONS)(result, others, random)
    whole = bytes(result)
    return rechecked(whole) if random.random() < 0.8 else whole


def rechecked(data: bytes) -> bytes:
    """With the checksum of every Ogg page made right, without which a decoder looks at none of it."""
    result, position = bytearray(data), 0
    while (position := data.find(b"OggS", position)) >= 0 and position + 27 <= len(data):
        table = data[position + 27 : position + 27 + data[position + 26]]
        page = data[position : position + 27 + len(table) + sum(table)]
        result[position + 22 : position + 26] = ogg.checksum(page).to_bytes(4, "little")
        position += 4
    return bytes(result)


def _place(data: bytearray, random: Random) -> int:
    reach = min(len(data), _HEADER) if random.random() < 0.5 else len(data)
    return random.randrange(reach) if reach else 0


def _number(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    size = random.choice((1, 2, 2, 4, 4, 8))
    value = random.choice(_EDGES) if random.random() < 0.7 else random.getrandbits(8 * size)
    place = _place(data, random)
    bits = (value % (1 << 8 * size)).to_bytes(size, random.choice(("little", "big")))
    data[place : place + size] = bits[: max(0, len(data) - place)]


def _nudge(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    if data:
        place = _place(data, random)
        data[place] = (data[place] + random.choice((-16, -2, -1, 1, 2, 16))) % 256


def _bit(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    if data:
        data[_place(data, random)] ^= 1 << random.randrange(8)


def _noise(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    place = _place(data, random)
    size = min(random.randrange(1, 64), len(data) - place)
    data[place : place + size] = random.randbytes(size)


def _cut_end(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    del data[_place(data, random) :]


def _remove(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    place = _place(data, random)
    del data[place : place + random.choice((1, 2, 4, 8, random.randrange(1, 512)))]


def _double(data: bytearray, _: Sequence[bytes], random: Random) -> None:
    start = _place(data, random)
    piece = bytes(data[start : start + random.randrange(1, 512)])
    place = _place(data, random)
    data[place:place] = piece * random.choice((1, 1, 2, 8))


def _splice(data: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    start = random.randrange(len(other)) if other else 0
    piece = other[start : start + random.randrange(1, 1_024)]
    place = _place(data, random)
    data[place : place + (len(piece) if random.random() < 0.5 else 0)] = piece


_MUTATIONS: tuple[Callable[[bytearray, Sequence[bytes], Random], None], ...] = (
    _number, _number, _number, _nudge, _bit, _noise, _cut_end, _remove, _double, _splice,
)  # fmt: skip
