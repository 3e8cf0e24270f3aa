"""From the bytes of one stream, or a track of it, to samples: libsndfile, and for what it does not know FFmpeg, with
the extra [media]."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import numpy as np

from sqe_fast.audio.foreign import Guarded
from sqe_fast.audio.formats import ogg
from sqe_fast.audio.formats.names import recognised
from sqe_fast.audio.formats.view import View
from sqe_fast.audio.joined import BLOCK, Piece, Samples
from sqe_fast.audio.quiet import quiet
from sqe_fast.audio.raw import ENCODINGS, RawFormat
from sqe_fast.errors import ClipError, ErrorCode

if TYPE_CHECKING:
    import av

UNKNOWN_FRAMES = 1 << 60
"""libsndfile states a length beyond this where a FLAC stream does not state its own."""

# libsndfile's error number for a seek that fails, and those for headers that it refuses itself.
_BAD_SEEK = 39
_BAD_SF_INFO, _ZERO_CHANNELS, _TOO_MANY_CHANNELS, _BAD_CHANNELS = 24, 32, 33, 34

_STATES_LENGTH = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "wav", "caf", "aiff", "au", "w64", "ogg"}
"""FFmpeg's formats whose length is stated by the file, and not estimated from its size."""
_MANY_PLANES = 8
_MISSING_SECONDS = 0.25
"""By how much less than what was stated may be decoded: codecs have delays, and frames to be filled."""
_FORMATS = (
    "aac,ac3,aiff,alac,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,qcp,rm,shn,sol,tta,voc,w64,wav,webm,wv,xwma"
)
"""FFmpeg's formats that hold sound; none of them is a list of other files or addresses."""


class Decoder(Protocol):
    """One track of a file, opened."""

    rate: int
    """Hz, at its beginning."""
    channels: int
    """At its beginning."""
    tracks: int
    """Of sound that the file holds side by side, this one counted."""
    begins: float
    """Seconds, on a clock that all tracks of the file share."""
    cut: bool
    """Something is missing. Final once `pieces` has been read through."""

    def pieces(self) -> Iterator[Piece]:
        """All of it, float32, up to BLOCK frames each."""

    def close(self) -> None: ...


class TrackRefused(Exception):
    """One of several tracks cannot be decoded, `error` says why; there are `tracks` in all."""

    def __init__(self, error: ClipError, tracks: int) -> None:
        super().__init__(str(error))
        self.error, self.tracks = error, tracks


def open_decoder(file: BinaryIO, raw: RawFormat | None = None, track: int = 0) -> Decoder:
    """Of an open file, from its beginning; it is left open. Tracks are counted from 0. Raises ClipError where nothing
    here decodes it, TrackRefused where it holds others as well."""
    tracks = 1 if raw is not None else ogg.sounds(View(file))
    if tracks > 1 and _has_ffmpeg():
        return _open_media(file, track, _not_sound())
    if track and tracks > 1:  # libsndfile knows of one alone
        raise TrackRefused(_needs_extra("several streams in Ogg"), tracks)
    file.seek(0)
    opened = _SoundFile.opened(file, raw, tracks)
    if isinstance(opened, _SoundFile):
        return opened
    if opened.code is not ErrorCode.UNSUPPORTED_FORMAT or raw is not None:
        raise opened
    return _open_media(file, track, opened)


class _SoundFile:
    """By libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF, …"""

    begins = 0.0

    def __init__(self, sound: Any, tracks: int) -> None:
        self._sound, self.tracks = sound, tracks
        self.rate, self.channels = int(sound.samplerate), int(sound.channels)
        self._claimed = int(sound.frames)
        self.cut = False

    @classmethod
    def opened(cls, file: BinaryIO, raw: RawFormat | None, tracks: int) -> _SoundFile | ClipError:
        """The stream; or why it is none."""
        import soundfile

        # By descriptor where there is one: names are never a hint of the format.
        handle = file.fileno() if isinstance(file, io.FileIO) else _Unnamed(file)
        try:
            with quiet():
                if raw is None:
                    return cls(soundfile.SoundFile(handle, closefd=False), tracks)
                subtype, endian = ENCODINGS[raw.encoding]
                sound = soundfile.SoundFile(handle, "r", raw.rate, raw.channels, subtype, endian, "RAW", closefd=False)
                return cls(sound, tracks)
        except soundfile.LibsndfileError as error:
            return _refused(error.code, file)

    def pieces(self) -> Iterator[Piece]:
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
                yield Piece(self.rate, block[:filled])
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
    return _not_sound()


def _not_sound() -> ClipError:
    return ClipError(
        ErrorCode.UNSUPPORTED_FORMAT,
        "not a sound file that can be decoded: convert it to WAV, FLAC, Ogg, Opus or MP3; of PCM without a header, say "
        "what it is made of (--raw, or Raw in Python)",
    )


class _Media:
    """By FFmpeg: one track of sound of a file."""

    def __init__(self, container: av.container.InputContainer, track: int, found: str) -> None:
        import av.stream

        self._container = container
        self.tracks = len(container.streams.audio)
        self._stream = container.streams.audio[track]
        if self._stream.codec_context is None:
            raise ClipError(ErrorCode.UNSUPPORTED_FORMAT, f"{found}: FFmpeg knows no decoder for it: convert it")
        for other in container.streams:
            if other.index != self._stream.index:
                other.discard = av.stream.Discard.all
        self._stream.codec_context.thread_count = 1
        self.cut = False
        self._packets = 0
        self._frames = self._decoded()
        # What a header says of rate and channels is not always what is decoded (AAC with SBR).
        self._first = next(self._frames, None)
        if self._first is None:
            if self.tracks == 1 or self._packets:
                message = f"no audio: {found} could not be decoded: export the file again"
                raise ClipError(ErrorCode.EMPTY_AUDIO, message)
            context = self._stream.codec_context  # a talker who never said a word
            self.rate, self.channels, self.begins = context.sample_rate or 1, context.channels or 1, 0.0
        else:
            self.rate, self.channels = self._first.sample_rate, self._first.layout.nb_channels
            self.begins = self._first.time or 0.0

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """All frames. What a damaged packet would have given is left out, and told by `cut`."""
        import av

        try:
            for packet in self._demuxed():
                self._packets += packet.size > 0
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

    def _demuxed(self) -> Iterator[av.Packet[av.AudioStream]]:
        while True:
            try:
                yield from self._container.demux(self._stream)
                return
            except IndexError:
                pass  # a packet of a stream that began after the file was opened, unknown to PyAV: go on behind it

    def pieces(self) -> Iterator[Piece]:
        import av

        seconds = 0.0
        waiting: list[Samples] = []
        rate = self.rate
        for frame in chain([self._first] if self._first else (), self._frames):
            try:
                samples = _floats(self._interleaved(frame))
            except (av.error.FFmpegError, ValueError):  # a kind that is none, of a damaged frame
                self.cut = True
                continue
            seconds += len(samples) / frame.sample_rate
            if waiting and (frame.sample_rate, samples.shape[1]) != (rate, waiting[0].shape[1]):
                yield from _joined(rate, waiting)
                waiting = []
            rate = frame.sample_rate
            waiting.append(samples)
            if sum(map(len, waiting)) >= BLOCK:
                yield from _joined(rate, waiting)
                waiting = []
        yield from _joined(rate, waiting)
        self.cut |= self._first is not None and seconds < self._stated_seconds() - _MISSING_SECONDS

    def _interleaved(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Where it has eight channels or more: PyAV finds no end of so many planes, and crashes."""
        import av

        if frame.sample_rate < 1:
            raise ValueError("no sample rate")
        if not frame.format.is_planar or frame.layout.nb_channels < _MANY_PLANES:
            return frame
        resampler = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate)
        [whole] = resampler.resample(frame)
        return whole

    def _stated_seconds(self) -> float:
        if self._container.format.name not in _STATES_LENGTH:
            return 0.0
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if tagged := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", self._stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tagged.groups())  # where the track ends
            return 3_600 * hours + 60 * minutes + seconds - self.begins
        if len(self._container.streams) > 1 or self._container.duration is None:
            return 0.0  # what else is in the file may be longer
        return float(Fraction(self._container.duration, 1_000_000))

    def close(self) -> None:
        self._container.close()


def _joined(rate: int, waiting: list[Samples]) -> Iterator[Piece]:
    joined = np.concatenate(waiting) if waiting else np.empty((0, 1), np.float32)
    for start in range(0, len(joined), BLOCK):
        yield Piece(rate, joined[start : start + BLOCK])


def _floats(frame: av.AudioFrame) -> Samples:
    """[frames, channels] float32, full scale ±1, of samples of any format."""
    array = frame.to_ndarray()  # [channels, frames], or [1, frames · channels] where they are interleaved
    if not frame.format.is_planar:
        array = array.reshape(-1, frame.layout.nb_channels).T
    if array.dtype.kind == "u":
        array = array.astype(np.int16) - 128
        return (array.T / np.float32(128)).astype(np.float32, copy=False)
    if array.dtype.kind == "i":
        return (array.T / np.float64(1 << 8 * array.dtype.itemsize - 1)).astype(np.float32)
    return array.T.astype(np.float32, copy=False)


def _has_ffmpeg() -> bool:
    try:
        import av  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _open_media(file: BinaryIO, track: int, refused: ClipError) -> _Media:
    """Raises ClipError that names what was found, and says how to make it readable; TrackRefused."""
    found = recognised(file)
    if found is None and not file.seek(0, os.SEEK_END):
        raise refused
    if not _has_ffmpeg():
        raise refused if found is None else _needs_extra(found)
    import av

    try:
        # Sound may come from this file alone: no other file, no address.
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        # Each track reads the file by itself, from a place of its own: tracks need not lie close together.
        container = av.open(_Unnamed(cast(BinaryIO, Guarded(file))), "r", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise _undecodable(found, refused, error) from error
    try:
        return _track(container, track, found, refused)
    except (ClipError, TrackRefused):
        container.close()
        raise


def _track(container: av.container.InputContainer, track: int, found: str | None, refused: ClipError) -> _Media:
    import av

    tracks = len(container.streams.audio)
    if not tracks:
        raise ClipError(ErrorCode.EMPTY_AUDIO, "no audio: the file holds no stream of sound")
    try:
        return _Media(container, track, found or container.format.long_name)
    except (ClipError, av.error.FFmpegError, ValueError) as error:
        why = error if isinstance(error, ClipError) else _undecodable(found, refused, error)
        if tracks > 1:
            raise TrackRefused(why, tracks) from error
        raise why from error


def _undecodable(found: str | None, refused: ClipError, error: Exception) -> ClipError:
    if found is None:
        return refused
    reason = getattr(error, "strerror", None) or str(error)
    message = f"{found}: cut off or damaged, FFmpeg cannot decode it ({reason}): copy or export it again"
    return ClipError(ErrorCode.UNSUPPORTED_FORMAT, message)


def _needs_extra(found: str) -> ClipError:
    return ClipError(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"{found}: install what decodes it, pip install 'sqe-fast[media]', or convert it, "
        "ffmpeg -i FILE -c:a pcm_s16le FILE.wav",
    )
