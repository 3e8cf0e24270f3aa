"""Stages of the microphone and the line: overload, modulated noise, band limits, level, automatic gain."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal as dsp

from training.simulation.library import Library
from training.simulation.measures import (
    FRAME,
    SAMPLE_RATE,
    Signal,
    active_frames,
    active_level,
    frame_power,
    signal_to_distortion,
)
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng, to_level


def _draw_overload(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"headroom_db": float(np.interp(severity, [0, 1], [12, -12]))}


def overload(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Hard clipping `headroom_db` (dB) above the active level, then back to the level there was. `distortion_db`:
    signal to distortion ratio."""
    threshold = 10 ** ((active_level(speech) + params["headroom_db"]) / 20)
    clipped = np.clip(speech, -threshold, threshold)
    measures = {"distortion_db": signal_to_distortion(speech, clipped)}
    return to_level(clipped, active_level(speech)), (Degradation("overload", "hard", "clipping", measures),)


def _draw_mnru(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"q_db": float(np.interp(severity, [0, 0.3, 1], [40, 27, 5]))}


def mnru(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Modulated noise reference unit (ITU-T P.810): noise that follows the speech, as coarse quantisation does, `q_db`
    (dB) below it at every sample. `q_db`: the same."""
    gain = 10 ** (-params["q_db"] / 20)
    modulated = speech * (1 + gain * rng.standard_normal(speech.size))
    return modulated.astype(np.float32), (Degradation("mnru", "modulated", "grain", {"q_db": params["q_db"]}),)


def _draw_band(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    lot = rng.random()
    if lot < 0.25:
        return {"low_hz": 300.0, "high_hz": 3400.0}
    if lot < 0.45:
        return {"low_hz": float(np.interp(severity, [0, 1], [150, 2000])), "high_hz": 8000.0}
    return {"low_hz": 0.0, "high_hz": float(np.exp(np.interp(severity, [0, 1], np.log([7000, 900]))))}


def band(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Butterworth low-pass at `high_hz` and high-pass at `low_hz` (Hz; from 7.9 kHz up and at 0 there is none), level
    kept. `low_hz`, `high_hz`: both borders."""
    low, high = float(params["low_hz"]), float(params["high_hz"])
    filtered = speech
    if high < 7900:
        filtered = dsp.sosfilt(dsp.butter(10, high, "low", fs=SAMPLE_RATE, output="sos"), filtered)
    if low > 0:
        filtered = dsp.sosfilt(dsp.butter(6, low, "high", fs=SAMPLE_RATE, output="sos"), filtered)
    name = "telephone band" if low and high < 7900 else "muffled sound" if high < 7900 else "thin sound"
    filtered = to_level(filtered.astype(np.float32), active_level(speech))
    return filtered, (Degradation("band", name, name, {"low_hz": low, "high_hz": high}),)


def _draw_level(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    if rng.random() < 0.2:
        return {"level_dbov": float(np.interp(severity, [0, 1], [-15, -3]))}
    return {"level_dbov": float(np.interp(severity, [0, 1], [-30, -65]))}


def level(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Gain that brings the active level (ITU-T P.56) to `level_dbov` (dBov). `level_dbov`: the same."""
    wanted = float(params["level_dbov"])
    name = "high level" if wanted > -16 else "low level"
    return to_level(speech, wanted), (Degradation("level", "gain", name, {"level_dbov": wanted}),)


def _draw_pumping(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"depth_db": float(np.interp(severity, [0, 1], [2, 14]))}


def pumping(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Automatic gain that overreacts: it rises in pauses, ducks when speech returns, and wanders, with a standard
    deviation of `depth_db` (dB); level kept. `gain_std_db`: standard deviation of the gain over active frames."""
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
    return pumped, (Degradation("pumping", "gain", "uneven level", {"gain_std_db": spread}),)


FAMILIES = (
    Family("overload", Place.MICROPHONE, 1.0, _draw_overload, overload),
    Family("mnru", Place.CODING, 0.6, _draw_mnru, mnru),
    Family("band", Place.MICROPHONE, 1.5, _draw_band, band),
    Family("level", Place.RECEIVER, 1.5, _draw_level, level),
    Family("pumping", Place.CLEANING, 0.6, _draw_pumping, pumping),
)
