"""Speech codecs, real ones, through PyAV (FFmpeg)."""

from __future__ import annotations

import io

import av
import numpy as np
from scipy import signal as dsp

from training.simulation.measures import SAMPLE_RATE, Signal, active_level, spectral_distance
from training.simulation.stage import Degradation, Materials, Params, to_level

CODECS: dict[str, tuple[str, str, int]] = {
    # kind → (PyAV encoder, container, coding rate in Hz)
    "opus": ("libopus", "ogg", 16_000),
    "mp3": ("libmp3lame", "mp3", 16_000),
    "aac": ("aac", "adts", 16_000),
    "amr-nb": ("libopencore_amrnb", "amr", 8_000),
    "g722": ("g722", "g722", 16_000),
    "g711-mu": ("pcm_mulaw", "wav", 8_000),
    "g711-a": ("pcm_alaw", "wav", 8_000),
}


def codec(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Speech, float32 [n] at 16 kHz mono, through codec `kind` at `bit_rate` (bit/s), its delay undone, level kept.
    Measured as the spectral distance, dB."""
    kind = params["kind"]
    coded = align(speech, transcode(speech, kind, params.get("bit_rate")))
    coded = to_level(coded, active_level(speech))
    return coded, Degradation("codec", kind, "coding", spectral_distance(speech, coded))


def transcode(speech: Signal, kind: str, bit_rate: int | None) -> Signal:
    """Through a real encoder and decoder, in memory; the codec's own delay is kept."""
    encoder, container, rate = CODECS[kind]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=rate, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            (np.clip(speech, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or None
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    buffer.seek(0)
    to_speech = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    options = {"code_size": "8"} if kind == "g722" else {}
    with av.open(buffer, format=container if kind != "adts" else None, options=options) as coded:
        decoded = [piece for frame in coded.decode(audio=0) for piece in to_speech.resample(frame)]
        decoded += to_speech.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in decoded]).astype(np.float32)


def align(reference: Signal, moved: Signal) -> Signal:
    """Undo a codec's delay (up to 0.2 s) and its padding."""
    span = min(reference.size, moved.size, 3 * SAMPLE_RATE)
    correlation = dsp.correlate(moved[:span], reference[:span], method="fft")
    lags = np.arange(-span + 1, span)
    allowed = np.abs(lags) < 0.2 * SAMPLE_RATE
    lag = int(lags[allowed][np.argmax(correlation[allowed])])
    shifted = moved[lag:] if lag > 0 else np.concatenate([np.zeros(-lag, np.float32), moved])
    padded = np.zeros(reference.size, np.float32)
    kept = min(reference.size, shifted.size)
    padded[:kept] = shifted[:kept]
    return padded
