"""A voice moved up or down, as by voice changers and by clocks that run wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from training.simulation.jitter import wsola
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.speech_codecs import as_long, coding_measures
from training.simulation.stage import Degradation, Family, Materials, Params, Place, Rng, to_level
from training.simulation.vocoders import at_any_phase, world

AUDIBLE = 0.3
"""Semitones. A voice moved by less is not told from the voice itself by who does not hear both."""
SHIFTS = ([0.0, 0.2, 0.5, 1.0], [0.3, 1.0, 3.0, 8.0])
"""Severity → semitones."""
LEAST_WORLD = 0.35
"""Severity from which on a pitch may be moved by WORLD, which takes 0.8 off Distill-MOS (8 talkers)
even where it moves little."""


def draw(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    up = 1 if rng.random() < 0.5 else -1
    # a slight shift is not to be outdone by what WORLD does beside it
    kind = "formants kept" if severity > LEAST_WORLD and rng.random() < 0.5 else "formants moved"
    return {"kind": kind, "semitones": round(up * float(np.interp(severity, *SHIFTS)), 2)}


def pitch(speech: Signal, params: Params, materials: Materials, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    """Pitch moved by `semitones`, length and level kept: "formants moved", the whole spectrum, by stretched time and a
    new sampling rate; "formants kept", the pitch alone, by WORLD. Shifts below `AUDIBLE` are done and not recorded.

    `semitones`: the same. What WORLD does to a voice whose pitch stays where it is, is a robotic voice, measured as
    that of the vocoder."""
    if not speech.any():
        return speech, ()
    semitones = float(params["semitones"])
    moved, degradations = _MOVES[params["kind"]](speech, 2 ** (semitones / 12), rng)
    if abs(semitones) >= AUDIBLE:
        altered = Degradation("pitch", params["kind"], "altered pitch", {"semitones": semitones})
        degradations = (altered, *degradations)
    return to_level(moved, active_level(speech)), degradations


def _resampled(speech: Signal, ratio: float, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    stretched = wsola(speech, [(0, 0), (round(speech.size * ratio), speech.size)])
    return as_long(soxr.resample(stretched, SAMPLE_RATE * ratio, SAMPLE_RATE), speech.size), ()


def _revoiced(speech: Signal, ratio: float, rng: Rng) -> tuple[Signal, tuple[Degradation, ...]]:
    fine = {"frame_ms": 5.0, "bands": 64, "breath": 0.0, "wander": 1.0, "jitter": 0.0, "above_hz": 0.0}
    moved, still = (at_any_phase(speech, world, {**fine, "ratio": to}, rng) for to in (ratio, 1.0))
    return moved, (Degradation("pitch", "world", "robotic voice", coding_measures(speech, still)),)


_MOVES = {"formants moved": _resampled, "formants kept": _revoiced}
FAMILIES = (Family("pitch", Place.CODING, 0.4, draw, pitch),)
