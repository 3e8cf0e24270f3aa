"""From the bytes of one stream to samples: libsndfile, and for what it does not know FFmpeg, with the extra [media]."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.formats.names import recognised
from sqe_fast.audio.quiet import quiet
from sqe_fast.audio.raw import ENCODINGS, RawFormat
from sqe_fast.errors import ClipError, ErrorCode

if TYPE_CHECKING:
    import av

BLOCK = 65_536
"""Frames in a block."""
UNKNOWN_FRAMES = 1 << 60
"""libsndfile states a length beyond this where a FLAC stream does not state its own."""

Samples = npt.NDArray[np.floating[Any]]

# libsndfile's error number for a seek that fails, and those for headers that it refuses itself.
_BAD_SEEK = 39
_BAD_SF_INFO, _ZERO_CHANNELS, _TOO_MANY_CHANNELS, _BAD_CHANNELS = 24, 32, 33, 34

_STATES_LENGTH = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "wav", "caf", "aiff", "au", "w64", "ogg", "avi"}
"""FFmpeg's formats whose length is stated by the file, and not estimated from its size."""
_MISSING_SECONDS = 0.25
"""By how much less than what was stated may be decoded: codecs have delays, and frames to be filled."""
_FORMATS = (
    "aac,ac3,aiff,alac,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,qcp,rm,shn,sol,tta,voc,w64,wav,webm,wv,xwma"
)
"""FFmpeg's formats that hold sound; none of them is a list of other files or addresses."""


class Decoder(Protocol):
    """One stream of a file, opened."""

    rate: int
    """Hz."""
    channels: int
    cut: bool
    """Something is missing. Final once `blocks` has been read through."""

    def blocks(self) -> Iterator[Samples]:
        """[frames, channels] float32, up to BLOCK frames each."""

    def close(self) -> None: ...


def open_decoder(file: BinaryIO, raw: RawFormat | None = None) -> Decoder:
    """Of an open file, from its beginning; it is left open. Raises ClipError where nothing here decodes it."""
    file.seek(0)
    opened = _SoundFile.opened(file, raw)
    if isinstance(opened, _SoundFile):
        return opened
    if opened.code is not ErrorCode.UNSUPPORTED_FORMAT or raw is not None:
        raise opened
    return _open_media(file, opened)


class _SoundFile:
    """By libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, …"""

    def __init__(self, sound: Any) -> None:
        self._sound = sound
        self.rate, self.channels = int(sound.samplerate), int(sound.channels)
        self._claimed = int(sound.frames)
        self.cut = False

    @classmethod
    def opened(cls, file: BinaryIO, raw: RawFormat | None) -> _SoundFile | ClipError:
        """The stream; or why it is none."""
        import soundfile

        # By descriptor where there is one: names are never a hint of the format.
        handle = file.fileno() if isinstance(file, io.FileIO) else _Unnamed(file)
        try:
            with quiet():
                if raw is None:
                    return cls(soundfile.SoundFile(handle, closefd=False))
                subtype, endian = ENCODINGS[raw.encoding]
                sound = soundfile.SoundFile(handle, "r", raw.rate, raw.channels, subtype, endian, "RAW", closefd=False)
                return cls(sound)
        except soundfile.LibsndfileError as error:
            return _refused(error.code, file)

    def blocks(self) -> Iterator[Samples]:
        import soundfile

        total = 0
        while True:
            # Where decoding fails in a block, what was decoded of it is there, but not told: NaN marks the rest.
            block = np.full((BLOCK, self.channels), np.nan, np.float32)
            try:
                with quiet():
                    filled = len(self._sound.read(out=block))
            except soundfile.LibsndfileError as error:
                # soundfile seeks after each read, which fails at the end of a FLAC stream of unknown length.
                self.cut |= error.code != _BAD_SEEK or self._claimed < UNKNOWN_FRAMES
                filled = int(np.isfinite(block[:, -1]).sum())
            total += filled
            if filled:
                yield block[:filled]
            if filled < BLOCK:
                self.cut |= total < self._claimed < UNKNOWN_FRAMES
                return

    def close(self) -> None:
        with quiet():
            self._sound.close()


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


def _refused(code: int, file: BinaryIO) -> ClipError:
    if code == _BAD_SF_INFO:
        return ClipError(ErrorCode.BAD_SAMPLE_RATE, "the header states no usable sample rate: export the file again")
    if code in (_ZERO_CHANNELS, _TOO_MANY_CHANNELS, _BAD_CHANNELS):
        return ClipError(ErrorCode.TOO_MANY_CHANNELS, "unusable channel count: mix down to mono or stereo")
    file.seek(0)
    if not file.read(1):
        return ClipError(ErrorCode.UNSUPPORTED_FORMAT, "the file is empty: record or copy it again")
    return ClipError(
        ErrorCode.UNSUPPORTED_FORMAT,
        "not a sound file that can be decoded: convert it to WAV, FLAC, Ogg, Opus or MP3; of PCM without a header, say "
        "what it is made of (--raw, or Raw in Python)",
    )


class _Media:
    """By FFmpeg: the first stream of sound in a file."""

    def __init__(self, container: av.container.InputContainer, stream: av.AudioStream, found: str) -> None:
        import av

        self._container = container
        self._stream = stream
        stream.codec_context.thread_count = 1
        self.cut = False
        self._frames = self._decoded()
        # What a header says of rate and channels is not always what is decoded (AAC with SBR).
        self._first = next(self._frames, None)
        if self._first is None:
            raise ClipError(ErrorCode.EMPTY_AUDIO, f"no audio: {found} could not be decoded: export the file again")
        self.rate, self.channels = self._first.sample_rate, len(self._first.layout.channels)
        self._resampler = av.AudioResampler("fltp", self._first.layout, self.rate)

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """All frames. What a damaged packet would have given is left out, and told by `cut`."""
        import av

        try:
            for packet in self._container.demux(self._stream):
                self.cut |= packet.is_corrupt
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    self.cut = True
                    continue
                for frame in frames:
                    self.cut |= frame.is_corrupt
                    yield frame
        except av.error.FFmpegError:
            self.cut = True

    def blocks(self) -> Iterator[Samples]:
        total = 0
        waiting: list[Samples] = []
        for samples in self._samples():
            waiting.append(samples)
            if sum(map(len, waiting)) >= BLOCK:
                joined = np.concatenate(waiting)
                total += len(joined)
                for start in range(0, len(joined), BLOCK):
                    yield joined[start : start + BLOCK]
                waiting = []
        if waiting:
            total += sum(map(len, waiting))
            yield np.concatenate(waiting)
        self.cut |= total / self.rate < self._stated_seconds() - _MISSING_SECONDS

    def _samples(self) -> Iterator[Samples]:
        frame = self._first
        while frame is not None:
            for converted in self._resampler.resample(frame):
                yield _floats(converted)
            frame = next(self._frames, None)
        for converted in self._resampler.resample(None):
            yield _floats(converted)

    def _stated_seconds(self) -> float:
        if self._container.format.name not in _STATES_LENGTH:
            return 0.0
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if len(self._container.streams) > 1 or self._container.duration is None:
            return 0.0  # what else is in the file may be longer
        return float(Fraction(self._container.duration, 1_000_000))

    def close(self) -> None:
        self._container.close()


def _floats(frame: av.AudioFrame) -> Samples:
    """[channels, frames] float32 → [frames, channels]"""
    return frame.to_ndarray().astype(np.float32, copy=False).T


def _open_media(file: BinaryIO, refused: ClipError) -> _Media:
    """Raises ClipError that names what was found, and says how to make it readable."""
    found = recognised(file)
    if found is None and not file.seek(0, os.SEEK_END):
        raise refused
    try:
        import av
    except ModuleNotFoundError as error:
        raise _needs_extra(found, refused) from error
    file.seek(0)
    try:
        # Sound may come from this file alone: no other file, no address.
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        container = av.open(_Unnamed(file), "r", options=options)
        try:
            return _Media(container, _sound_in(container, refused), found or container.format.long_name)
        except (ClipError, av.error.FFmpegError):
            container.close()
            raise
    except (av.error.FFmpegError, ValueError) as error:
        if found is None:
            raise refused from error
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{found}: cut off or damaged, FFmpeg cannot decode it ({reason}): copy or export it again"
        raise ClipError(ErrorCode.UNSUPPORTED_FORMAT, message) from error


def _sound_in(container: av.container.InputContainer, refused: ClipError) -> av.AudioStream:
    if not container.streams.audio:
        raise ClipError(ErrorCode.EMPTY_AUDIO, "no audio: the file holds no stream of sound")
    for stream in container.streams.audio:
        if stream.codec_context is not None:  # else FFmpeg has no decoder for it
            return stream
    raise refused


def _needs_extra(found: str | None, refused: ClipError) -> ClipError:
    if found is None:
        return refused
    return ClipError(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"{found}: install what decodes it, pip install 'sqe-fast[media]', or convert it, "
        "ffmpeg -i FILE -c:a pcm_s16le FILE.wav",
    )
