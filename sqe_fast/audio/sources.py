"""Sources of PCM: a sound file, bytes, a binary file object or an array, read in blocks of bounded size.

Nothing here holds more than one block, so an hour of silence in a 180 kB FLAC costs no more memory than a second.
Blocks always start at the same frames, however often a source is read.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.containers import Pieces, Spliced, inspect
from sqe_fast.audio.quiet import quiet
from sqe_fast.errors import ClipError, ErrorCode

BLOCK = 65_536
"""Frames in a block."""
UNKNOWN_FRAMES = 1 << 60
"""libsndfile states a length beyond this where a FLAC stream does not state its own."""

Samples = npt.NDArray[np.floating[Any]]

_FULL_SCALE = {np.dtype(np.int16): 32_768.0, np.dtype(np.int32): 2_147_483_648.0}

# libsndfile's error number for a seek that fails, and those for headers that it refuses itself.
_BAD_SEEK = 39
_BAD_SF_INFO, _ZERO_CHANNELS, _TOO_MANY_CHANNELS, _BAD_CHANNELS = 24, 32, 33, 34


Source = str | os.PathLike[str] | bytes | BinaryIO | tuple[npt.ArrayLike, int]
"""What a recording comes from; an array comes with its sample rate."""


class PcmSource(Protocol):
    """PCM that can be read more than once."""

    name: str
    rate: int
    """Hz, as the source claims; not checked yet."""
    channels: int
    cut: bool
    """Something is missing at the end. Final once `blocks` has been read through."""

    def blocks(self) -> Iterator[Samples]:
        """[frames, channels] float32 or float64, full scale ±1. Raises ClipError if the source is gone."""


def name_of(source: Source) -> str:
    """How a row names its input, whether it can be opened or not."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, tuple):
        return "<array>"
    return "<bytes>" if isinstance(source, bytes) else str(getattr(source, "name", f"<{type(source).__name__}>"))


def open_source(source: Any, max_channels: int) -> PcmSource:
    """A path, bytes, a seekable binary file object, or (array, sample_rate). Raises ClipError."""
    if isinstance(source, str | os.PathLike):
        return FileSource(os.fspath(source), Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return FileSource("<bytes>", io.BytesIO(source))
    if isinstance(source, tuple) and len(source) == 2:
        return ArraySource(source[0], source[1], max_channels)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return FileSource(str(getattr(source, "name", "<file>")), _seekable(source))
    raise ClipError(
        ErrorCode.BAD_INPUT,
        f"cannot take audio from {type(source).__name__}: pass a path, bytes, a binary file object, or a tuple "
        "(samples, sample_rate)",
    )


def _seekable(file: Any) -> BinaryIO:
    if isinstance(file, io.TextIOBase):
        raise ClipError(ErrorCode.BAD_INPUT, "the file object is open as text: open it in binary mode ('rb')")
    if hasattr(file, "seekable") and not file.seekable():
        raise ClipError(ErrorCode.BAD_INPUT, "the file object cannot seek: read it and pass the bytes")
    return cast(BinaryIO, file)


@dataclass(frozen=True)
class _Part:
    """One stream of a file."""

    pieces: Pieces
    """None of them: the file as it is."""
    rate: int
    channels: int
    claimed: int
    """Frames."""


class FileSource:
    """Anything libsndfile decodes: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, …

    A file may hold several streams, one after the other. Where they differ, the recording has the highest of their
    rates and the most of their channels: a stream of one channel is on all of them, one of several is averaged.
    """

    def __init__(self, name: str, file: Path | BinaryIO) -> None:
        self.name = name
        self._file = file
        with self._binary() as binary:
            contents = inspect(binary)
            self.cut = contents.cut
            self._parts = list(self._opened(binary, contents.parts))
        self.rate = max(part.rate for part in self._parts)
        self.channels = max(part.channels for part in self._parts)

    def _opened(self, binary: BinaryIO, found: tuple[Pieces, ...]) -> Iterator[_Part]:
        whole = (range(binary.seek(0, os.SEEK_END)),)
        for index, pieces in enumerate(found or (whole,)):
            shown = () if pieces == whole else pieces
            try:
                with self._sound_file(binary, shown) as sound:
                    yield _Part(shown, int(sound.samplerate), int(sound.channels), int(sound.frames))
            except ClipError:
                if not index:
                    raise
                self.cut = True  # what follows the first stream cannot be decoded

    def blocks(self) -> Iterator[Samples]:
        with self._binary() as binary:
            for part in self._parts:
                blocks = self._decoded(binary, part)
                yield from blocks if len(self._parts) == 1 else self._alike(blocks, part)

    def _decoded(self, binary: BinaryIO, part: _Part) -> Iterator[Samples]:
        import soundfile

        total = 0
        with self._sound_file(binary, part.pieces) as sound:
            while True:
                # Where decoding fails in a block, what was decoded of it is there, but not told: NaN marks the rest.
                block = np.full((BLOCK, part.channels), np.nan, np.float32)
                try:
                    with quiet():
                        filled = len(sound.read(out=block))
                except soundfile.LibsndfileError as error:
                    # soundfile seeks after each read, which fails at the end of a FLAC stream of unknown length.
                    self.cut |= error.code != _BAD_SEEK or part.claimed < UNKNOWN_FRAMES
                    filled = int(np.isfinite(block[:, -1]).sum())
                total += filled
                if filled:
                    yield block[:filled]
                if filled < BLOCK:
                    self.cut |= total < part.claimed < UNKNOWN_FRAMES
                    return

    def _alike(self, blocks: Iterator[Samples], part: _Part) -> Iterator[Samples]:
        """A stream's blocks at the recording's rate and channels."""
        if part.channels != self.channels:
            blocks = (np.repeat(block.mean(axis=1, keepdims=True), self.channels, axis=1) for block in blocks)
        if part.rate == self.rate:
            yield from blocks
            return
        import soxr

        resampler = soxr.ResampleStream(part.rate, self.rate, self.channels, dtype="float32", quality="HQ")
        for block in blocks:
            yield resampler.resample_chunk(np.ascontiguousarray(block, np.float32))
        yield resampler.resample_chunk(np.empty((0, self.channels), np.float32), last=True)

    def _binary(self) -> AbstractContextManager[BinaryIO]:
        if not isinstance(self._file, Path):
            return nullcontext(self._file)
        try:
            if not stat.S_ISREG(self._file.stat().st_mode):
                raise ClipError(ErrorCode.UNREADABLE, "not a regular file: pass the sound files themselves")
            # Unbuffered: libsndfile shares the descriptor, and with it the position.
            return cast(BinaryIO, self._file.open("rb", buffering=0))
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte in the name
            raise ClipError(ErrorCode.NOT_FOUND, "no such file: check the path") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ClipError(ErrorCode.UNREADABLE, f"cannot be read ({reason}): check its permissions") from error

    def _sound_file(self, binary: BinaryIO, pieces: Pieces) -> Any:
        """An open soundfile.SoundFile of those pieces, or else of the file, by descriptor where there is one: names are
        never a hint of the format."""
        import soundfile

        binary.seek(0)
        try:
            with quiet():
                if pieces:
                    return soundfile.SoundFile(_Unnamed(cast(BinaryIO, Spliced(binary, pieces))))
                if isinstance(self._file, Path):
                    return soundfile.SoundFile(binary.fileno(), closefd=False)
                return soundfile.SoundFile(_Unnamed(binary))
        except soundfile.LibsndfileError as error:
            raise _refused(error.code, binary) from error


class _Unnamed:
    """A binary file without its `name`, from whose suffix soundfile would guess a raw format."""

    def __init__(self, file: BinaryIO) -> None:
        self._seek, self.read, self.tell = file.seek, file.read, file.tell
        if hasattr(file, "readinto"):
            self.readinto = file.readinto

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As the operating system's: a damaged header may ask for a place before the file, and stays where it is. An
        exception could not leave libsndfile's callback; it would only be printed."""
        with contextlib.suppress(ValueError, OSError):
            return self._seek(offset, whence)
        return -1


def _refused(code: int, binary: BinaryIO) -> ClipError:
    if code == _BAD_SF_INFO:
        return ClipError(ErrorCode.BAD_SAMPLE_RATE, "the header states no usable sample rate: export the file again")
    if code in (_ZERO_CHANNELS, _TOO_MANY_CHANNELS, _BAD_CHANNELS):
        return ClipError(ErrorCode.TOO_MANY_CHANNELS, "unusable channel count: mix down to mono or stereo")
    binary.seek(0)
    what = "not a sound file that can be decoded" if binary.read(1) else "the file is empty"
    return ClipError(ErrorCode.UNSUPPORTED_FORMAT, f"{what}: convert it to WAV, FLAC, Ogg, Opus or MP3")


class ArraySource:
    """(samples, sample_rate): [n], [n, channels] or [channels, n].

    int16 and int32 are scaled by their full scale; floats are taken as they are (full scale ±1); other types have no
    known full scale and are refused. The axis with at most `max_channels` entries is the channels; an array with both
    axes that short is read as [n, channels], and is too short to be scored anyway.
    """

    name = "<array>"
    cut = False

    def __init__(self, samples: Any, rate: Any, max_channels: int) -> None:
        self.rate = _whole(rate)
        try:
            array = np.asarray(samples)
        except (ValueError, TypeError) as error:
            raise ClipError(ErrorCode.BAD_INPUT, f"samples must be an array: {error}") from error
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


def _whole(rate: Any) -> int:
    """A sample rate given as an int, a NumPy integer or a whole float."""
    try:
        if isinstance(rate, bool) or int(rate) != rate:
            raise ValueError(rate)
        return int(rate)
    except (TypeError, ValueError, OverflowError) as error:
        raise ClipError(ErrorCode.BAD_SAMPLE_RATE, f"sample rate {rate!r}: pass a whole number of hertz") from error
