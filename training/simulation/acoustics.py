"""Stages in front of the microphone: surroundings and rooms.

Each takes speech, float32 [n] at 16 kHz mono, and its parameters from the recipe, and returns [n] and what it did.
"""

from __future__ import annotations

import numpy as np
import pyroomacoustics as pra
from scipy import signal as dsp

from training.simulation.measures import SAMPLE_RATE, Signal, a_weighted_snr, active_level
from training.simulation.stage import Degradation, Materials, Params, to_level

NOISE_NAMES = {
    "white": "steady noise",
    "pink": "steady noise",
    "hiss": "steady noise",
    "hum": "hum",
    "crackle": "crackle",
    "babble": "babble",
    "street": "street noise",
    "kitchen": "clatter",
    "dishes": "clatter",
    "machine": "machine noise",
    "room": "room noise",
}
"""Kinds of noise by what a listener calls them."""
SYNTHETIC = ("white", "pink", "hiss", "hum", "crackle")
_ROOM_ORDER = 40
"""Image sources beyond this order add little but time; the decay is long past audible in the rooms drawn here."""


def noise(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """Noise `snr_db` (dB) below the active level. Measured as the A-weighted signal to noise ratio, dB."""
    kind = params["kind"]
    if kind in SYNTHETIC:
        added = _synthesise(kind, speech.size, rng)
    else:
        added = _excerpt(materials.noises[params["source"]], speech.size, rng)
    wanted = active_level(speech) - params["snr_db"]
    added = (added * 10 ** ((wanted - 10 * np.log10(np.mean(added**2) + 1e-12)) / 20)).astype(np.float32)
    return speech + added, Degradation("noise", kind, NOISE_NAMES[kind], a_weighted_snr(speech, added))


def _synthesise(kind: str, size: int, rng: np.random.Generator) -> Signal:
    if kind == "hum":
        mains = float(rng.choice([50.0, 60.0]))
        time = np.arange(size) / SAMPLE_RATE
        partials = [np.sin(2 * np.pi * mains * k * time + rng.uniform(0, 6.28)) / k**0.7 for k in range(1, 13)]
        return np.sum(partials, axis=0).astype(np.float32)
    if kind == "crackle":
        return _crackle(size, rng)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 30.0)
    if kind == "pink":
        spectrum /= np.sqrt(frequency)
    elif kind == "hiss":
        spectrum *= frequency / (frequency + 2500)
    return np.fft.irfft(spectrum, size).astype(np.float32)


def _crackle(size: int, rng: np.random.Generator) -> Signal:
    """Clicks of random strength, 3 to 40 a second, each a burst of a few milliseconds, as of a bad contact."""
    impulses = np.zeros(size)
    count = max(3, rng.poisson(rng.uniform(3, 40) * size / SAMPLE_RATE))
    impulses[rng.integers(size, size=count)] = rng.standard_normal(count) * rng.exponential(1.0, count)
    click = rng.standard_normal(64) * np.exp(-np.arange(64) / 12)
    return np.convolve(impulses, click)[:size].astype(np.float32)


def _excerpt(recording: Signal, size: int, rng: np.random.Generator) -> Signal:
    start = int(rng.integers(recording.size))
    return np.take(recording, np.arange(start, start + size), mode="wrap")


def reverb(
    speech: Signal, params: Params, materials: Materials, rng: np.random.Generator
) -> tuple[Signal, Degradation]:
    """A room's response, recorded or made for `rt60_s` (s) and `distance_m` (m) to the talker; level kept. Measured as
    the clarity C50 (ISO 3382-1), dB: the first 50 ms over the rest."""
    if params["kind"] == "real":
        response = materials.rooms[params["source"]].astype(np.float64)
    else:
        response = shoebox(params["rt60_s"], params["distance_m"], rng)
    direct = int(np.argmax(np.abs(response)))
    response = response[direct:]
    early = int(0.05 * SAMPLE_RATE)
    clarity = 10 * np.log10(np.sum(response[:early] ** 2) / (np.sum(response[early:] ** 2) + 1e-9))
    wet = dsp.fftconvolve(speech, response)[: speech.size].astype(np.float32)
    degradation = Degradation("reverb", params["kind"], "reverberation", float(min(clarity, 40.0)))
    return to_level(wet, active_level(speech)), degradation


def shoebox(rt60_s: float, distance_m: float, rng: np.random.Generator) -> np.ndarray:
    """Impulse response of a rectangular room by image sources, its walls absorbing as Sabine's formula asks."""
    sides = np.array([rng.uniform(4, 10), rng.uniform(3.5, 8), rng.uniform(2.4, 4)])
    absorption, order = pra.inverse_sabine(rt60_s, sides)
    room = pra.ShoeBox(sides, SAMPLE_RATE, materials=pra.Material(absorption), max_order=min(order, _ROOM_ORDER))
    talker = rng.uniform(0.6, sides - 0.6)
    direction = rng.standard_normal(3) * [1, 1, 0.2]
    microphone = talker + distance_m * direction / np.linalg.norm(direction)
    room.add_source(talker)
    room.add_microphone(np.clip(microphone, 0.3, sides - 0.3))
    room.compute_rir()
    return np.asarray(room.rir[0][0], np.float64)
