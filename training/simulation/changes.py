"""Changes of a recording that nobody hears, each beside its audible twin, which differs from it in little else.

Same sound, same score: the first of a pair must leave the ratings where they are, the second must lower the one it is
meant for. A model that is deaf passes the first and fails the second. Training applies the inaudible ones at random;
`evaluate` asks for both. Signals are float32 [n], 16 kHz, within ±1.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soundfile as sf
from scipy import signal as dsp

from training.simulation.measures import FRAME, SAMPLE_RATE, Signal, active_frames

Rng = np.random.Generator
Change = Callable[[Signal, Rng], Signal]

LOUDEST = 0.99


@dataclass(frozen=True)
class Pair:
    """An inaudible change and its audible twin."""

    inaudible: Change
    twin: Change
    dimension: str
    """Which rating the twin lowers, and the MOS with it."""


def silence_around(speech: Signal, rng: Rng) -> Signal:
    """Digital silence before and after, 0.2 to 2 s each."""
    return np.pad(speech, silence_lengths(rng))


def silence_lengths(rng: Rng) -> tuple[int, int]:
    """Samples of `silence_around` before and after."""
    before, after = (rng.uniform(0.2, 2.0, 2) * SAMPLE_RATE).astype(int)
    return int(before), int(after)


def silence_within(speech: Signal, rng: Rng) -> Signal:
    """Stretches of digital silence in the speech, 80 to 250 ms each, three in ten seconds or more."""
    torn = speech.copy()
    spoken = np.flatnonzero(np.repeat(active_frames(speech), FRAME))
    for start in rng.choice(spoken, max(3, round(0.3 * speech.size / SAMPLE_RATE))):
        torn[start : start + int(rng.uniform(0.08, 0.25) * SAMPLE_RATE)] = 0
    return torn


def shifted(speech: Signal, rng: Rng) -> Signal:
    """1 to 40 ms later; the length stays."""
    late = int(rng.uniform(0.001, 0.04) * SAMPLE_RATE)
    return np.concatenate([np.zeros(late, np.float32), speech])[: speech.size]


def frames_lost(speech: Signal, rng: Rng) -> Signal:
    """Frames of 20 ms muted, one in eight, at one phase drawn by chance."""
    phase = int(rng.integers(FRAME))
    kept = np.repeat(rng.random(speech.size // FRAME + 2) >= 0.125, FRAME)[phase : phase + speech.size]
    return np.where(kept, speech, np.float32(0))


def offset(speech: Signal, rng: Rng) -> Signal:
    """A constant of 0.002 to 0.02 of full scale, either sign."""
    return _within(speech + np.float32(rng.choice([-1, 1]) * rng.uniform(0.002, 0.02)))


def hum(speech: Signal, rng: Rng) -> Signal:
    """A mains hum with its harmonics, 0.02 of full scale at each peak."""
    mains, time = rng.choice([50.0, 60.0]), np.arange(speech.size) / SAMPLE_RATE
    partials = [np.sin(2 * np.pi * mains * k * time + rng.uniform(0, 2 * np.pi)) / k**0.5 for k in range(1, 13)]
    added = np.sum(partials, axis=0)
    return _within(speech + (0.02 * added / np.abs(added).max()).astype(np.float32))


def inverted(speech: Signal, rng: Rng) -> Signal:
    """The other polarity."""
    return -speech


def rectified(speech: Signal, rng: Rng) -> Signal:
    """Most of what is negative taken away: the asymmetric overload of a bad input."""
    return np.where(speech < 0, np.float32(0.15) * speech, speech).astype(np.float32)


def finer(speech: Signal, rng: Rng) -> Signal:
    """Through Ogg Vorbis at its best quality, which nobody tells from the original."""
    return recoded(speech, 0.0)


def coarser(speech: Signal, rng: Rng) -> Signal:
    """Quantised to 5 to 7 bits a sample, without dither."""
    step = np.float32(2.0 ** (1 - int(rng.integers(5, 8))))
    return np.round(speech / step) * step


def slightly_louder(speech: Signal, rng: Rng) -> Signal:
    """A gain within ±1 dB."""
    return _within(speech * np.float32(10 ** (rng.uniform(-1, 1) / 20)))


def much_softer(speech: Signal, rng: Rng) -> Signal:
    """25 to 35 dB softer."""
    return (speech * np.float32(10 ** (-rng.uniform(25, 35) / 20))).astype(np.float32)


def resampled(speech: Signal, rng: Rng) -> Signal:
    """To 48 kHz and back."""
    return _within(dsp.resample_poly(dsp.resample_poly(speech, 3, 1), 1, 3)[: speech.size].astype(np.float32))


def muffled(speech: Signal, rng: Rng) -> Signal:
    """To 4 kHz and back."""
    return _within(dsp.resample_poly(dsp.resample_poly(speech, 1, 4), 4, 1)[: speech.size].astype(np.float32))


def recoded(speech: Signal, compression: float) -> Signal:
    """Through Ogg Vorbis; `compression` 0 (best) to 1 (smallest)."""
    coded = io.BytesIO()
    sf.write(coded, speech, SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=compression)
    coded.seek(0)
    return _within(sf.read(coded, dtype="float32")[0])


def _within(speech: Signal) -> Signal:
    """No change may clip: where a peak would, the whole is turned down."""
    peak = float(np.abs(speech).max(initial=0.0))
    return (speech * np.float32(LOUDEST / peak) if peak > LOUDEST else speech).astype(np.float32)


PAIRS: dict[str, Pair] = {
    "silence around, against within the words": Pair(silence_around, silence_within, "discontinuity"),
    "a shift of milliseconds, against lost frames": Pair(shifted, frames_lost, "discontinuity"),
    "a constant offset, against hum": Pair(offset, hum, "noisiness"),
    "polarity, against rectified": Pair(inverted, rectified, "coloration"),
    "a transparent codec, against few bits": Pair(finer, coarser, "coloration"),
    "± 1 dB, against 25 to 35 dB softer": Pair(slightly_louder, much_softer, "loudness"),
    "through 48 kHz, against through 4 kHz": Pair(resampled, muffled, "coloration"),
}
QUICK: tuple[Change, ...] = (shifted, offset, inverted, slightly_louder)
"""Cheap enough to be applied to every clip each time that it is heard in training."""


def unheard(speech: Signal, rng: Rng) -> Signal:
    """Some of the quick inaudible changes, each with even chances. The length stays."""
    for change in QUICK:
        if rng.random() < 0.5:
            speech = change(speech, rng)
    return speech
