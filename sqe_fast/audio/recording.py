"""File, bytes or array → clips of 16 kHz mono float32, with limits.

A source of several channels is one recording or several, see `channels`: which, is decided for the whole of it, while
it is measured. Resampling is soxr's HQ, streamed; it gives the same samples whatever the blocks.

A source is decoded in blocks, first to measure it, then again to hand out the windows of each recording, so memory
stays flat; one that fits a window is kept from the start.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from sqe_fast.audio.channels import Channels, ChannelScan, Heard, checked, chosen
from sqe_fast.audio.decoders import Samples
from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.level import CLIPPED_SHARE, LevelScan
from sqe_fast.audio.sources import PcmSource, open_source
from sqe_fast.audio.speech import holds_speech
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import Flag

MAX_KEPT = 1 << 22
"""Samples, all channels counted, that are kept between the two passes: 30 s of stereo at 48 kHz, or 16 MB. A longer
recording is decoded again."""


@dataclass(frozen=True)
class Limits:
    """What is accepted. Lengths are in seconds, rates in Hz, amplitudes in units of full scale."""

    min_seconds: float = 0.4
    max_seconds: float = 43_200.0
    """12 hours; counted while decoding, so a header cannot lie about it."""
    min_rate: int = 4_000
    max_rate: int = 192_000
    max_channels: int = 8
    max_amplitude: float = 10.0
    """20 dB over full scale: float files may exceed 1, integers held as floats are caught."""
    window_seconds: float = 30.0
    """Longest clip that a model hears at once."""

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds <= self.window_seconds <= 30.0:
            raise ValueError("limits need 0 < min_seconds ≤ window_seconds ≤ 30")
        if not 1 <= self.min_rate <= self.max_rate or self.max_channels < 1 or self.max_amplitude < 1:
            raise ValueError("limits need 1 ≤ min_rate ≤ max_rate, max_channels ≥ 1 and max_amplitude ≥ 1")


@dataclass(frozen=True, eq=False)
class Clip:
    """What a model hears at once."""

    samples: FloatArray
    """[n] at 16 kHz, mono, full scale ±1, read-only; at most 30 s."""
    digest: str
    """SHA-256 of the samples' bytes, in hex: equal digests are equal clips."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Recording:
    """What one row is about, measured, and ready to be heard window by window: a source, or one of its channels."""

    name: str
    channel: int | None
    """Of the source, the first is 0; None where it is heard as a whole."""
    duration: float
    """Seconds of audio in all windows together."""
    source_rate: int
    """Hz, before resampling."""
    flags: tuple[str, ...]
    """Values of results.Flag; `clipped` carries the share of clipped samples, as in "clipped=0.120"."""
    _windows: Callable[[], Iterator[Clip]] = field(repr=False)

    def windows(self) -> Iterator[Clip]:
        """Equal windows (to one sample) that cover the recording without overlap; a single one up to 30 s.

        May be called again. A long recording is decoded once more: raises ClipError if its file is gone or changed.
        """
        return self._windows()


def load(source: Any, channels: Channels = "auto", *, limits: Limits | None = None) -> Recording:
    """As `recordings`, of a source that is to be one recording. Raises ClipError (`channels_differ`) where it is
    several."""
    measured = _measured(source, channels, limits or Limits())
    if len(measured.heard) > 1:
        *others, last = (str(each.channel) for each in measured.heard)
        raise ClipError(
            ErrorCode.CHANNELS_DIFFER,
            f'channels {", ".join(others)} and {last} carry different sounds: choose one by its number, or "mix" for '
            "their mean, with channels= or --channels",
        )
    return measured.recording(measured.heard[0])


def recordings(source: Any, channels: Channels = "auto", *, limits: Limits | None = None) -> list[Recording]:
    """Measure a source and make it ready. It is one recording, or several where its channels are heard by themselves.

    `source`: a path, bytes, a seekable binary file object (read from its beginning; left open, to be kept open), or a
    tuple (samples, sample_rate): samples [n], [n, channels] or [channels, n], float (full scale ±1), int16 or int32.
    Raises ClipError with the code and a message that says what to do; ValueError for what is no choice of channels.
    """
    measured = _measured(source, channels, limits or Limits())
    return [measured.recording(each) for each in measured.heard]


@dataclass(frozen=True)
class _Measured:
    """A source that was decoded once."""

    pcm: PcmSource
    limits: Limits
    levels: LevelScan
    blocks: list[Samples] | None
    """All of them, where they are few enough to be kept."""
    heard: list[Heard]
    silent: list[int]
    """Channels without sound beside others, where that was looked for."""

    def recording(self, heard: Heard) -> Recording:
        length = _resampled_length(self.levels.frames, self.pcm.rate)
        stream = _Stream(self.pcm, heard.column, length, self.limits.window_seconds)
        windows: Callable[[], Iterator[Clip]] = stream.windows
        if stream.count == 1:
            only = tuple(stream.windows(self.blocks))
            windows = only.__iter__
        return Recording(
            name=self.pcm.name,
            channel=heard.channel,
            duration=stream.length / SAMPLE_RATE,
            source_rate=self.pcm.rate,
            flags=tuple(self._flags(heard, stream.count, windows)),
            _windows=windows,
        )

    def _flags(self, heard: Heard, count: int, windows: Callable[[], Iterator[Clip]]) -> Iterator[str]:
        if count > 1:
            yield Flag.WINDOWED.value
        if self.pcm.cut:
            yield Flag.TRUNCATED.value
        if self.silent:
            yield f"{Flag.SILENT_CHANNELS.value}={','.join(map(str, self.silent))}"
        if self.levels.silent(heard.column):
            yield Flag.SILENT.value
            return
        if (share := self.levels.clipped_share(heard.column)) >= CLIPPED_SHARE:
            yield f"{Flag.CLIPPED.value}={share:.3f}"
        # Stops at the first window with speech: a long conversation is not decoded once more for this.
        if not any(holds_speech(clip.samples) for clip in windows()):
            yield Flag.NO_SPEECH.value


def _measured(source: Any, channels: Channels, limits: Limits) -> _Measured:
    checked(channels)
    pcm = open_source(source, limits.max_channels)
    _check_header(pcm, limits)
    heard = chosen(channels, pcm.channels)
    compared = ChannelScan(pcm.rate, pcm.channels) if channels == "auto" and pcm.channels > 1 else None
    levels, blocks = _scan(pcm, limits, compared)
    silent: list[int] = []
    if compared is not None:
        compared.finish()
        column = levels.strongest()
        heard = compared.heard() or [Heard(column, None)]
        silent = [] if levels.silent(column) else compared.silent()
    return _Measured(pcm, limits, levels, blocks, heard, silent)


def _check_header(pcm: PcmSource, limits: Limits) -> None:
    if not limits.min_rate <= pcm.rate <= limits.max_rate:
        raise ClipError(
            ErrorCode.BAD_SAMPLE_RATE,
            f"sample rate {pcm.rate:,} Hz: resample to between {limits.min_rate:,} and {limits.max_rate:,} Hz",
        )
    if pcm.channels > limits.max_channels:
        raise ClipError(
            ErrorCode.TOO_MANY_CHANNELS,
            f"{pcm.channels:,} channels: mix down to at most {limits.max_channels}",
        )


def _scan(pcm: PcmSource, limits: Limits, compared: ChannelScan | None) -> tuple[LevelScan, list[Samples] | None]:
    """Decode once, in blocks, within the limits. Also returns the blocks, where they are few enough to be kept."""
    scan = LevelScan(pcm.rate, pcm.channels, limits.max_amplitude)
    kept: list[Samples] | None = []
    for block in pcm.blocks():
        if block.size:
            scan.add(block)
            if compared is not None:
                compared.add(block)
        if kept is not None:
            kept.append(block)
            if scan.frames * pcm.channels > MAX_KEPT:
                kept = None
        if scan.frames > limits.max_seconds * pcm.rate:
            raise ClipError(
                ErrorCode.TOO_LONG, f"more than {limits.max_seconds:,.0f} s of audio: cut the recording into parts"
            )
    if scan.frames == 0:
        why = "the file is damaged at its start: copy or export it again" if pcm.cut else "record or export it again"
        raise ClipError(ErrorCode.EMPTY_AUDIO, f"no audio: {why}")
    if scan.frames < limits.min_seconds * pcm.rate:
        heard = f"{scan.frames / pcm.rate:.4g} s of audio"
        what = f"{heard}, where the file is cut off or damaged: copy it again" if pcm.cut else heard
        raise ClipError(ErrorCode.TOO_SHORT, f"{what}: pass at least {limits.min_seconds:g} s")
    return scan, kept


def _resampled_length(frames: int, rate: int) -> int:
    """Samples at 16 kHz that soxr gives for `frames` at `rate`: rounded, halves up."""
    return (2 * frames * SAMPLE_RATE + rate) // (2 * rate)


@dataclass(frozen=True)
class _Stream:
    """A measured source as one stream of 16 kHz mono samples, cut into windows."""

    pcm: PcmSource
    column: int | None
    """The channel to take; None for the average."""
    length: int
    """Samples at 16 kHz."""
    window_seconds: float

    @property
    def count(self) -> int:
        return math.ceil(self.length / round(self.window_seconds * SAMPLE_RATE))

    def windows(self, blocks: Iterable[Samples] | None = None) -> Iterator[Clip]:
        """From `blocks`, or else decoded once more."""
        mono = map(self._mono, self.pcm.blocks() if blocks is None else blocks)
        samples = _rechunked(_resampled(mono, self.pcm.rate), self._sizes())
        for window in samples:
            window.flags.writeable = False
            yield Clip(window, digest(window))

    def _sizes(self) -> list[int]:
        edges = [i * self.length // self.count for i in range(self.count + 1)]
        return [end - start for start, end in pairwise(edges)]

    def _mono(self, block: Samples) -> FloatArray:
        """[frames, channels] → [frames]"""
        if self.column is not None:
            return np.ascontiguousarray(block[:, self.column], np.float32)
        mixed: FloatArray = block.astype(np.float64).mean(axis=1).astype(np.float32)
        return mixed


def digest(samples: FloatArray) -> str:
    """SHA-256 of the bytes of [n] samples, in hex."""
    return hashlib.sha256(samples.data).hexdigest()


def _resampled(blocks: Iterable[FloatArray], rate: int) -> Iterator[FloatArray]:
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _rechunked(blocks: Iterable[FloatArray], sizes: Iterable[int]) -> Iterator[FloatArray]:
    """Exactly `sizes` samples at a time, whatever the sizes of `blocks`. Raises ClipError where they run out."""
    source = iter(blocks)
    rest = np.empty(0, np.float32)
    for size in sizes:
        window = np.empty(size, np.float32)
        filled = 0
        while filled < size:
            if not len(rest):
                block = next(source, None)
                if block is None:
                    raise ClipError(ErrorCode.UNREADABLE, "the file changed while it was being scored: score it again")
                rest = block
            taken = min(size - filled, len(rest))
            window[filled : filled + taken] = rest[:taken]
            rest = rest[taken:]
            filled += taken
        yield window
