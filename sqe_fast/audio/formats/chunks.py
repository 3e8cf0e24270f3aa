"""Containers of named chunks: RIFF and IFF (Microsoft/IBM 1991; RF64: EBU Tech 3306), Wave64 (Sony), CAF (Apple).

Their chunk of sound states its size. A stream that could not be rewound, or a recorder that was killed, leaves there
what was written first: nothing, or the largest size. Such a size is no claim: the sound goes on to the end of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqe_fast.audio.formats import mpeg
from sqe_fast.audio.formats.view import Found, Patch, Pieces, View

MAX_CHUNKS = 4096
"""Chunks looked at before giving up: a file of zeros must not cost a million seeks."""
MAX_RIFF = 0xFFFF_FF00
"""Bytes of sound that a RIFF of 32 bits may state; more become an RF64."""
TAIL_SECONDS = 0.1
"""What is behind the sound and no chunk is taken for padding up to this length, for sound that is not heard beyond."""

_SOUND = {b"RIFF": b"data", b"RF64": b"data", b"RIFX": b"data", b"FORM": b"SSND"}
_MP3 = 0x55
_W64_SUFFIX = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")


@dataclass(frozen=True)
class _Kind:
    """How a container writes its chunks."""

    order: str
    name: int
    """Bytes of a chunk's name, of which the first four tell it; its size, in as many bytes as `width`, follows."""
    width: int
    align: int
    """To which chunks are filled up."""
    counts_header: bool = False
    """The size stated includes name and size."""

    @property
    def header(self) -> int:
        return self.name + self.width


_LITTLE, _BIG = _Kind("little", 4, 4, 2), _Kind("big", 4, 4, 2)
_WAVE64, _CAF = _Kind("little", 16, 8, 8, counts_header=True), _Kind("big", 4, 8, 1)


@dataclass
class _Chunks:
    """What was found up to the chunk of sound."""

    start: int = 0
    """Of the sound."""
    stated: int = 0
    """Bytes of sound; of a RIFF of 64 bits as its ds64 chunk says."""
    size_at: int = 0
    """Where that is stated, in `width` bytes."""
    width: int = 4
    codec: int = 0
    """The format tag of a WAV."""
    rate: int = 0
    """Bytes of sound a second, where the container says."""
    frame: int = 1
    """Bytes of a frame: of one sample of every channel, or of a block."""


def riff(view: View, start: int) -> Found | None:
    """RIFF, RIFX, RF64 and AIFF."""
    magic = view.at(start, 12)
    kind = _BIG if magic[:4] in (b"RIFX", b"FORM") else _LITTLE
    names = (b"data",) if magic[:4] != b"FORM" else (b"SSND", b"BODY")
    chunks = _sound(view, start + 12, kind, names)
    if chunks is None:
        return Found(((range(start, view.size),),), True, view.size)
    data, frame = chunks.start, chunks.frame
    if magic[:4] == b"FORM" and view.at(data - 8, 4) == b"SSND":
        frame, unknown = 1, chunks.stated in (0, 8) or 0x7F000008 - 64 < chunks.stated <= 0x7F000008
    else:
        unknown = chunks.stated == 0 or 0x7FFF_F000 - frame < chunks.stated <= 0x7FFF_F000
    unknown |= chunks.stated == (1 << 8 * chunks.width) - 1
    left = view.size - data
    if unknown and not (chunks.stated in (0, 8) and _are_chunks(view, data + chunks.stated, kind)):
        joined = view.find(b"WAVEfmt ", data, view.size)
        stop = view.size if joined < 0 else joined - 8
        length = (stop - data) // frame * frame
        if chunks.codec == _MP3:
            return mpeg.streams(view, data, stop)
        return Found((_resized(view, start, stop, chunks, kind, length),), False, stop)
    if chunks.codec == _MP3 and (heard := mpeg.streams(view, data, min(view.size, data + chunks.stated))):
        return Found(heard.parts, heard.cut or chunks.stated > left, min(view.size, data + chunks.stated))
    if chunks.stated > left:
        return Found(((range(start, view.size),),), True, view.size)
    stop, rest = _after(view, data + chunks.stated, kind)
    unheard = rest > max(TAIL_SECONDS * chunks.rate, frame) > 0 and chunks.rate > 0
    return Found(((range(start, stop),),), unheard, stop if not rest else view.size)


def wave64(view: View, start: int) -> Found | None:
    chunks = _sound(view, start + 40, _WAVE64, (b"data",))
    return _of_64_bits(view, start, _WAVE64, chunks, unknown=(0, 24, (1 << 63) - 1, (1 << 64) - 1))


def caf(view: View, start: int) -> Found | None:
    chunks = _sound(view, start + 8, _CAF, (b"data",))
    return _of_64_bits(view, start, _CAF, chunks, unknown=(0, (1 << 64) - 1))


def _of_64_bits(view: View, start: int, kind: _Kind, chunks: _Chunks | None, unknown: tuple[int, ...]) -> Found | None:
    if chunks is None:
        return Found(((range(start, view.size),),), True, view.size)
    stated, left = chunks.stated, view.size - chunks.start
    if stated in unknown and not (stated in (0, 24) and _are_chunks(view, chunks.start, kind)):
        return Found((_resized(view, start, view.size, chunks, kind, left),), False, view.size)
    length = stated - (kind.header if kind.counts_header else 0)
    if length > left:
        # libsndfile refuses a CAF whose sound ends beyond the file.
        return Found((_resized(view, start, view.size, chunks, kind, left),), True, view.size)
    stop, rest = _after(view, chunks.start + length, kind)
    return Found(((range(start, stop),),), False, stop if not rest else view.size)


def _sound(view: View, offset: int, kind: _Kind, names: tuple[bytes, ...]) -> _Chunks | None:
    """The chunk of sound, from the chunk at `offset` on; None where there is none."""
    chunks = _Chunks(width=kind.width)
    long_size_at = None
    for _ in range(MAX_CHUNKS):
        if offset + kind.header > view.size:
            return None
        name, size = view.at(offset, 4), view.number(offset + kind.name, kind.width, kind.order)
        body = offset + kind.header
        if name == b"ds64":
            long_size_at = body + 8
        elif name == b"fmt ":
            chunks.codec = view.number(body, 2, kind.order)
            chunks.rate, chunks.frame = view.number(body + 8, 4, kind.order), view.number(body + 12, 2, kind.order) or 1
        elif name in names:
            chunks.start, chunks.stated, chunks.size_at = body, size, offset + kind.name
            if long_size_at is not None and size == 0xFFFFFFFF:
                chunks.size_at, chunks.width, chunks.stated = long_size_at, 8, view.number(long_size_at, 8)
            return chunks
        offset = _next(offset, size, kind)
    return None


def _next(offset: int, size: int, kind: _Kind) -> int:
    length = max(size, kind.header) if kind.counts_header else kind.header + size
    return offset + length + -length % kind.align


def _are_chunks(view: View, offset: int, kind: _Kind) -> bool:
    """Nothing, or chunks up to the end: what stands behind a sound of no length."""
    stop, rest = _after(view, offset, kind)
    return stop + rest >= view.size and not rest


def _after(view: View, end: int, kind: _Kind) -> tuple[int, int]:
    """Where the chunks behind the sound, which ends at `end`, end; and how many bytes of no chunk follow."""
    offset = end + -end % kind.align if kind.align == 2 else end
    for _ in range(MAX_CHUNKS):
        name = view.at(offset, 4)
        if offset >= view.size or name in _SOUND or name == b"caff" or view.at(offset, 16) == _W64_RIFF:
            return min(offset, view.size), 0
        if len(name) < 4 or not all(32 <= byte < 127 for byte in name):
            return min(end, view.size), view.size - offset
        offset = _next(offset, view.number(offset + kind.name, kind.width, kind.order), kind)
    return view.size, 0


def _resized(view: View, start: int, stop: int, chunks: _Chunks, kind: _Kind, length: int) -> Pieces:
    """[start, stop) as a container that states `length` bytes of sound."""
    if chunks.width == 4 and length > MAX_RIFF and kind is _LITTLE:
        long_sizes = (stop - start + 28).to_bytes(8, "little") + length.to_bytes(8, "little") + bytes(12)
        head = b"RF64" + b"\xff" * 4 + b"WAVEds64" + (28).to_bytes(4, "little") + long_sizes
        return (head, *view.patched(start + 12, stop, Patch(chunks.size_at, b"\xff" * 4)))
    stated = length + (kind.header if kind.counts_header else 0)
    order = "big" if kind.order == "big" else "little"
    patches = [Patch(chunks.size_at, stated.to_bytes(chunks.width, "big" if order == "big" else "little"))]
    return view.patched(start, stop, *patches)
