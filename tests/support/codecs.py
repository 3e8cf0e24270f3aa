"""Sound files that libsndfile does not write: by FFmpeg, through PyAV."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tests.support.audio_samples import RATE, FloatArray

MPEG_RATE_VBR = 118
"""FFmpeg's units of quality a step."""
PACKET_SECONDS = 0.02
"""Of codecs without frames of their own."""


@dataclass(frozen=True)
class Track:
    """Of sound, to be encoded."""

    samples: FloatArray
    """[n], or [n, 2]."""
    codec: str
    rate: int = RATE
    bit_rate: int | None = None
    quality: int | None = None
    begins: float = 0.0
    """Seconds."""
    options: dict[str, str] = field(default_factory=dict)
    """Of the codec."""
    layout: str | None = None
    """Of the channels, where they are more than two."""


def by_ffmpeg(
    samples: FloatArray,
    container: str,
    codec: str,
    rate: int = RATE,
    *,
    bit_rate: int | None = None,
    quality: int | None = None,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    layout: str | None = None,
) -> bytes:
    """Samples [n], or [n, channels], in FFmpeg's `container` and `codec`; `options` are the muxer's. `layout` names
    what is neither mono nor stereo."""
    track = Track(samples, codec, rate, bit_rate, quality, 0.0, codec_options or {}, layout)
    return with_tracks(container, track, options=options)


def with_tracks(container: str, *tracks: Track, options: dict[str, str] | None = None) -> bytes:
    """A container in which all of them lie side by side, packet by packet in the order of their times."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as output:
        streams = [_stream(output, track) for track in tracks]
        packets = [packet for track, stream in zip(tracks, streams, strict=True) for packet in _packets(track, stream)]
        if len(tracks) > 1:
            packets.sort(key=lambda packet: packet.dts * packet.time_base)
        output.mux(packets)
    return buffer.getvalue()


def _stream(output: Any, track: Track) -> Any:
    stream = output.add_stream(track.codec, rate=track.rate, options=track.options)
    context = stream.codec_context
    context.layout = track.layout or ("mono" if track.samples.ndim == 1 else "stereo")
    if track.bit_rate is not None:
        context.bit_rate = track.bit_rate
    if track.quality is not None:
        context.qscale, context.global_quality = True, track.quality * MPEG_RATE_VBR
    context.open()
    return stream


def _packets(track: Track, stream: Any) -> Iterator[Any]:
    context = stream.codec_context
    size = context.frame_size or round(PACKET_SECONDS * track.rate)
    resampler = av.AudioResampler(context.format, context.layout, track.rate, frame_size=size)
    if not len(track.samples):
        return
    # Interleaved: PyAV finds no end of eight planes, and crashes.
    interleaved = np.ascontiguousarray(track.samples).reshape(1, -1)
    whole = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=context.layout)
    whole.rate = track.rate
    position = round(track.begins * track.rate)
    for frame in (*resampler.resample(whole), *resampler.resample(None)):
        frame.pts, frame.time_base = position, Fraction(1, track.rate)
        position += frame.samples
        yield from stream.encode(frame)
    yield from (packet for packet in stream.encode(None) if packet.size)


def side_by_side(container: str, *files: bytes) -> bytes:
    """The streams of several files in one, as they are."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        sources = [av.open(io.BytesIO(file)) for file in files]
        packets = []
        for source in sources:
            stream = output.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(source.streams.audio[0]):
                if packet.size:
                    packets.append((packet.dts * packet.time_base, len(packets), packet, stream))
        for _, _, packet, stream in sorted(packets, key=lambda each: each[:2]):
            packet.stream = stream
            output.mux(packet)
        for source in sources:
            source.close()
    return buffer.getvalue()
