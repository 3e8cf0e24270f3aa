"""Families of the call itself: what its level does, what goes missing from it, and what changes without being heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal as dsp

from training.simulation.library import Library
from training.simulation.measures import (
    FRAME,
    SAMPLE_RATE,
    Signal,
    active_level,
    active_samples,
    frame_power,
    gain_measures,
)
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng, to_level

NORMAL_DBOV = (-29.0, -17.0)
"""Active levels that nobody calls low or high."""
_LOW_DBOV, _HIGH_DBOV = -29.5, -16.5
_HIGHEST_PEAK = 0.95
"""Of a level that is not high: nobody takes it for an overload."""
_PAUSE_DB, _ABOVE_FLOOR_DB = 35.0, 6.0
"""A frame this far below the loudest, or within this of the floor, holds no speech."""
_FADE = 80  # samples, 5 ms: a gate that clicks would be heard
_SHORTEST = 1600  # samples, 0.1 s, of a drop-out: what is shorter is a lost packet
_LONGEST_S, _MOST_AROUND = 8.0, 4.0
"""Silence before or after a clip, at most; and of both together in proportion to the clip."""


# --- what is not heard ------------------------------------------------------------------------------------------------


def _draw_pauses(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    kind = str(rng.choice(["digital", "comfort", "room"], p=[0.5, 0.25, 0.25]))
    return {"kind": kind, "hangover_s": round(float(rng.uniform(0.15, 0.4)), 3)}


def pauses(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """What lies between utterances replaced by digital silence, by comfort noise (white) or by a room's floor (falling
    with the frequency), each as loud as the floor that was there. The gate opens `hangover_s` (s) before speech and
    closes as long after it. Records nothing: of clean speech it is not heard, and noise has its own record."""
    phase = int(rng.integers(FRAME))
    power = frame_power(speech[phase:])
    if not power.any():
        return speech, ()
    floor, loud = np.quantile(power, [0.05, 0.95])
    spoken = (power > loud * 10 ** (-_PAUSE_DB / 10)) & (power > floor * 10 ** (_ABOVE_FLOOR_DB / 10))
    edges = np.diff(np.concatenate([[0], spoken.astype(np.int8), [0]]))
    held = int(params["hangover_s"] * SAMPLE_RATE)
    gate = np.zeros(speech.size, bool)
    for first, last in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        gate[max(0, phase + first * FRAME - held) : phase + last * FRAME + held] = True
    opened = faded(gate)
    filling = np.sqrt(floor) * _floor(params["kind"], speech.size, rng)
    return (speech * opened + filling * (1 - opened)).astype(np.float32), ()


def faded(gate: Signal) -> Signal:
    """A gate of 0 and 1 whose edges take 5 ms."""
    edge = np.full(_FADE, 1 / _FADE)
    padded = np.pad(gate.astype(np.float64), _FADE, mode="edge")
    smooth: Signal = np.convolve(padded, edge, "same")[_FADE:-_FADE].clip(0, 1).astype(np.float32)
    return smooth


def _floor(kind: str, size: int, rng: Rng) -> Signal:
    """Nothing, or noise of unit power: white, or a room's, which falls by 6 dB an octave above 100 Hz."""
    if kind == "digital":
        return np.zeros(size, np.float32)
    white = rng.standard_normal(size)
    shaped = white if kind == "comfort" else dsp.lfilter([1.0], [1.0, -0.96], white)
    return (shaped / np.std(shaped)).astype(np.float32)


def _draw_handling(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    offset = float(np.exp(rng.uniform(np.log(1e-3), np.log(0.1))) * rng.choice([-1, 1]))
    around = np.minimum(rng.exponential(1.5, 2), _LONGEST_S) * (rng.random(2) < 0.6)
    below_db = float(rng.uniform(55, 75))
    return {
        "polarity": int(rng.choice([1, -1])),
        "offset": round(offset, 5) if rng.random() < 0.4 else 0.0,
        "before_s": round(float(around[0]), 3),
        "after_s": round(float(around[1]), 3),
        "below_db": round(below_db, 1) if rng.random() < 0.5 else None,
    }


def handling(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """What recorders and tools do without anybody hearing it: the other `polarity` (-1), an `offset` (DC, as far as
    there is room below full scale), and silence around (s; at most 4 times the clip), digital or `below_db` (dB) below
    the speech. Records nothing."""
    before, after = around(params, speech.size)
    silence = np.zeros(before + after, np.float32)
    if params["below_db"] is not None:
        faint = 10 ** ((active_level(speech) - params["below_db"]) / 20)
        silence = (faint * rng.standard_normal(silence.size)).astype(np.float32)
    longer = params["polarity"] * np.concatenate([silence[:before], speech, silence[before:]])
    room = max(0.0, 1 - float(np.abs(longer).max(initial=0.0)))
    return (longer + np.clip(params["offset"], -room, room)).astype(np.float32), ()


def around(params: Params, size: int) -> tuple[int, int]:
    """Samples of silence that `handling` adds before and after a clip of `size` samples."""
    wanted = SAMPLE_RATE * np.array([params["before_s"], params["after_s"]])
    wanted *= min(1.0, _MOST_AROUND * size / max(float(wanted.sum()), 1.0))
    return int(wanted[0]), int(wanted[1])


# --- what is heard ----------------------------------------------------------------------------------------------------


def _draw_mutes(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    share = float(np.interp(severity, [0, 0.25, 0.5, 0.75, 1], [0.005, 0.02, 0.06, 0.15, 0.45]))
    longest_s = rng.uniform(0.7, 1.0) * float(np.interp(severity, [0, 0.5, 1], [0.16, 0.5, 1.5]))
    return {"share": round(share, 4), "longest_s": round(longest_s, 3)}


def mutes(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Drop-outs: pieces of 0.1 s to `longest_s` (s) silenced until `share` of the active speech is gone, at any moment
    of it. `lost_share`: share of active speech gone (0–1); `lost_s`: seconds of it; `count`: how many drop-outs."""
    active = active_samples(speech)
    if not active.any():
        return speech, ()
    places = np.flatnonzero(active)
    gone = np.zeros(speech.size, bool)
    count = 0
    while (left := int(params["share"] * places.size) - np.count_nonzero(gone & active)) > 0:
        size = min(int(rng.uniform(_SHORTEST, params["longest_s"] * SAMPLE_RATE)), left + _SHORTEST)
        start = int(rng.choice(places)) - int(rng.integers(size))
        gone[max(0, start) : start + size] = True
        count += 1
    muted = (speech * (1 - faded(gone))).astype(np.float32)
    lost = float(np.mean(gone[active]))
    measures = {"lost_share": lost, "lost_s": float(np.sum(gone & active)) / SAMPLE_RATE, "count": float(count)}
    return muted, (Degradation("mutes", "silence", "drop-outs", measures),)


def _draw_level(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    if rng.random() < 0.25:
        return {"level_dbov": float(np.interp(severity, [0, 1], [-16, -3]))}
    return {"level_dbov": float(np.interp(severity, [0, 0.85, 1], [-30, -47, -65]))}


def normal_level(rng: Rng) -> dict[str, Any]:
    """The stage that brings a clip to a level at which there is nothing to say about it."""
    return {"family": "level", "level_dbov": round(float(rng.uniform(*NORMAL_DBOV)), 2)}


def level(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Gain that brings the active level (ITU-T P.56) to `level_dbov` (dBov); only a high one overloads the receiver.
    `level_dbov`: the level reached. Of one that is neither low nor high nothing is recorded."""
    wanted = float(params["level_dbov"])
    leveled = to_level(speech, wanted)
    peak = float(np.abs(leveled).max(initial=0.0))
    if wanted <= _HIGH_DBOV and peak > _HIGHEST_PEAK:
        leveled = (leveled * _HIGHEST_PEAK / peak).astype(np.float32)
    reached = active_level(leveled)
    if _LOW_DBOV <= reached <= _HIGH_DBOV or not speech.any():
        return leveled, ()
    name = "high level" if reached > _HIGH_DBOV else "low level"
    return leveled, (Degradation("level", "gain", name, {"level_dbov": reached}),)


def _draw_steps(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"depth_db": float(np.interp(severity, [0, 1], [4, 30])), "count": int(rng.integers(1, 4))}


def steps(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """The level jumps by about `depth_db` (dB) down or up, `count` times, and back with the next jump, while somebody
    speaks: a talker who turns away, a second microphone. `gain_std_db`, `gain_range_db`: `measures.gain_measures`."""
    active = np.flatnonzero(active_samples(speech))
    if not active.size:
        return speech, ()
    moments = np.sort(rng.choice(active, size=params["count"]))
    gain_db = np.zeros(speech.size)
    sign = float(rng.choice([-1, 1]))
    for number, moment in enumerate(moments):
        gain_db[moment:] = sign * params["depth_db"] * rng.uniform(0.7, 1.3) if number % 2 == 0 else 0.0
    fade = int(rng.uniform(0.01, 0.08) * SAMPLE_RATE)
    smooth = np.convolve(np.pad(gain_db, fade, mode="edge"), np.full(fade, 1 / fade), "same")[fade:-fade]
    return _ridden(speech, smooth, "steps")


def _draw_drift(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    period_s = float(np.exp(rng.uniform(np.log(2.0), np.log(15.0))))
    return {"depth_db": float(np.interp(severity, [0, 1], [5, 35])), "period_s": round(period_s, 2)}


def drift(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """The level swells and fades slowly, within `depth_db` (dB) and about once in `period_s` (s). `gain_std_db`,
    `gain_range_db`: see `measures.gain_measures`."""
    turns = rng.uniform(0, 1) + np.arange(speech.size) / (params["period_s"] * SAMPLE_RATE)
    gain_db = params["depth_db"] / 2 * np.sin(2 * np.pi * turns)
    return _ridden(speech, gain_db, "drift")


def _draw_pumping(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    return {"depth_db": float(np.interp(severity, [0, 0.25, 0.5, 0.75, 1], [1, 2.2, 3.8, 6, 10]))}


def pumping(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Automatic gain that overreacts: it rises in pauses, ducks when speech returns, and wanders, with a standard
    deviation of `depth_db` (dB). `gain_std_db`, `gain_range_db`: see `measures.gain_measures`."""
    phase = int(rng.integers(FRAME))
    power = frame_power(np.pad(speech, (phase, 2 * FRAME)))
    wander = dsp.lfilter([1 - 0.98], [1, -0.98], rng.standard_normal(power.size + 200))[200:]
    loudness = 10 * np.log10(power + 1e-9)
    chased = dsp.lfilter([1 - 0.96], [1, -0.96], loudness - loudness.mean())
    gain_db = wander / wander.std() - chased / max(float(chased.std()), 1e-3)
    gain_db *= params["depth_db"] / gain_db.std()
    smooth = np.interp(np.arange(speech.size) + phase, np.arange(power.size) * FRAME + FRAME / 2, gain_db)
    return _ridden(speech, smooth, "pumping")


def _ridden(speech: Signal, gain_db: Signal, family: str) -> Done:
    """`speech` under a moving gain, its active level kept; no cause where it stands still while somebody speaks."""
    moved = to_level((speech * 10 ** (gain_db / 20)).astype(np.float32), active_level(speech))
    measures = gain_measures(speech, gain_db)
    if not measures["gain_range_db"]:
        return moved, ()
    return moved, (Degradation(family, "gain", "uneven level", measures),)


FAMILIES = (
    Family("pauses", Place.CODING, 0.0, _draw_pauses, pauses),
    Family("mutes", Place.NETWORK, 1.0, _draw_mutes, mutes),
    Family("steps", Place.CLEANING, 0.6, _draw_steps, steps),
    Family("drift", Place.CLEANING, 0.6, _draw_drift, drift),
    Family("pumping", Place.CLEANING, 0.6, _draw_pumping, pumping),
    Family("level", Place.RECEIVER, 1.5, _draw_level, level),
    Family("handling", Place.RECEIVER, 0.0, _draw_handling, handling),
)
