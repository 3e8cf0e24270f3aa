"""Families of the microphone and the line: overload, modulated noise, band limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal as dsp

from training.simulation.library import Library
from training.simulation.measures import (
    SAMPLE_RATE,
    Signal,
    active_level,
    signal_to_distortion,
)
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng, to_level

INAUDIBLE_DB = 45.0
"""Distortion so far below the speech is no cause."""


_STEPS = [0, 0.25, 0.5, 0.75, 1]
"""Severities."""
OVERLOADS = {"hard": 0.5, "soft": 0.25, "asymmetric": 0.25}
"""Kinds of overload, and how often they are met."""
_HEADROOM_DB = {
    "hard": [12.5, 7, 2, -4.6, -18],
    "soft": [15.5, 6.6, 0.4, -6.8, -20],
    "asymmetric": [12.5, 4.4, -1.3, -8.4, -21],
}
"""By severity (_STEPS): what brings speech to ratings of 4.45, 3.65, 2.9, 2.1 and 1.4 by the listener's curve of
distortion, on average over ten talkers."""


def _draw_overload(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(list(OVERLOADS), p=list(OVERLOADS.values())))
    return {"kind": kind, "headroom_db": float(np.interp(severity, _STEPS, _HEADROOM_DB[kind]))}


def overload(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Overload `headroom_db` (dB) above the active level: cut off ("hard"), bent (tanh, "soft"), or cut off on one side
    9 dB sooner than on the other ("asymmetric"); then back to the level there was. `distortion_db`: signal to
    distortion ratio, dB."""
    threshold = 10 ** ((active_level(speech) + params["headroom_db"]) / 20)
    if params["kind"] == "soft":
        bent = threshold * np.tanh(speech / threshold)
    else:
        bent = np.clip(speech, -threshold, threshold * (2.8 if params["kind"] == "asymmetric" else 1))
        bent = bent - np.mean(bent)
    distortion = signal_to_distortion(speech, bent)
    overloaded = to_level(bent, active_level(speech))
    if distortion > INAUDIBLE_DB:
        return overloaded, ()
    return overloaded, (Degradation("overload", params["kind"], "clipping", {"distortion_db": distortion}),)


def _draw_mnru(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"q_db": float(np.interp(severity, _STEPS, [45, 32, 25, 17, 5]))}


def mnru(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Modulated noise reference unit (ITU-T P.810): noise that follows the speech, as coarse quantisation does, `q_db`
    (dB) below it at every sample. `q_db`: the same."""
    gain = 10 ** (-params["q_db"] / 20)
    modulated = speech * (1 + gain * rng.standard_normal(speech.size))
    return modulated.astype(np.float32), (Degradation("mnru", "modulated", "grain", {"q_db": params["q_db"]}),)


def _draw_band(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    lot = rng.random()
    if lot < 0.3:
        low = float(np.interp(severity, [0, 0.4, 1], [180, 300, 600]))
        return {"low_hz": low, "high_hz": float(np.interp(severity, [0, 0.4, 1], [5000, 3400, 2200]))}
    if lot < 0.5:
        return {"low_hz": float(np.exp(np.interp(severity, [0, 1], np.log([200, 2000])))), "high_hz": 8000.0}
    return {"low_hz": 0.0, "high_hz": float(np.exp(np.interp(severity, [0, 1], np.log([6500, 900]))))}


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


FAMILIES = (
    Family("overload", Place.MICROPHONE, 1.0, _draw_overload, overload),
    Family("mnru", Place.CODING, 0.6, _draw_mnru, mnru),
    Family("band", Place.MICROPHONE, 1.5, _draw_band, band),
)
