"""A voice detector that opens late, closes early, or takes soft syllables for noise: cut-off words.

The detector is ours, since its faults must be of any size: at its most aggressive, the one of WebRTC lost no more than
0 to 8 % of the active speech of six clean talkers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from training.simulation.interruptions import Mask, active_samples, runs, toll
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_level, frame_power
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng

_STEP = 160  # samples: a detector decides every 10 ms
_RAMP = 48  # samples: 3 ms, so that the gate itself does not click
_DEEPEST_DB = 40.0
_MUTED_DB = 120.0  # from here on, nothing at all


def _draw_gate(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(["late", "deaf"]))
    return {
        "kind": kind,
        **(_draw_late(severity, rng) if kind == "late" else _draw_deaf(severity, rng)),
        "depth_db": float(rng.choice([_MUTED_DB, rng.uniform(15, 40)])),
        "comfort": bool(rng.random() < 0.4),
    }


def _draw_late(severity: float, rng: Rng) -> dict[str, Any]:
    return {
        "threshold_db": float(rng.uniform(-30, -22) + 4 * severity),
        "late_ms": float(np.interp(severity, *LATE)),
        "hold_ms": float(rng.uniform(60, 150) * (1 - 0.4 * severity)),
    }


def _draw_deaf(severity: float, rng: Rng) -> dict[str, Any]:
    return {
        "threshold_db": float(np.interp(severity, *DEAF)),
        "late_ms": float(rng.uniform(0, 20)),
        "hold_ms": float(rng.uniform(0, 60)),
    }


def gate(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    """Speech while a detector hears a voice: frames of 10 ms at a random phase whose level is above `threshold_db`
    (dB from the active level), from `late_ms` after the first to `hold_ms` after the last. The rest is lowered by
    `depth_db`; where `comfort`, noise at the recording's own floor is put there. `kind`: late, or deaf to what is soft.

    Measures: `cut_share` of active speech; `cuts_per_s` of active speech; `cut_ms`, what one takes on average;
    `depth_db`, by how much they are lowered, at most 40.
    """
    opened = _opened(speech, params, int(rng.integers(_STEP)))
    cut = toll(active_samples(speech), runs(~opened))
    if cut is None:
        return speech, ()
    lowest = 10 ** (-params["depth_db"] / 20) if params["depth_db"] < _MUTED_DB else 0.0
    gain = lowest + (1 - lowest) * uniform_filter1d(opened.astype(np.float64), _RAMP)
    gated = speech * gain
    if params["comfort"]:
        floor = np.sqrt(np.quantile(frame_power(speech), 0.05))
        gated += (1 - gain) * floor * rng.standard_normal(speech.size)
    measures = {
        "cut_share": cut.share,
        "cuts_per_s": cut.per_s,
        "cut_ms": cut.mean_ms,
        "depth_db": min(params["depth_db"], _DEEPEST_DB),
    }
    return gated.astype(np.float32), (Degradation("gate", params["kind"], "cut-off words", measures),)


def _opened(speech: Signal, params: Params, phase: int) -> Mask:
    """Whether the gate is open, bool [n]."""
    padded = np.pad(speech.astype(np.float64), (phase, -(speech.size + phase) % _STEP))
    power = np.mean(padded.reshape(-1, _STEP) ** 2, axis=1)
    voice = power > 10 ** ((active_level(speech) + params["threshold_db"]) / 10)
    held, late = round(params["hold_ms"] * SAMPLE_RATE / 1000), round(params["late_ms"] * SAMPLE_RATE / 1000)
    opened = np.zeros(padded.size, bool)
    for first, last in runs(voice):
        opened[first * _STEP : last * _STEP + held] = True
    for first, last in runs(opened):
        opened[first : min(first + late, last)] = False
    return opened[phase : phase + speech.size]


# Mean Distill-MOS / PLCMOS of ten talkers (unharmed 4.2 / 4.1) at severities 0.1, 0.5, 0.9: deaf 3.8, 2.7, 2.0 / 3.6,
# 2.9, 2.4; late 4.0, 3.8, 3.8 / 3.8, 3.9, 3.8, since neither knows that a word had a beginning.
LATE = ([0.0, 1.0], [15.0, 250.0])
"""Severity → ms by which the gate opens late."""
DEAF = ([0.0, 1.0], [-24.0, 0.0])
"""Severity → threshold, dB from the active level."""

FAMILIES = (Family("gate", Place.CLEANING, 1.0, _draw_gate, gate),)
