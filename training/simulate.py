"""Degradations of clean speech, one stage at a time, each recorded with what it did and how much of it can be heard.

A `Recipe` is plain data: the same recipe and sources give the same samples. A stage returns the new signal and a
`Cause`, whose `measure` compares the signal before and after that stage; raters.py turns causes into ratings.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import av
import numpy as np
from scipy import signal as dsp

from training.measures import (
    SAMPLE_RATE,
    Signal,
    a_weighted_snr,
    active_frames,
    active_level,
    signal_to_distortion,
    spectral_distance,
)

Params = Mapping[str, Any]
FRAME = 320  # 20 ms: one packet


@dataclass(frozen=True)
class Cause:
    """What a stage did. `measure` is in the stage's own unit:

    noise: A-weighted SNR, dB; reverb: clarity C50, dB; clip, mnru: signal to distortion, dB; band: see `low`, `high`,
    Hz; codec: spectral distance, dB; loss, stutter: share of active speech hit; level: active level, dBov.
    """

    stage: str
    kind: str
    measure: float
    low: float = 0.0
    high: float = SAMPLE_RATE / 2

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Materials:
    """What stages draw from: noise and babble recordings, and room responses, by name."""

    noises: Mapping[str, Signal]
    rooms: Mapping[str, Signal]


StageFunction = Callable[[Signal, Params, Materials, np.random.Generator], tuple[Signal, Cause]]


def apply(clean: Signal, recipe: tuple[Params, ...], materials: Materials, seed: int) -> tuple[Signal, list[Cause]]:
    """Run the stages of `recipe` over `clean`; each draws from its own stream of `seed`."""
    degraded, causes = clean, []
    for index, params in enumerate(recipe):
        rng = np.random.default_rng([seed, index])
        degraded, cause = STAGES[params["stage"]](degraded, params, materials, rng)
        causes.append(cause)
    return np.clip(degraded, -1, 1).astype(np.float32), causes


# --- the stages ------------------------------------------------------------------------------------------


def _noise(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    kind = params["kind"]
    noise = _stationary(kind, speech.size, rng) if kind in ("white", "pink", "hum", "hiss") else None
    if noise is None:
        noise = _excerpt(materials.noises[params["source"]], speech.size, rng)
    wanted = active_level(speech) - params["snr_db"]
    noise = noise * 10 ** ((wanted - 10 * np.log10(np.mean(noise**2) + 1e-12)) / 20)
    noise = noise.astype(np.float32)
    return speech + noise, Cause("noise", kind, a_weighted_snr(speech, noise))


def _stationary(kind: str, size: int, rng: np.random.Generator) -> Signal:
    if kind == "hum":
        mains = float(rng.choice([50.0, 60.0]))
        time = np.arange(size) / SAMPLE_RATE
        partials = [np.sin(2 * np.pi * mains * k * time + rng.uniform(0, 6.28)) / k**0.7 for k in range(1, 13)]
        return np.sum(partials, axis=0).astype(np.float32)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 30.0)
    if kind == "pink":
        spectrum /= np.sqrt(frequency)
    elif kind == "hiss":
        spectrum *= frequency / (frequency + 2500)
    return np.fft.irfft(spectrum, size).astype(np.float32)


def _excerpt(recording: Signal, size: int, rng: np.random.Generator) -> Signal:
    start = int(rng.integers(recording.size))
    return np.take(recording, np.arange(start, start + size), mode="wrap")


def _reverb(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    if params["kind"] == "real":
        response = materials.rooms[params["source"]].astype(np.float64)
    else:
        length = int(params["rt60_s"] * SAMPLE_RATE)
        decay = 10 ** (-3 * np.arange(length) / length)
        response = rng.standard_normal(length) * decay
        response *= 10 ** (-params["direct_db"] / 20) / np.sqrt(np.sum(response**2))
        response[: int(rng.integers(30, 120))] = 0
        response[0] = 1.0
    direct = int(np.argmax(np.abs(response)))
    response = response[direct:]
    early = int(0.05 * SAMPLE_RATE)
    clarity = 10 * np.log10(np.sum(response[:early] ** 2) / (np.sum(response[early:] ** 2) + 1e-9))
    wet = dsp.fftconvolve(speech, response)[: speech.size].astype(np.float32)
    return _to_level(wet, active_level(speech)), Cause("reverb", params["kind"], float(min(clarity, 40.0)))


def _clip(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    """Hard clipping `headroom_db` above the active level, then back to the level there was."""
    threshold = 10 ** ((active_level(speech) + params["headroom_db"]) / 20)
    clipped = np.clip(speech, -threshold, threshold)
    cause = Cause("clip", "hard", signal_to_distortion(speech, clipped))
    return _to_level(clipped, active_level(speech)), cause


def _mnru(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    """Modulated noise reference unit (ITU-T P.810): noise that follows the speech, as coarse quantisation does."""
    gain = 10 ** (-params["q_db"] / 20)
    modulated = speech * (1 + gain * rng.standard_normal(speech.size))
    return modulated.astype(np.float32), Cause("mnru", "modulated", float(params["q_db"]))


def _band(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    low, high = float(params["low_hz"]), float(params["high_hz"])
    filtered = speech
    if high < 7900:
        filtered = dsp.sosfilt(dsp.butter(10, high, "low", fs=SAMPLE_RATE, output="sos"), filtered)
    if low > 0:
        filtered = dsp.sosfilt(dsp.butter(6, low, "high", fs=SAMPLE_RATE, output="sos"), filtered)
    kind = "telephone" if low and high < 7900 else "low-pass" if high < 7900 else "high-pass"
    filtered = _to_level(filtered.astype(np.float32), active_level(speech))
    return filtered, Cause("band", kind, high, low=low, high=high)


CODECS: dict[str, tuple[str, str, int]] = {
    # kind → (PyAV encoder, container, coding rate in Hz)
    "opus": ("libopus", "ogg", 16_000),
    "mp3": ("libmp3lame", "mp3", 16_000),
    "aac": ("aac", "adts", 16_000),
    "amr-nb": ("libopencore_amrnb", "amr", 8_000),
    "g722": ("g722", "g722", 16_000),
    "g711": ("pcm_mulaw", "wav", 8_000),
}


def _codec(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    kind = params["kind"]
    coded = _align(speech, transcode(speech, kind, params.get("bit_rate")))
    coded = _to_level(coded, active_level(speech))
    return coded, Cause("codec", kind, spectral_distance(speech, coded))


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


def _align(reference: Signal, moved: Signal) -> Signal:
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


def _loss(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    """20 ms packets lost in bursts (Gilbert model), replaced by silence or by the last packet, fading."""
    frames = speech.size // FRAME
    lost = _gilbert(frames, params["rate"], params["burst"], rng)
    degraded = speech.copy()
    previous = np.zeros(FRAME, np.float32)
    for index in range(frames):
        window = slice(index * FRAME, (index + 1) * FRAME)
        if lost[index]:
            previous = previous * 0.6 if params["kind"] == "repeat" else np.zeros(FRAME, np.float32)
            degraded[window] = previous
        else:
            previous = degraded[window]
    active = active_frames(speech)
    hit = float(np.mean(lost[: active.size][active])) if active.any() else 0.0
    return degraded, Cause("loss", params["kind"], hit)


def _gilbert(frames: int, rate: float, burst: float, rng: np.random.Generator) -> np.ndarray:
    lost = np.zeros(frames, bool)
    leave = 1 / burst
    enter = min(1.0, rate * leave / max(1 - rate, 1e-3))
    bad = False
    for index in range(frames):
        bad = rng.random() >= leave if bad else rng.random() < enter
        lost[index] = bad
    return lost


def _stutter(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    """Jitter-buffer stutter: short pieces played again, later ones dropped so that the length stays."""
    degraded = speech.copy()
    piece = int(params["piece_s"] * SAMPLE_RATE)
    count = max(1, round(params["per_second"] * speech.size / SAMPLE_RATE))
    hit = np.zeros(speech.size, bool)
    for start in rng.integers(piece, max(piece + 1, speech.size - 2 * piece), count):
        degraded[start : start + piece] = speech[start - piece : start]
        hit[start : start + piece] = True
    active = np.repeat(active_frames(speech), FRAME)
    return degraded, Cause("stutter", "jitter", float(np.mean(hit[: active.size][active])) if active.any() else 0.0)


def _level(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Cause]:
    leveled = _to_level(speech, params["level_dbov"])
    return leveled, Cause("level", "gain", float(params["level_dbov"]))


def _to_level(signal: Signal, level_dbov: float) -> Signal:
    return (signal * 10 ** ((level_dbov - active_level(signal)) / 20)).astype(np.float32)


STAGES: dict[str, StageFunction] = {
    "reverb": _reverb,
    "noise": _noise,
    "mnru": _mnru,
    "clip": _clip,
    "band": _band,
    "codec": _codec,
    "loss": _loss,
    "stutter": _stutter,
    "level": _level,
}
"""In the order of a call: room, then surroundings, microphone, line, network, receiver."""
