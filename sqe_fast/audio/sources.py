"""Sources of PCM: a sound file, bytes, a binary file object or an array, read in blocks of bounded size.

Nothing here holds more than one block, so an hour of silence in a 180 kB FLAC costs no more memory than a second.
Blocks always start at the same frames, however often a source is read.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.containers import Contents, Pieces, Spliced, inspect
from sqe_fast.audio.decoders import Decoder, TrackRefused, open_decoder
from sqe_fast.audio.excerpt import Excerpt, ExcerptSource
from sqe_fast.audio.foreign import Guarded, array_of, costs_one_row, in_memory, path_of
from sqe_fast.audio.joined import BLOCK, Piece, Samples, delayed, in_line, side_by_side
from sqe_fast.audio.raw import Raw, RawFormat
from sqe_fast.errors import ClipError, ErrorCode

_QUIET_INT32 = 64
"""A peak up to which int32 samples may be silence; one of 16 bits is 96 dB below full scale."""
_FULL_SCALE = {np.dtype(np.int16): 32_768.0, np.dtype(np.int32): 2_147_483_648.0}


Source = str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int] | Mapping[str, Any] | Raw | Excerpt
"""What a recording comes from; an array comes with its sample rate, PCM without a header with its format. A mapping is
a row of a dataset: {"array", "sampling_rate"} or {"bytes", "path"}. An excerpt is a part of any other."""

MAX_PIPED = 8 << 30
"""Bytes of a pipe that are kept, in a temporary file: 12 h of 16-bit stereo at 48 kHz."""


MOST_SECONDS = 43_200
"""Of a stream that is read to learn what it is made of."""


class FormatGrew(Exception):
    """A stream has a higher rate or more channels on its way than at its beginning. The source knows them all now: read
    it again."""


class PcmSource(Protocol):
    """PCM that can be read more than once."""

    name: str

    @property
    def rate(self) -> int:
        """Hz, as the source claims; not checked yet."""

    @property
    def channels(self) -> int: ...

    @property
    def tracks(self) -> tuple[int, ...]:
        """Channels of each of the tracks that lie side by side, 0 for one that cannot be decoded; () of one."""

    @property
    def cut(self) -> bool:
        """Something is missing at the end. Final once `blocks` has been read through."""

    def blocks(self) -> Iterator[Samples]:
        """[frames, channels] float32 or float64, full scale ±1. Raises ClipError if the source is gone, and, not more
        than once, FormatGrew."""


Opens = Callable[[str, Path | BinaryIO, RawFormat | None], PcmSource]
"""Opens a file by its name in rows: FileSource here, `sandbox.Pool.open` in a child process."""


def name_of(source: Any) -> str:
    """How a row names its input, whether it can be opened or not."""
    if isinstance(source, str | os.PathLike):
        with contextlib.suppress(ClipError):
            return path_of(source)
    if isinstance(source, Raw | Excerpt):
        return name_of(source.source)
    if isinstance(source, Mapping):
        return name_of(source["path"]) if isinstance(source.get("path"), str | os.PathLike) else "<array>"
    if isinstance(source, tuple) or hasattr(source, "get_all_samples"):
        return "<array>"
    name = None if isinstance(source, bytes | bytearray | memoryview) else getattr(source, "name", None)
    return str(name) if isinstance(name, str | int) else f"<{type(source).__name__}>"


def open_source(source: Any, max_channels: int, opens: Opens | None = None) -> PcmSource:
    """A path, bytes, a binary file object, (array, sample_rate), a dataset's row or decoder, Raw of one of the first
    three, or an Excerpt of any; `opens` what has to be decoded. Raises ClipError, whatever the source raises."""
    opens = opens or FileSource
    with costs_one_row(ErrorCode.BAD_INPUT, f"this {type(source).__name__} cannot be taken"):
        if isinstance(source, Excerpt):
            return ExcerptSource(open_source(source.source, max_channels, opens), source)
        if isinstance(source, Raw):
            return _file_source(source.source, source.format, opens)
        held = in_memory(source)
        if isinstance(held, tuple) and len(held) == 2:
            return ArraySource(held[0], held[1], max_channels)
        return _file_source(held, None, opens)


def _file_source(source: Any, raw: RawFormat | None, opens: Opens) -> PcmSource:
    if isinstance(source, str | os.PathLike):
        path = path_of(source)
        return opens(path, _unpiped(Path(path)), raw)
    if isinstance(source, bytes | bytearray | memoryview):
        return opens("<bytes>", io.BytesIO(source), raw)
    if hasattr(source, "samplerate"):
        raise ClipError(
            ErrorCode.BAD_INPUT,
            f"an opened {type(source).__name__}: pass the file itself, or (its samples, its sample rate)",
        )
    if hasattr(source, "read"):
        return opens(name_of(source), _seekable(source), raw)
    raise ClipError(
        ErrorCode.BAD_INPUT,
        f"cannot take audio from {type(source).__name__}: pass a path, bytes, a binary file object, or a tuple "
        "(samples, sample_rate)",
    )


def _unpiped(path: Path) -> Path | BinaryIO:
    """The path; of a pipe, which can be read but once, all that comes out of it."""
    with contextlib.suppress(OSError, ValueError):  # said when it is opened
        if stat.S_ISFIFO(path.stat().st_mode):
            with path.open("rb") as pipe:
                return kept(pipe)
    return path


def _seekable(file: Any) -> BinaryIO:
    if isinstance(file, io.TextIOBase):
        raise ClipError(ErrorCode.BAD_INPUT, "the file object is open as text: open it in binary mode ('rb')")
    if getattr(file, "closed", False):
        raise ClipError(ErrorCode.UNREADABLE, "the file object is closed: open it again, and close it after")
    if hasattr(file, "readable") and not file.readable():
        raise ClipError(ErrorCode.UNREADABLE, "the file object is open for writing: open it in binary mode ('rb')")
    if hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable()):
        return cast(BinaryIO, file)
    return kept(file)


def kept(pipe: BinaryIO) -> BinaryIO:
    """All that comes out of it, in a temporary file, which is removed by the system when nobody holds it any more."""
    copy = cast(BinaryIO, tempfile.TemporaryFile(prefix="sqe-fast-"))  # noqa: SIM115 (as long as the source is held)
    try:
        size = 0
        while data := pipe.read(1 << 20):
            size += copy.write(data)
            if size > MAX_PIPED:
                raise ClipError(ErrorCode.TOO_LONG, f"more than {MAX_PIPED >> 30} GiB from a pipe: write it to a file")
        copy.flush()
    except BaseException:
        copy.close()
        raise
    return copy


def opened(path: Path) -> BinaryIO:
    """A regular file, to be read. Raises ClipError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ClipError(ErrorCode.UNREADABLE, "not a file or a pipe: pass the sound files themselves")
        # Unbuffered: libsndfile shares the descriptor, and with it the position.
        return cast(BinaryIO, path.open("rb", buffering=0))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte in the name
        raise ClipError(ErrorCode.NOT_FOUND, "no such file: check the path") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ClipError(ErrorCode.UNREADABLE, f"cannot be read ({reason}): check its permissions") from error


@dataclass
class _Track:
    """One of those that a stream holds side by side, mostly the only one."""

    number: int
    rate: int
    channels: int
    begins: float
    """Seconds, on the clock of the stream."""

    def take(self, piece: Piece) -> bool:
        """Whether the track is what it was taken for; else it becomes that."""
        known = piece.rate <= self.rate and piece.samples.shape[1] <= self.channels
        self.rate, self.channels = max(self.rate, piece.rate), max(self.channels, piece.samples.shape[1])
        return known


@dataclass
class _Part:
    """One stream of a file."""

    pieces: Pieces
    """None of them: the file as it is."""
    tracks: list[_Track] = field(default_factory=list)
    """Those that can be decoded."""
    count: int = 1
    """With those that cannot."""

    @property
    def rate(self) -> int:
        return max(track.rate for track in self.tracks)

    @property
    def channels(self) -> int:
        return sum(track.channels for track in self.tracks)

    @property
    def held(self) -> tuple[int, ...]:
        """Channels of each track, in their order."""
        known = {track.number: track.channels for track in self.tracks}
        return tuple(known.get(number, 0) for number in range(self.count))


class FileSource:
    """Anything that libsndfile decodes, or FFmpeg.

    A file may hold several streams, one after the other. Where they differ, the recording has the highest of their
    rates and the most of their channels, see `joined.in_line`. A stream may hold several tracks side by side, as of a
    call recorder: the channels of the second go on where those of the first end, and so on.
    """

    def __init__(self, name: str, file: Path | BinaryIO, raw: RawFormat | None = None) -> None:
        self.name = name
        self._file = file
        self._raw = raw
        with self._binary() as binary:
            guarded = Guarded(binary)
            contents = inspect(cast(BinaryIO, guarded)) if raw is None else Contents((), cut=False)
            guarded.check()
            self.cut = contents.cut
            whole = (range(binary.seek(0, os.SEEK_END)),)
        self._parts = list(self._opened([() if pieces == whole else pieces for pieces in contents.parts or ((),)]))

    @property
    def rate(self) -> int:
        return max(part.rate for part in self._parts)

    @property
    def channels(self) -> int:
        return max(part.channels for part in self._parts)

    @property
    def tracks(self) -> tuple[int, ...]:
        most = max((part.held for part in self._parts), key=len)
        return most if len(most) > 1 else ()

    def _opened(self, parts: list[Pieces]) -> Iterator[_Part]:
        for index, pieces in enumerate(parts):
            try:
                yield self._tracks_of(pieces)
            except ClipError:
                if not index:
                    raise
                self.cut = True  # what follows the first stream cannot be decoded

    def _tracks_of(self, pieces: Pieces) -> _Part:
        """Raises ClipError where none can be decoded."""
        part, refused, number = _Part(pieces), None, 0
        while number < part.count:
            try:
                with self._decoder(pieces, number) as decoder:
                    part.tracks.append(_Track(number, decoder.rate, decoder.channels, decoder.begins))
                    part.count = decoder.tracks
            except TrackRefused as error:
                part.count, refused = error.tracks, refused or error.error
            number += 1
        if not part.tracks:
            assert refused is not None
            raise refused
        return part

    def blocks(self) -> Iterator[Samples]:
        return in_line(self._in_line(), self.rate, self.channels)

    def _in_line(self) -> Iterator[Piece]:
        """All parts."""
        for part in self._parts:
            with ExitStack() as stack:
                decoders = [stack.enter_context(self._decoder(part.pieces, track.number)) for track in part.tracks]
                tracks = [self._checked(*each) for each in zip(part.tracks, decoders, strict=True)]
                yield from tracks[0] if len(tracks) == 1 else _beside(part, tracks)
                self.cut |= any(decoder.cut for decoder in decoders)

    def _checked(self, track: _Track, decoder: Decoder) -> Iterator[Piece]:
        for piece in decoder.pieces():
            if not track.take(piece):
                self._learn()
                raise FormatGrew
            yield piece

    def _learn(self) -> None:
        """Reads everything once: it is not to be begun anew for each change."""
        for part in self._parts:
            for track in part.tracks:
                seconds = 0.0
                with self._decoder(part.pieces, track.number) as decoder:
                    for piece in decoder.pieces():
                        track.take(piece)
                        seconds += len(piece.samples) / piece.rate
                        if seconds > MOST_SECONDS:
                            return

    def _binary(self) -> AbstractContextManager[BinaryIO]:
        return opened(self._file) if isinstance(self._file, Path) else nullcontext(self._file)

    @contextlib.contextmanager
    def _decoder(self, pieces: Pieces, track: int) -> Iterator[Decoder]:
        """A track of one stream. Several may be open at once."""
        with self._binary() as binary:
            guarded = Guarded(binary)
            readable = cast(BinaryIO, guarded)
            if pieces:
                readable = cast(BinaryIO, Spliced(readable, pieces))
            elif isinstance(self._file, Path):
                readable = binary  # read by its descriptor
            try:
                decoder = open_decoder(readable, self._raw, track)
            except (ClipError, TrackRefused):
                guarded.check()
                raise
            try:
                yield decoder
            finally:
                decoder.close()
            guarded.check()


def _beside(part: _Part, tracks: list[Iterator[Piece]]) -> Iterator[Piece]:
    """Side by side, each where it begins."""
    first = min(track.begins for track in part.tracks)
    lines = []
    for track, pieces in zip(part.tracks, tracks, strict=True):
        line = in_line(pieces, part.rate, track.channels)
        lines.append(delayed(line, round((track.begins - first) * part.rate), track.channels))
    blocks = side_by_side(lines, [track.channels for track in part.tracks])
    return (Piece(part.rate, block) for block in blocks)


class ArraySource:
    """(samples, sample_rate): [n], [n, channels] or [channels, n].

    int16 and int32 are scaled by their full scale; floats are taken as they are (full scale ±1); other types have no
    known full scale and are refused. The axis with at most `max_channels` entries is the channels; an array with both
    axes that short is read as [n, channels], and is too short to be scored anyway.
    """

    name = "<array>"
    cut = False
    tracks = ()

    def __init__(self, samples: Any, rate: Any, max_channels: int) -> None:
        self.rate = _whole(rate)
        array = array_of(samples)
        if array.dtype not in _FULL_SCALE and array.dtype.kind != "f":
            raise ClipError(
                ErrorCode.BAD_INPUT, f"samples of type {array.dtype}: pass float (full scale ±1), int16 or int32"
            )
        if array.ndim not in (1, 2):
            raise ClipError(
                ErrorCode.BAD_INPUT, f"samples of shape {array.shape}: pass [n], [n, channels] or [channels, n]"
            )
        if array.ndim == 1:
            array = array[:, np.newaxis]
        elif array.shape[0] <= max_channels < array.shape[1]:
            array = array.T
        if array.dtype == np.int32 and _QUIET_INT32 < _peak(array) <= 1 << 15:
            why = "int32 samples that fill no more than 16 bits: pass them as int16, or scale them"
            raise ClipError(ErrorCode.OUT_OF_RANGE, why)
        self._array: npt.NDArray[Any] = array
        self.channels = int(array.shape[1])

    def blocks(self) -> Iterator[Samples]:
        scale = _FULL_SCALE.get(self._array.dtype)
        for start in range(0, len(self._array), BLOCK):
            block = self._array[start : start + BLOCK]
            if scale is not None:
                yield (block.astype(np.float64) / scale).astype(np.float32)
            elif block.dtype == np.float16:
                yield block.astype(np.float32)
            else:
                yield block


def _peak(array: npt.NDArray[Any]) -> int:
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def _whole(rate: Any) -> int:
    """A sample rate given as an int, a NumPy integer or a whole float."""
    try:
        if isinstance(rate, bool) or int(rate) != rate:
            raise ValueError(rate)
        return int(rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise ClipError(ErrorCode.BAD_SAMPLE_RATE, f"sample rate {rate!r}: pass a whole number of hertz") from error
