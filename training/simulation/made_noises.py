"""Noises made by rule: of a size (samples at 16 kHz) and a generator, float64 [size], of any level.

Everything that tells one noise of a kind from the next (colour, pace, strength) is drawn here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from training.simulation.measures import SAMPLE_RATE
from training.simulation.stage import Rng

Noise = npt.NDArray[np.float64]
_LOWEST_HZ = 40.0
"""Below that no telephone's microphone hears."""
_TABLE = 1 << 14
"""Points of one period of hum; between them a line is 80 dB true for the highest partial here."""


def _colored(size: int, gain: Callable[[Noise], Noise], rng: Rng) -> Noise:
    """Gaussian noise whose amplitude spectrum is `gain` of the frequency (Hz)."""
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(size)) * gain(np.maximum(hertz, _LOWEST_HZ)) * (hertz > _LOWEST_HZ / 2)
    return np.fft.irfft(spectrum, size)


def _wander(size: int, per_second: float, rng: Rng) -> Noise:
    """A random course, about normal, with `per_second` corners a second, from anywhere between two."""
    places = np.arange(size) / SAMPLE_RATE * per_second + rng.random()
    knots = np.arange(int(places[-1]) + 2)
    return np.interp(places, knots, rng.standard_normal(knots.size))


def _white(size: int, rng: Rng) -> Noise:
    return rng.standard_normal(size)


def _pink(size: int, rng: Rng) -> Noise:
    return _colored(size, lambda hertz: hertz**-0.5, rng)


def _brown(size: int, rng: Rng) -> Noise:
    return _colored(size, lambda hertz: 1 / hertz, rng)


def _hiss(size: int, rng: Rng) -> Noise:
    corner = rng.uniform(1500, 4000)
    return _colored(size, lambda hertz: hertz / (hertz + corner), rng)


def _fan(size: int, rng: Rng) -> Noise:
    """Air through a fan or a duct: a random slope with two to five broad bumps, hardly moving."""
    slope = rng.uniform(-1.2, 0.3)
    bumps = [(rng.uniform(100, 5000), rng.uniform(0.2, 0.7), rng.uniform(-1, 1.5)) for _ in range(rng.integers(2, 6))]

    def gain(hertz: Noise) -> Noise:
        octaves = [height * np.exp(-((np.log2(hertz / centre) / width) ** 2)) for centre, width, height in bumps]
        return (hertz / 1000) ** slope * 2.0 ** np.sum(octaves, axis=0)

    return _colored(size, gain, rng) * 10 ** (rng.uniform(0, 0.05) * _wander(size, 2.0, rng))


def _partials(size: int, count: int, tilt: float, rng: Rng) -> Noise:
    """Harmonics of the mains, 50 or 60 Hz, of random strengths that fall as k^-tilt, drifting by 0.1 %."""
    mains = rng.choice([50.0, 60.0]) * rng.uniform(0.999, 1.001)
    phase = 2 * np.pi * np.cumsum(mains * (1 + 3e-4 * _wander(size, 0.5, rng))) / SAMPLE_RATE
    strengths = np.arange(1, count + 1) ** -tilt * rng.exponential(1.0, count)
    strengths[::2] *= 10 ** (rng.uniform(-20, 6) / 20)  # some hum at twice the mains above all
    turn = np.linspace(0, 2 * np.pi, _TABLE + 1)
    waves = [s * np.sin((k + 1) * turn + rng.uniform(0, 2 * np.pi)) for k, s in enumerate(strengths)]
    return np.interp(phase % (2 * np.pi), turn, np.sum(waves, axis=0))


def _hum(size: int, rng: Rng) -> Noise:
    return _partials(size, int(rng.integers(6, 20)), rng.uniform(0.6, 1.4), rng)


def _buzz(size: int, rng: Rng) -> Noise:
    """A dimmer's or a bad cable's: harmonics far up."""
    return _partials(size, int(rng.integers(40, 70)), rng.uniform(0.0, 0.5), rng)


def _times(size: int, gap: Callable[[], float], rng: Rng) -> list[int]:
    """Samples at which something happens, from anywhere between two; at least once within `size`. `gap`: s."""
    moment, times = -rng.random() * gap(), []
    while (moment := moment + gap()) * SAMPLE_RATE < size:
        times.append(int(moment * SAMPLE_RATE))
    return times if any(at >= 0 for at in times) else [int(rng.integers(size))]


def _sprinkle(size: int, blows: list[tuple[int, Noise]]) -> Noise:
    """Each blow, float64 [m], added where it happens; what lies outside is cut off."""
    mixed = np.zeros(size)
    for at, blow in blows:
        first, last = max(at, 0), min(at + blow.size, size)
        if first < last:
            mixed[first:last] += blow[first - at : last - at]
    return mixed


def _ring(modes_hz: Noise, decays_s: Noise, strengths: Noise, rng: Rng) -> Noise:
    """Damped oscillations that start together, as of something that was hit."""
    time = np.arange(int(6 * decays_s.max() * SAMPLE_RATE)) / SAMPLE_RATE
    phases = rng.uniform(0, 2 * np.pi, modes_hz.size)
    waves = [
        strength * np.exp(-time / decay) * np.sin(2 * np.pi * hertz * time + phase)
        for hertz, decay, strength, phase in zip(modes_hz, decays_s, strengths, phases, strict=True)
    ]
    return np.sum(waves, axis=0)


def _crackle(size: int, rng: Rng) -> Noise:
    """A bad contact: 3 to 40 clicks a second of random strength, each of 1 to 5 ms and its own colour."""
    rate, color = rng.uniform(3, 40), rng.uniform(-0.6, 0.9)
    clicks = []
    for at in _times(size, lambda: float(rng.exponential(1 / rate)), rng):
        burst = rng.standard_normal(96) * np.exp(-np.arange(96) / rng.uniform(5, 25))
        clicks.append((at, rng.exponential(1.0) * dsp.lfilter([1.0], [1.0, color], burst)))
    return _sprinkle(size, clicks)


def _wind(size: int, rng: Rng) -> Noise:
    """Gusts over a microphone: noise of below some 100 to 400 Hz that swells and falls within a second or so."""
    corner, steep = rng.uniform(100, 400), rng.uniform(1.5, 3)
    rumble = _colored(size, lambda hertz: hertz**-0.5 / (1 + (hertz / corner) ** steep), rng)
    return rumble * 10 ** (rng.uniform(0.25, 0.5) * _wander(size, rng.uniform(0.7, 3), rng))


def _traffic(size: int, rng: Rng) -> Noise:
    """A far road's rush, and cars that pass: each swells over seconds, brighter the nearer it is."""
    road = _colored(size, lambda hertz: hertz**-0.7 / (1 + (hertz / 1200) ** 2), rng)
    bright = rng.uniform(700, 1100)
    tires = _colored(size, lambda hertz: 1 / (1 + np.abs(np.log2(hertz / bright)) ** 3), rng)
    time = np.arange(size) / SAMPLE_RATE + 2  # cars that come and go within 2 s of the clip are heard in it
    near = np.zeros(size)
    for at in _times(size + 4 * SAMPLE_RATE, lambda: float(rng.exponential(3.5)), rng):
        near += rng.uniform(0.4, 2.0) / (1 + ((time - at / SAMPLE_RATE) / rng.uniform(0.4, 1.2)) ** 2)
    return road / np.std(road) + near * tires / np.std(tires)


def _keys(size: int, rng: Rng) -> Noise:
    """Typing: bursts of 4 to 9 keys a second; each key a click and a thud as it lands, and a weaker one as it
    returns. A keyboard keeps its resonances."""
    clicks_hz, thud_hz = rng.uniform(1500, 6500, 5), rng.uniform(120, 400)
    thud, pace, clicking = rng.uniform(0.2, 1.0), rng.uniform(4, 9), rng.uniform(10, 40)
    left = int(rng.integers(3, 12))

    def gap() -> float:
        nonlocal left
        left -= 1
        if left > 0:
            return float(rng.gamma(6, 1 / (6 * pace)))
        left = int(rng.integers(3, 12))
        return float(rng.uniform(0.4, 1.5))

    def key(strength: float) -> Noise:
        modes = np.append(clicks_hz * rng.uniform(0.95, 1.05, 5), thud_hz * rng.uniform(0.9, 1.1))
        decays = np.append(rng.uniform(0.001, 0.004, 5), 0.012)
        ring = _ring(modes, decays, np.append(rng.exponential(0.5, 5), thud), rng)
        click = rng.standard_normal(ring.size) * np.exp(-np.arange(ring.size) / clicking)
        return strength * (ring + 0.7 * click)

    blows = []
    for at in _times(size, gap, rng):
        strength = rng.uniform(0.5, 1.3)
        blows.append((at, key(strength)))
        blows.append((at + int(rng.uniform(0.06, 0.13) * SAMPLE_RATE), key(0.35 * strength)))
    return _sprinkle(size, blows)


def _knocks(size: int, rng: Rng) -> Noise:
    """On a door or a table: groups of one to four dull blows."""
    modes, decay = rng.uniform(80, 900, 6), rng.uniform(0.015, 0.06)
    blows = []
    for start in _times(size, lambda: float(rng.uniform(0.2, 2.5)), rng):
        at, step = start, rng.uniform(0.16, 0.4)
        for _ in range(rng.integers(1, 5)):
            ring = _ring(modes * rng.uniform(0.97, 1.03, 6), np.full(6, decay), rng.exponential(1.0, 6), rng)
            blows.append((at, rng.uniform(0.6, 1.2) * ring))
            at += int(step * rng.uniform(0.85, 1.15) * SAMPLE_RATE)
    return _sprinkle(size, blows)


def _dishes(size: int, rng: Rng) -> Noise:
    """Crockery and cutlery: handfuls of bright rings, each thing with partials of its own."""
    things = [(rng.uniform(700, 6500, 7), rng.uniform(0.01, 0.09, 7)) for _ in range(4)]
    blows = []
    for start in _times(size, lambda: float(rng.uniform(0.1, 1.4)), rng):
        at = start
        for _ in range(rng.integers(1, 6)):
            modes, decays = things[rng.integers(len(things))]
            blows.append((at, rng.exponential(1.0) * _ring(modes, decays, rng.exponential(1.0, 7), rng)))
            at += int(rng.exponential(0.07) * SAMPLE_RATE)
    return _sprinkle(size, blows)


def _ticks(size: int, rng: Rng) -> Noise:
    """A clock: two ticks in turn, one to five a second, regular."""
    period, first = rng.uniform(0.2, min(1.0, size / SAMPLE_RATE)), rng.random()
    pair = [
        _ring(rng.uniform(1200, 6000, 4), rng.uniform(0.001, 0.006, 4), rng.exponential(1.0, 4), rng) for _ in range(2)
    ]
    starts = [int((first + k) * period * SAMPLE_RATE) for k in range(-1, int(size / SAMPLE_RATE / period) + 1)]
    return _sprinkle(size, [(at, pair[k % 2]) for k, at in enumerate(starts)])


class Made(NamedTuple):
    """A kind of noise made by rule."""

    make: Callable[[int, Rng], Noise]
    cause: str
    """What a listener calls it: a key of causes.KINDS."""
    weight: float
    """How often it is drawn beside the others of its cause, and the recordings, which together weigh 1."""


MADE = {
    "white": Made(_white, "steady noise", 0.7),
    "pink": Made(_pink, "steady noise", 0.7),
    "brown": Made(_brown, "steady noise", 0.5),
    "hiss": Made(_hiss, "steady noise", 1.0),
    "fan": Made(_fan, "steady noise", 2.0),
    "hum": Made(_hum, "hum", 0.7),
    "buzz": Made(_buzz, "hum", 0.3),
    "bad contact": Made(_crackle, "crackle", 1.5),
    "gusts": Made(_wind, "wind", 1.0),
    "traffic": Made(_traffic, "street noise", 0.5),
    "keyboard": Made(_keys, "typing", 1.0),
    "knocks": Made(_knocks, "sudden sounds", 0.7),
    "crockery": Made(_dishes, "clatter", 0.8),
    "clock": Made(_ticks, "ticking", 0.4),
}
