"""Stages between microphone and network: gain, clipping, band limits, noise suppression.

Each takes speech, float32 [n] at 16 kHz mono, and its parameters from the recipe, and returns [n] and what it did.
"""

from __future__ import annotations

import numpy as np
from scipy import signal as dsp

from training.simulation.measures import (
    FRAME,
    SAMPLE_RATE,
    Signal,
    active_frames,
    active_level,
    frame_power,
    signal_to_distortion,
    spectral_distance,
)
from training.simulation.stage import Degradation, Materials, Params, to_level


def clip(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Hard clipping `headroom_db` (dB) above the active level, then back to the level there was. Measured as the
    signal to distortion ratio, dB."""
    threshold = 10 ** ((active_level(speech) + params["headroom_db"]) / 20)
    clipped = np.clip(speech, -threshold, threshold)
    degradation = Degradation("clip", "hard", "clipping", signal_to_distortion(speech, clipped))
    return to_level(clipped, active_level(speech)), degradation


def mnru(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Modulated noise reference unit (ITU-T P.810): noise that follows the speech, as coarse quantisation does, `q_db`
    (dB) below it at every sample. Measured as that Q, dB."""
    gain = 10 ** (-params["q_db"] / 20)
    modulated = speech * (1 + gain * rng.standard_normal(speech.size))
    return modulated.astype(np.float32), Degradation("mnru", "modulated", "grain", float(params["q_db"]))


def band(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Butterworth low-pass at `high_hz` and high-pass at `low_hz` (Hz; from 7.9 kHz up and at 0 there is none), level
    kept. Measured as both borders, Hz."""
    low, high = float(params["low_hz"]), float(params["high_hz"])
    filtered = speech
    if high < 7900:
        filtered = dsp.sosfilt(dsp.butter(10, high, "low", fs=SAMPLE_RATE, output="sos"), filtered)
    if low > 0:
        filtered = dsp.sosfilt(dsp.butter(6, low, "high", fs=SAMPLE_RATE, output="sos"), filtered)
    name = "telephone band" if low and high < 7900 else "missing treble" if high < 7900 else "missing bass"
    filtered = to_level(filtered.astype(np.float32), active_level(speech))
    return filtered, Degradation("band", name, name, high, low=low, high=high)


def level(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Gain that brings the active level (ITU-T P.56) to `level_dbov` (dBov). Measured as that level."""
    wanted = float(params["level_dbov"])
    return to_level(speech, wanted), Degradation("level", "gain", "high level" if wanted > -16 else "low level", wanted)


def pumping(
    speech: Signal, params: Params, materials: Materials, rng: np.random.Generator
) -> tuple[Signal, Degradation]:
    """Automatic gain that overreacts: it rises in pauses, ducks when speech returns, and wanders, with a standard
    deviation of `depth_db` (dB); level kept. Measured as the gain's standard deviation over active frames, dB."""
    frames = speech.size // FRAME + 1
    wander = dsp.lfilter([1 - 0.98], [1, -0.98], rng.standard_normal(frames + 200))[200:]
    loudness = 10 * np.log10(np.append(frame_power(speech), 0.0)[:frames] + 1e-9)
    chased = dsp.lfilter([1 - 0.96], [1, -0.96], loudness - loudness.mean())
    gain_db = wander / wander.std() - chased / max(float(chased.std()), 1e-3)
    gain_db *= params["depth_db"] / gain_db.std()
    smooth = np.interp(np.arange(speech.size), np.arange(frames) * FRAME + FRAME / 2, gain_db)
    pumped = to_level((speech * 10 ** (smooth / 20)).astype(np.float32), active_level(speech))
    active = active_frames(speech)
    spread = float(np.std(gain_db[: active.size][active])) if active.any() else 0.0
    return pumped, Degradation("pumping", "gain", "pumping", spread)


def suppress(
    speech: Signal, params: Params, materials: Materials, rng: np.random.Generator
) -> tuple[Signal, Degradation]:
    """Spectral subtraction pushed too far: what it leaves of the noise warbles, and quiet speech goes with it.

    `over` times the noise's estimate is subtracted, down to `depth_db` (dB) of attenuation; `floor_db` is noise that is
    assumed beside the estimate, dB from the mean power. Windows of 32 ms. Level kept; measured as the spectral
    distance, dB, and as how much more the pauses fell than the speech, dB.
    """
    _, _, spectrum = dsp.stft(speech, SAMPLE_RATE, nperseg=512, noverlap=384)
    power = np.abs(spectrum) ** 2
    floor = np.quantile(power, 0.15, axis=1, keepdims=True) * 2 + power.mean() * 10 ** (params["floor_db"] / 10)
    gain = np.sqrt(np.maximum(1 - params["over"] * floor / (power + 1e-12), 10 ** (-params["depth_db"] / 10)))
    _, cleaned = dsp.istft(spectrum * gain, SAMPLE_RATE, nperseg=512, noverlap=384)
    cleaned = np.pad(cleaned, (0, max(0, speech.size - cleaned.size)))[: speech.size].astype(np.float32)
    degradation = Degradation(
        "suppress",
        "subtraction",
        "noise suppression",
        spectral_distance(speech, cleaned),
        reduction_db=_reduction(speech, cleaned),
    )
    return to_level(cleaned, active_level(speech)), degradation


def _reduction(before: Signal, after: Signal) -> float:
    """How much more the pauses fell than the speech, dB; 0 where there are no pauses."""
    active = active_frames(before)
    if active.all() or not active.any():
        return 0.0
    fall = 10 * np.log10((frame_power(before) + 1e-12) / (frame_power(after) + 1e-12))
    return float(np.clip(np.median(fall[~active]) - np.median(fall[active]), 0, 40))
