"""Sound files that libsndfile does not write: by FFmpeg, through PyAV."""

from __future__ import annotations

import io

import av
import numpy as np

from tests.support.audio_samples import RATE, FloatArray

MPEG_RATE_VBR = 118
"""FFmpeg's units of quality a step."""


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
) -> bytes:
    """Samples [n], or [n, 2], in FFmpeg's `container` and `codec`; `options` are the muxer's."""
    layout = "mono" if samples.ndim == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=codec_options or {})
        context = stream.codec_context
        context.layout = layout
        if bit_rate is not None:
            context.bit_rate = bit_rate
        if quality is not None:
            context.qscale, context.global_quality = True, quality * MPEG_RATE_VBR
        context.open()
        resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or None)
        planes = np.ascontiguousarray(np.atleast_2d(samples.T))
        whole = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        whole.rate = rate
        for frame in (*resampler.resample(whole), *resampler.resample(None)):
            frame.pts = None
            output.mux(stream.encode(frame))
        output.mux([packet for packet in stream.encode(None) if packet.size])
    return buffer.getvalue()
