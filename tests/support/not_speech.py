"""Sounds of calls that nobody speaks, made by code at 16 kHz: tones, hold music, applause. float32 [n], any level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RATE = 16_000
Sound = npt.NDArray[np.float32]
_Wave = npt.NDArray[np.float64]
_Rng = np.random.Generator

# --- tones ------------------------------------------------------------------------------------------------------------

_KEYS = [(low, high) for low in (697, 770, 852, 941) for high in (1209, 1336, 1477, 1633)]
CADENCES: dict[str, tuple[tuple[tuple[float, ...], float], ...]] = {
    "dial tone, US": (((350, 440), 1.0),),
    "dial tone, Europe": (((425,), 1.0),),
    "ringback, US": (((440, 480), 2.0), ((), 4.0)),
    "ringback, Europe": (((425,), 1.0), ((), 4.0)),
    "ringback, UK": (((400, 450), 0.4), ((), 0.2), ((400, 450), 0.4), ((), 2.0)),
    "busy, US": (((480, 620), 0.5), ((), 0.5)),
    "busy, Europe": (((425,), 0.48), ((), 0.48)),
    "reorder": (((480, 620), 0.25), ((), 0.25)),
    "number unobtainable": (((950,), 0.33), ((1400,), 0.33), ((1800,), 0.33), ((), 1.0)),
    "call waiting": (((440,), 0.3), ((), 9.7)),
    "recording beep": (((1400,), 0.5), ((), 14.5)),
    "fax calling": (((1100,), 0.5), ((), 3.0)),
    "alarm": (((800,), 0.25), ((1000,), 0.25)),
}
"""Frequencies in Hz that sound together and for how many seconds, over and over (ITU-T E.180 and E.182)."""


def _tone(seconds: float, hertz: tuple[float, ...]) -> _Wave:
    """Without clicks at its ends."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = np.sum([np.sin(2 * np.pi * each * time) for each in hertz], axis=0) if hertz else np.zeros(time.size)
    whole = seconds == 1.0 and all(each % 1 == 0 for each in hertz)  # goes on without a seam
    return wave if whole else wave * np.clip(np.minimum(time, seconds - time) / 0.005, 0, 1)


def _repeated(seconds: float, part: Callable[[], _Wave], rng: _Rng) -> Sound:
    """Parts one after another, begun anywhere in the first."""
    parts = [part()]
    size = round(seconds * RATE)
    start = int(rng.integers(len(parts[0])))
    while sum(map(len, parts)) < start + size:
        parts.append(part())
    return np.concatenate(parts)[start : start + size].astype(np.float32)


def cadence(name: str, seconds: float, rng: _Rng) -> Sound:
    """One of CADENCES."""
    return _repeated(seconds, lambda: np.concatenate([_tone(length, hertz) for hertz, length in CADENCES[name]]), rng)


def beeps(seconds: float, rng: _Rng) -> Sound:
    """Of one pitch and pace: 0.05 to 0.6 s, sine or square, with gaps of 0.1 to 4 s."""
    hertz, length, gap = rng.uniform(350, 2_500), rng.uniform(0.05, 0.6), 10 ** rng.uniform(-1, 0.6)
    square = rng.random() < 0.3

    def part() -> _Wave:
        wave = _tone(length, (hertz,))
        return np.concatenate([np.sign(wave) * 0.5 if square else wave, np.zeros(round(gap * RATE))])

    return _repeated(seconds, part, rng)


def keys(seconds: float, rng: _Rng) -> Sound:
    """Dialled by touch tone, at a machine's pace or a person's."""
    machine = rng.random() < 0.5

    def part() -> _Wave:
        on, off = (0.07, 0.07) if machine else (rng.uniform(0.08, 0.35), rng.uniform(0.08, 0.7))
        return np.concatenate([_tone(on, _KEYS[int(rng.integers(16))]), np.zeros(round(off * RATE))])

    return _repeated(seconds, part, rng)


def modem(seconds: float, rng: _Rng) -> Sound:
    """Frequency shift keying, as a fax negotiates (ITU-T V.21)."""
    bits = rng.choice([1650.0, 1850.0], int(seconds * 300) + 1)
    phase = 2 * np.pi * np.cumsum(np.repeat(bits, 54)[: round(seconds * RATE)]) / RATE
    return np.sin(phase).astype(np.float32)


def sweep(seconds: float, rng: _Rng) -> Sound:
    """A siren: a tone that glides up, or up and down."""
    low, high, period = rng.uniform(300, 700), rng.uniform(900, 2_500), rng.uniform(0.3, 3)
    place = np.arange(round(seconds * RATE)) / RATE / period % 1
    if rng.random() < 0.5:
        place = 1 - np.abs(2 * place - 1)
    return np.sin(2 * np.pi * np.cumsum(low + (high - low) * place) / RATE).astype(np.float32)


def bell(seconds: float, rng: _Rng) -> Sound:
    """An old telephone rings: partials that a clapper strikes 20 times a second."""
    partials = rng.uniform(700, 1_500) * np.array([1.0, 1.31, 2.1, 3.3])
    on, off = (2.0, 4.0) if rng.random() < 0.5 else (0.4, 0.2)

    def part() -> _Wave:
        time = np.arange(round(on * RATE)) / RATE
        ring = sum(np.sin(2 * np.pi * hertz * time) for hertz in partials) * np.exp(-25 * (time % 0.05))
        return np.concatenate([ring, np.zeros(round(off * RATE))])

    return _repeated(seconds, part, rng)


def tones(seconds: float, rng: _Rng) -> Sound:
    """One of all these."""
    kind = int(rng.integers(len(CADENCES) + 6))
    if kind < len(CADENCES):
        return cadence(list(CADENCES)[kind], seconds, rng)
    return (beeps, beeps, keys, modem, sweep, bell)[kind - len(CADENCES)](seconds, rng)


# --- music ------------------------------------------------------------------------------------------------------------


def _harmonics(phase: _Wave, hertz: float, strengths: _Wave) -> _Wave:
    heard = range(1, min(len(strengths), int(7_500 / hertz)) + 1)
    return np.sum([strengths[k - 1] * np.sin(k * phase) for k in heard], axis=0)


def _note(hertz: float, seconds: float, instrument: str, rng: _Rng) -> _Wave:
    time = np.arange(max(320, round(seconds * RATE))) / RATE
    numbers = np.arange(1, 16)
    phase = 2 * np.pi * hertz * time
    swell = np.clip(np.minimum(time / 0.06, (time[-1] - time) / 0.06), 0, 1)
    vibrato = phase + hertz * 0.006 / 5.5 * np.sin(2 * np.pi * 5.5 * time + rng.uniform(0, 6))
    match instrument:
        case "piano":
            decay = np.exp(-time * rng.uniform(1.5, 4))
            return decay * _harmonics(phase, hertz, numbers**-1.3)
        case "organ":
            return swell * _harmonics(phase, hertz, np.isin(numbers, (1, 2, 3, 4, 6, 8)) / numbers)
        case "strings":
            return swell * _harmonics(vibrato, hertz, 1 / numbers)
        case "brass":
            return swell * _harmonics(vibrato, hertz, np.exp(-(((numbers * hertz - 1_200) / 900) ** 2)) + 0.05)
        case "flute":
            return swell * (_harmonics(vibrato, hertz, numbers**-2.5) + 0.03 * rng.standard_normal(time.size))
        case "bell":
            return np.exp(-2 * time) * np.sin(phase + 3 * np.exp(-3 * time) * np.sin(2 * phase))
        case "square":
            return np.clip(swell * 20, 0, 1) * np.sign(np.sin(phase)) * 0.5
        case _:  # a plucked string: each partial dies the faster, the higher it is
            partials = [np.exp(-time * k * 1.2) * np.sin(k * phase) / k for k in numbers if k * hertz < 7_500]
            return np.sum(partials, axis=0)


INSTRUMENTS = ("piano", "organ", "strings", "brass", "flute", "bell", "square", "guitar")


def _drum(kind: str, rng: _Rng) -> _Wave:
    time = np.arange(round(0.3 * RATE)) / RATE
    hiss = rng.standard_normal(time.size)
    if kind == "kick":
        return 2 * np.exp(-18 * time) * np.sin(2 * np.pi * (50 * time + 0.27 * (1 - np.exp(-30 * time))) * 6)
    if kind == "snare":
        return np.exp(-22 * time) * (hiss + 0.5 * np.sin(2 * np.pi * 190 * time))
    return np.exp(-60 * time) * np.diff(hiss, prepend=0) * 0.7


def tune(seconds: float, rng: _Rng) -> Sound:
    """Bars of chords, a melody and drums, or some of them, each on an instrument drawn at random."""
    size = round(seconds * RATE)
    mixed = np.zeros(size)
    beat, root = 60 / rng.uniform(65, 160), rng.uniform(52, 76)
    scale = np.array([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.6 else [0, 2, 3, 5, 7, 8, 10])
    lead, pad = rng.choice(INSTRUMENTS), rng.choice(INSTRUMENTS)
    parts = rng.random(3) < (0.75, 0.8, 0.5)
    if not parts.any():
        parts[:2] = True

    def put(beats: float, wave: _Wave, gain: float) -> None:
        start = round(beats * beat * RATE)
        if start < size:
            mixed[start : start + wave.size] += gain * wave[: size - start]

    def hertz(step: int) -> float:
        return float(440 * 2 ** ((root + scale[step % 7] + 12 * (step // 7) - 69) / 12))

    for bar in range(0, int(seconds / beat) + 1, 4):
        chord = int(rng.choice([0, 3, 4, 5]))
        if parts[0]:
            for step in (0, 2, 4):
                put(bar, _note(hertz(chord + step - 7), 3.9 * beat, pad, rng), 0.25)
        moment = 0.0
        while parts[1] and moment < 4:
            length = float(rng.choice([0.25, 0.5, 0.5, 1, 1, 2]))
            if rng.random() < 0.85:
                put(bar + moment, _note(hertz(int(rng.integers(3, 12))), length * beat, lead, rng), 0.5)
            moment += length
        for half in range(8 if parts[2] else 0):
            put(bar + half / 2, _drum("hat", rng), 0.2)
            if half % 2 == 0:
                put(bar + half / 2, _drum("kick" if half % 4 == 0 else "snare", rng), 0.4)
    return mixed.astype(np.float32)


# --- people who do not speak ------------------------------------------------------------------------------------------


def applause(seconds: float, rng: _Rng) -> Sound:
    """One to a hundred people clap, each at a pace and a pitch of his own."""
    size, clap = round(seconds * RATE), np.arange(480)
    mixed = np.zeros(size + clap.size)
    for _ in range(int(10 ** rng.uniform(0, 2))):
        moment, period, hertz = rng.uniform(0, 0.3), 1 / rng.uniform(3, 5), rng.uniform(700, 2_500)
        strength, decay = rng.exponential(), rng.uniform(40, 120)
        while moment < seconds:
            blow = np.exp(-clap / decay) * rng.standard_normal(clap.size) * np.sin(2 * np.pi * hertz * clap / RATE)
            mixed[int(moment * RATE) : int(moment * RATE) + clap.size] += strength * blow
            moment += max(0.05, rng.normal(period, 0.02))
    return mixed[:size].astype(np.float32)
