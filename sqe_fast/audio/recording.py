"""File, bytes or array → clips of 16 kHz mono float32, with limits.

A source of several channels is one recording or several, see `channels`: which, is decided for the whole of it, while
it is measured. Resampling is soxr's HQ, streamed; it gives the same samples whatever the blocks.

A source is decoded in blocks, first to measure it, then once more to find the speech of all its recordings, then to
hand out the windows of each: memory stays flat; one that fits a window is kept from the start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from sqe_fast.audio.channels import Channels, ChannelScan, Heard, checked, chosen
from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.joined import Samples
from sqe_fast.audio.level import CLIPPED_SHARE, LevelScan
from sqe_fast.audio.segments import Segments, SegmentScan, Span, silence
from sqe_fast.audio.sources import FormatGrew, Opens, PcmSource, open_source
from sqe_fast.audio.speech import MOST
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import Flag, Stretch

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
    weight: float = 0.0
    """Among the windows of its recording: seconds of active speech; where nobody speaks in any of them, seconds."""

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
    """Seconds of audio."""
    source_rate: int
    """Hz, before resampling."""
    flags: tuple[str, ...]
    """Values of results.Flag; `clipped` carries the share of clipped samples, as in "clipped=0.120"."""
    no_speech: tuple[Stretch, ...]
    """Where nobody speaks. No window holds it, unless that is everywhere."""
    _windows: Callable[[], Iterator[Clip]] = field(repr=False)
    _blocks: Callable[[], Iterator[FloatArray]] = field(repr=False)

    def windows(self) -> Iterator[Clip]:
        """What holds speech, without overlap: of each such part, equal windows (to one sample) of at most 30 s. Of a
        recording without speech, all of it.

        May be called again. A long recording is decoded once more: raises ClipError if its file is gone or changed.
        """
        return self._windows()

    def blocks(self) -> Iterator[FloatArray]:
        """All of it, [n] at 16 kHz and at most 30 s each. As `windows`, may be called again, and may raise."""
        return self._blocks()

    def let_go(self) -> Recording:
        """The same without its sound: nothing of it is held any more, and it has no windows and no blocks."""
        return replace(self, _windows=lambda: iter(()), _blocks=lambda: iter(()))


def load(
    source: Any, channels: Channels = "auto", *, limits: Limits | None = None, opens: Opens | None = None
) -> Recording:
    """As `recordings`, of a source that is to be one recording. Raises ClipError (`channels_differ`) where it is
    several."""
    measured = _measured(source, channels, limits or Limits(), opens)
    if len(measured.heard) > 1:
        *others, last = (str(each.channel) for each in measured.heard)
        raise ClipError(
            ErrorCode.CHANNELS_DIFFER,
            f'channels {", ".join(others)} and {last} carry different sounds: choose one by its number, or "mix" for '
            "their mean, with channels= or --channels",
        )
    return measured.recordings()[0]


def recordings(
    source: Any, channels: Channels = "auto", *, limits: Limits | None = None, opens: Opens | None = None
) -> list[Recording]:
    """Measure a source and make it ready. It is one recording, or several where its channels are heard by themselves.

    `source`: a path, bytes, a seekable binary file object (read from its beginning; left open, to be kept open), or a
    tuple (samples, sample_rate): samples [n], [n, channels] or [channels, n], float (full scale ±1), int16 or int32.
    `opens` decodes what is a file: in this process, or in those of a `sandbox.Pool`.

    Raises ClipError with the code and a message that says what to do; ValueError for what is no choice of channels.
    """
    return _measured(source, channels, limits or Limits(), opens).recordings()


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

    def recordings(self) -> list[Recording]:
        length = _resampled_length(self.levels.frames, self.pcm.rate)
        lanes: list[_Lane]
        together = _Stream(self.pcm, tuple(each.column for each in self.heard), length)
        if length <= MOST:
            [all_of_it] = together.blocks(self.blocks)
            lanes = [partial(iter, (_lane(all_of_it, place),)) for place in range(len(self.heard))]
            found = self._segments([all_of_it], length)
        else:
            lanes = [_Stream(self.pcm, (each.column,), length).lane for each in self.heard]
            found = self._segments(together.blocks(self.blocks), length)
        return [self._recording(*each, length) for each in zip(self.heard, found, lanes, strict=True)]

    def _segments(self, blocks: Iterable[FloatArray], length: int) -> list[Segments]:
        """Of each of `heard`, from blocks [n, heard]: nobody looks for speech where there is no sound."""
        longest = round(self.limits.window_seconds * SAMPLE_RATE)
        scans = {place: SegmentScan() for place, each in enumerate(self.heard) if not self.levels.silent(each.column)}
        for block in blocks if scans else ():
            for place, scan in scans.items():
                scan.add(_lane(block, place))
        return [
            scans[place].finish(longest) if place in scans else silence(length, longest)
            for place in range(len(self.heard))
        ]

    def _recording(self, heard: Heard, found: Segments, lane: _Lane, length: int) -> Recording:
        return Recording(
            name=self.pcm.name,
            channel=heard.channel,
            duration=length / SAMPLE_RATE,
            source_rate=self.pcm.rate,
            flags=tuple(self._flags(heard, found)),
            no_speech=found.no_speech,
            _windows=lambda: _clips(lane(), found),
            _blocks=lane,
        )

    def _flags(self, heard: Heard, found: Segments) -> Iterator[str]:
        if len(found.windows) > 1:
            yield Flag.WINDOWED.value
        if self.pcm.cut:
            yield Flag.TRUNCATED.value
        if self.silent:
            yield f"{Flag.SILENT_CHANNELS.value}={_listed(self.silent)}"
        if tracks := self.pcm.tracks:
            yield f"{Flag.TRACKS.value}={_listed(tracks)}"
        if unheard := [number for number, channels in enumerate(tracks) if not channels]:
            yield f"{Flag.UNHEARD_TRACKS.value}={_listed(unheard)}"
        if self.pcm.rate < SAMPLE_RATE:
            yield f"{Flag.SAMPLE_RATE.value}={self.pcm.rate}"
        if self.levels.silent(heard.column):
            yield Flag.SILENT.value
            return
        if (share := self.levels.clipped_share(heard.column)) >= CLIPPED_SHARE:
            yield f"{Flag.CLIPPED.value}={share:.3f}"
        if not found.hold_speech:
            yield Flag.NO_SPEECH.value


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _measured(source: Any, channels: Channels, limits: Limits, opens: Opens | None) -> _Measured:
    checked(channels)
    pcm = open_source(source, limits.max_channels, opens)
    try:
        return _measured_pcm(pcm, channels, limits)
    except FormatGrew:
        pass
    try:
        return _measured_pcm(pcm, channels, limits)
    except FormatGrew as error:
        raise _changed() from error


def _measured_pcm(pcm: PcmSource, channels: Channels, limits: Limits) -> _Measured:
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


_Lane = Callable[[], Iterator[FloatArray]]
"""`Recording.blocks`."""


def _lane(block: FloatArray, place: int) -> FloatArray:
    """One column of [n, columns], by itself and read-only."""
    lane = np.ascontiguousarray(block[:, place])
    lane.flags.writeable = False
    return lane


@dataclass(frozen=True)
class _Stream:
    """A measured source as streams of 16 kHz samples, decoded once for all of them."""

    pcm: PcmSource
    columns: tuple[int | None, ...]
    """The channels to take; None for the average of all."""
    length: int
    """Samples at 16 kHz."""

    def blocks(self, decoded: Iterable[Samples] | None = None) -> Iterator[FloatArray]:
        """[n, columns] of `Recording.blocks`, from `decoded`, or else decoded once more."""
        taken = map(self._taken, self.pcm.blocks() if decoded is None else decoded)
        edges = [*range(0, self.length, MOST), self.length]
        return _cut(_resampled(taken, self.pcm.rate, len(self.columns)), map(Span, edges, edges[1:]))

    def lane(self) -> Iterator[FloatArray]:
        """Of the only column, [n] each."""
        return (_lane(block, 0) for block in self.blocks())

    def _taken(self, block: Samples) -> FloatArray:
        """[frames, channels] → [frames, columns]"""
        named = [column for column in self.columns if column is not None]
        if len(named) == len(self.columns):
            return block[:, named].astype(np.float32, copy=False)
        mean = block.astype(np.float64).mean(axis=1)
        lanes = [mean if column is None else block[:, column] for column in self.columns]
        return np.stack(lanes, axis=1).astype(np.float32)


def _clips(blocks: Iterable[FloatArray], found: Segments) -> Iterator[Clip]:
    for span, samples in zip(found.windows, _cut(blocks, found.windows), strict=True):
        yield Clip(samples, digest(samples), found.weight(span))


def digest(samples: FloatArray) -> str:
    """SHA-256 of the bytes of [n] samples, in hex."""
    return hashlib.sha256(samples.data).hexdigest()


def _resampled(blocks: Iterable[FloatArray], rate: int, columns: int) -> Iterator[FloatArray]:
    """[n, columns]"""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, columns, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.empty((0, columns), np.float32), last=True)


def _cut(blocks: Iterable[FloatArray], spans: Iterable[Span]) -> Iterator[FloatArray]:
    """The samples [n] or [n, columns] of each of `spans`, which follow one another, read-only, whatever the sizes of
    `blocks`. Raises ClipError where those run out."""
    source = iter(blocks)
    held, position = np.empty(0, np.float32), 0
    for span in spans:
        parts: list[FloatArray] = []
        start = span.start
        while start < span.end:
            skipped = start - position
            if skipped >= len(held):
                position += len(held)
                block = next(source, None)
                if block is None:
                    raise _changed()
                held = block
                continue
            parts.append(held[skipped : skipped + span.end - start])
            start += len(parts[-1])
        window = np.concatenate(parts)
        window.flags.writeable = False
        yield window


def _changed() -> ClipError:
    return ClipError(ErrorCode.UNREADABLE, "the file changed while it was being scored: score it again")
