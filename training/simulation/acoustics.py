"""Noise around the talker: made by rule, recorded, or other people's speech."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from training.simulation.library import Library, choose
from training.simulation.made_noises import MADE, Noise
from training.simulation.measures import (
    FRAME,
    SAMPLE_RATE,
    Signal,
    a_weighted,
    active_frames,
    active_level,
    decibel,
    frame_power,
)
from training.simulation.sources import CATEGORIES
from training.simulation.stage import Degradation, Done, Family, Materials, Params, Place, Rng

SNR_DB = ((0.0, 50.0), (0.25, 38.5), (0.5, 24.5), (0.75, 10.5), (1.0, -5.0))
"""Severity → speech over noise, so that equal steps are equal steps of what is rated (listener.NOISE)."""
SPORADIC_DB = 5.0
"""The faintest of what sounds a tenth of the time must be that much louder to be noticed."""
LOUDEST_DB = 12.0
"""Noise is at most that much stronger than the speech, unweighted: rumble that must be louder to be heard overloads a
microphone first."""
SOUNDING_DB = 12.0
"""How far below its strong moments a noise still sounds."""
_SILENT_DBOV = -90.0
_NO_NOISE_DB = 90.0
_SEAM = int(0.05 * SAMPLE_RATE)
_EDGE = int(0.01 * SAMPLE_RATE)
PLACED = ("animal sounds", "crying child", "sudden sounds")
"""What sounds now and then: recordings of it are heard with pauses between, not in a loop."""
TALKERS = {"1": 0.3, "few": 0.3, "many": 0.4}
"""How many other people are heard, and how often."""
_CROWD_SHARE = 0.15
"""Of voices that are a recorded crowd's."""


class Group(NamedTuple):
    """A family of noises."""

    weight: float
    """The family's."""
    causes: Mapping[str, float]
    """How often each is drawn beside the others."""
    louder_db: float = 0.0
    """By how much the faintest is louder than SNR_DB says."""


def sounding(noise: Signal | Noise) -> tuple[float, npt.NDArray[np.bool_]]:
    """Level of a noise while it sounds, dB A-weighted, and the 20 ms frames in which it does: within SOUNDING_DB of
    the mean power by energy, Σp²/Σp, which a pause, however long, does not lower."""
    power = frame_power(a_weighted(noise))
    if not power.any():
        return -_NO_NOISE_DB, np.zeros(power.size, bool)
    heard = power > np.sum(power**2) / np.sum(power) * 10 ** (-SOUNDING_DB / 10)
    return decibel(float(np.mean(power[heard]))), heard


def _speaking(speech: Signal) -> tuple[float, npt.NDArray[np.bool_]]:
    active = active_frames(speech)
    return decibel(float(np.mean(frame_power(a_weighted(speech))[active]))), active


def _snr(severity: float) -> float:
    return float(np.interp(severity, *zip(*SNR_DB, strict=True)))


def _draw(group: Group, severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    """A cause; then a kind made by rule or a recording, as MADE says. A cause without either in `lib` is not drawn."""
    made = {cause: {kind: one.weight for kind, one in MADE.items() if one.cause == cause} for cause in group.causes}
    there = [cause for cause in group.causes if made[cause] or cause in lib.causes]
    cause = choose(there, rng, group.causes)
    kinds = made[cause] | ({"recorded": 1.0} if cause in lib.causes else {})
    kind = choose(kinds, rng, kinds)
    drawn: dict[str, Any] = {"snr_db": _snr(severity) - group.louder_db * (1 - severity)}
    if kind == "recorded":
        noise = lib.draw_noise(cause, rng)
        return {"kind": noise.category, "source": noise.file, **drawn}
    return {"kind": kind, **drawn}


def _draw_voices(severity: float, lib: Library, rng: Rng) -> dict[str, Any]:
    """One other talker, 2 to 4, 5 to 20 (as many as there are), or a recorded crowd. Whoever draws for a talker gives
    a library without that talker."""
    snr = {"snr_db": _snr(severity)}
    if "voices" in lib.causes and rng.random() < _CROWD_SHARE:
        noise = lib.draw_noise("voices", rng)
        return {"kind": noise.category, "source": noise.file, **snr}
    number = {"1": (1, 1), "few": (2, 4), "many": (5, 20)}[choose(TALKERS, rng, TALKERS)]
    count = min(int(rng.integers(number[0], number[1] + 1)), len(lib.talkers))
    speakers: list[str] = []
    files: list[str] = []
    for _ in range(count):
        other = lib.draw_speech(rng, besides=speakers)
        speakers.append(other.speaker)
        files.append(other.file)
    return {"kind": "other talker" if count == 1 else "babble", "talkers": files, **snr}


def noise(speech: Signal, params: Params, materials: Materials, rng: Rng) -> Done:
    """Noise that, while it sounds, lies `snr_db` (dB, both A-weighted) under the speech while it is active. Measured:
    `snr_db`, the same, which is higher where the noise had to stay below LOUDEST_DB; `share` of the time for which
    it sounds, 0–1; `snr_in_pauses_db`, active speech over the noise's mean power in the pauses of speech (in all of
    the clip, where it has none). No noise is added to silence."""
    if active_level(speech) < _SILENT_DBOV:
        return speech, ()
    added = _make(params, speech.size, materials, rng)
    level, _ = sounding(added)
    speech_level, _ = _speaking(speech)
    gain_db = speech_level - params["snr_db"] - level
    strongest = decibel(float(np.max(_smooth_power(added))))
    gain_db = min(gain_db, active_level(speech) + LOUDEST_DB - strongest)
    scaled = (added * 10 ** (gain_db / 20)).astype(np.float32)
    return speech + scaled, (Degradation(params["family"], params["kind"], _cause(params), _measure(speech, scaled)),)


def _cause(params: Params) -> str:
    if "talkers" in params:
        return "voices"
    return CATEGORIES[params["kind"]].cause if "source" in params else MADE[params["kind"]].cause


def _measure(speech: Signal, added: Signal) -> dict[str, float]:
    speech_level, active = _speaking(speech)
    level, heard = sounding(added)
    power = frame_power(a_weighted(added))
    pauses = power[~active] if np.any(~active) else power
    return {
        "snr_db": speech_level - level,
        "share": float(np.mean(heard)),
        "snr_in_pauses_db": min(speech_level - decibel(float(np.mean(pauses))), _NO_NOISE_DB),
    }


def _smooth_power(added: Noise) -> Noise:
    """Mean power over 200 ms."""
    return dsp.lfilter([0.1] * 10, [1.0], frame_power(added))


def _make(params: Params, size: int, materials: Materials, rng: Rng) -> Noise:
    if "talkers" in params:
        return _babble([materials.speech(file) for file in params["talkers"]], size, rng)
    if "source" not in params:
        return MADE[params["kind"]].make(size, rng)
    recording = materials.noise(params["source"]).astype(np.float64)
    if _cause(params) in PLACED:
        return place(recording, size, rng)
    return loop(recording, size, rng)


def loop(recording: Noise, size: int, rng: Rng) -> Noise:
    """`size` samples of a recording, anywhere in which it sounds; where it ends, its beginning fades in over 50 ms."""
    seam = min(_SEAM, recording.size // 4)
    rise = np.sin(np.linspace(0, np.pi / 2, seam, endpoint=False))  # equal power: the two are strangers
    ring = recording[: recording.size - seam].copy()
    ring[:seam] = ring[:seam] * rise + recording[recording.size - seam :] * rise[::-1]
    start = _moment(ring, rng) - int(rng.integers(size))
    return np.take(ring, np.arange(start, start + size), mode="wrap")


def place(recording: Noise, size: int, rng: Rng) -> Noise:
    """A recording such that something of it sounds within `size` samples; before and after it again, with pauses of
    0.5 to 4 s, and 10 ms of fade at its ends."""
    faded = recording.copy()
    edge = min(_EDGE, faded.size // 4)
    faded[:edge] *= np.linspace(0, 1, edge, endpoint=False)
    faded[faded.size - edge :] *= np.linspace(1, 0, edge)
    start = int(rng.integers(size)) - _moment(faded, rng)
    mixed = np.zeros(size)
    _add(mixed, faded, start)
    before = after = start
    while (after := after + faded.size + _pause(rng)) < size:
        _add(mixed, faded, after)
    while (before := before - faded.size - _pause(rng)) + faded.size > 0:
        _add(mixed, faded, before)
    return mixed


def _moment(recording: Noise, rng: Rng) -> int:
    """A sample of one of the frames in which a recording sounds: of a fire that snaps once, not the hush before."""
    return int(rng.choice(np.flatnonzero(sounding(recording)[1]))) * FRAME + int(rng.integers(FRAME))


def _pause(rng: Rng) -> int:
    return int(rng.uniform(0.5, 4.0) * SAMPLE_RATE)


def _add(mixed: Noise, piece: Noise, start: int) -> None:
    first, last = max(start, 0), min(start + piece.size, mixed.size)
    if first < last:
        mixed[first:last] += piece[first - start : last - start]


def _babble(voices: list[Signal], size: int, rng: Rng) -> Noise:
    """Each voice from anywhere in it, at a distance of its own: level within ±4 dB, 0.1 to 0.5 s of room, the treble
    of somebody who speaks elsewhere."""
    mixed = np.zeros(size)
    for voice in voices:
        level_db = rng.uniform(-4, 4) - active_level(voice)
        mixed += loop(voice.astype(np.float64), size, rng) * 10 ** (level_db / 20)
    decay = rng.uniform(0.1, 0.5)
    room = rng.standard_normal(int(decay * SAMPLE_RATE))
    room *= 10 ** (-3 * np.arange(room.size) / room.size)
    room *= 10 ** (rng.uniform(-12, 3) / 20) / np.sqrt(np.sum(room**2))
    room[0] += 1
    dull = dsp.butter(1, rng.uniform(1500, 7000), fs=SAMPLE_RATE, output="sos")
    return dsp.sosfilt(dull, dsp.fftconvolve(mixed, room)[:size])


NOISES = {
    "steady": Group(0.5, {"steady noise": 1.0}),
    "hum": Group(0.4, {"hum": 1.0}),
    "street": Group(0.4, {"street noise": 1.0}),
    "machine": Group(0.4, {"machine noise": 1.0}),
    "weather": Group(0.4, {"wind": 0.55, "water": 0.45}),
    "household": Group(0.55, {"typing": 1.0, "clatter": 1.0, "ticking": 0.6}, SPORADIC_DB),
    "outbursts": Group(0.45, {"sudden sounds": 1.0, "animal sounds": 1.0, "crying child": 0.8}, SPORADIC_DB),
    "crackle": Group(0.4, {"crackle": 1.0}, SPORADIC_DB),
}
"""By family. Each alone is often enough in a corpus to be judged."""
FAMILIES = (
    *(Family(name, Place.SURROUNDINGS, group.weight, partial(_draw, group), noise) for name, group in NOISES.items()),
    Family("voices", Place.SURROUNDINGS, 0.5, _draw_voices, noise),
)
