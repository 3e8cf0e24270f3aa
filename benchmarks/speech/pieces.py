"""What the detector of speech learns from: pieces of calls, and in which steps of them somebody speaks.

Speech, rooms, noises and codecs are those of the simulation's training split; music is made. Calls are put together
of talk, pauses and sounds that are no speech, at any level, behind any noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp
from scipy.ndimage import binary_closing

from benchmarks.speech import band
from sqe_fast.audio.speech import FRAMES, STEP
from tests.support import not_speech
from training.simulation.library import Library
from training.simulation.made_noises import MADE
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.speech_codecs import CODECS, through
from training.simulation.stage import Materials, to_level
from training.simulation.vocoders import world

Rng = np.random.Generator
Mask = npt.NDArray[np.bool_]
SECONDS = 12.0
SIZE = round(SECONDS * SAMPLE_RATE) // STEP * STEP
FRAME = STEP // FRAMES
PEOPLE = ("voices", "crying child")
"""Causes of noise that hold voices: behind a talker only."""
_HANGOVER = 20
"""Frames of 10 ms: a gap in active speech that is no pause (ITU-T P.56)."""


@dataclass
class Sounds:
    """Where talk, noise and music come from."""

    lib: Library
    rng: Rng
    songs: int = 200
    """How many there are of each of two kinds of music, of 20 s each."""

    @property
    def materials(self) -> Materials:
        return Materials(self.lib.root)

    def talk(self, size: int) -> Signal:
        """One talker, clean."""
        first = self.lib.draw_speech(self.rng)
        files = [each.file for each in self.lib.talkers[first.speaker]]
        samples = self.materials.speech(first.file)
        while len(samples) < size:
            another = self.materials.speech(files[int(self.rng.integers(len(files)))])
            samples = np.concatenate([samples, to_level(another, active_level(samples))])
        return self._excerpt(samples, size)

    def spoken(self, size: int) -> tuple[Signal, Mask]:
        """`talk` in a room, whispered, through a vocoder, or as it is; and in which frames of 10 ms."""
        clean = self.talk(size)
        active = active_frames(clean)
        kind = self.rng.random()
        if kind < 0.2 and (room := self.lib.draw_room(self.rng)) is not None:
            response = self.materials.room(room.file)[:SAMPLE_RATE]
            active = np.convolve(active, np.ones(12))[: len(active)] > 0  # it rings on
            return dsp.fftconvolve(clean, response)[:size].astype(np.float32), active
        if kind < 0.25:
            return whispered(clean), active
        if kind < 0.3:
            wander, ratio = self.rng.uniform(0.2, 1.5), self.rng.uniform(0.7, 1.5)
            params = {"frame_ms": 5.0, "bands": 20, "breath": 0.3, "wander": wander, "ratio": ratio, "jitter": 0.02}
            return _as_long(world(clean.astype(np.float64), params, self.rng), size), active
        return clean, active

    def noise(self, size: int, *, people: bool) -> Signal:
        """Recorded or made; with `people`, of voices, too."""
        if self.rng.random() < 0.35:
            made = list(MADE.values())
            return made[int(self.rng.integers(len(made)))].make(size, self.rng).astype(np.float32)
        causes = sorted(cause for cause in self.lib.causes if people or cause not in PEOPLE)
        drawn = self.lib.draw_noise(causes[int(self.rng.integers(len(causes)))], self.rng)
        return self._excerpt(self.materials.noise(drawn.file), size)

    @cached_property
    def recorded(self) -> Signal:
        """Music on recorded instruments."""
        return band.play(self.songs, 20.0, self.rng)

    @cached_property
    def computed(self) -> Signal:
        """Music on instruments made by rule."""
        return np.concatenate([not_speech.tune(20.0, self.rng) for _ in range(self.songs)])

    def music(self, size: int) -> Signal:
        return self._excerpt(self.recorded if self.rng.random() < 0.7 else self.computed, size)

    def not_speech(self, size: int) -> Signal:
        kind = self.rng.random()
        seconds = size / SAMPLE_RATE
        if kind < 0.45:
            sound = self.music(size)
        elif kind < 0.65:
            sound = not_speech.tones(seconds, self.rng)
        elif kind < 0.68:
            sound = not_speech.applause(seconds, self.rng)
        else:
            sound = self.noise(size, people=False)
        return colored(sound, self.rng) if self.rng.random() < 0.3 else sound

    def _excerpt(self, samples: Signal, size: int) -> Signal:
        if len(samples) < size:
            samples = np.resize(samples, size)
        start = int(self.rng.integers(len(samples) - size + 1))
        return samples[start : start + size]


def piece(sounds: Sounds) -> tuple[npt.NDArray[np.int16], Mask]:
    """Samples [SIZE], and in which steps [SIZE / STEP] somebody speaks."""
    rng = sounds.rng
    call, active = _put_together(sounds)
    level = active_level(call) if call.any() else -40.0
    kind = rng.random()
    if kind < 0.5:
        noise = sounds.noise(SIZE, people=rng.random() < 0.2)
        call = call + at_rms(noise, level - rng.uniform(-7, 30))
    elif kind < 0.65:
        call = call + at_rms(rng.standard_normal(SIZE), level - rng.uniform(20, 60))
    sent = _sent(_gated(call, rng), rng)
    samples: npt.NDArray[np.int16] = np.round(np.clip(sent, -1, 1) * 32_767).astype(np.int16)
    return samples, active.reshape(-1, FRAMES).mean(1) >= 0.5


def _put_together(sounds: Sounds) -> tuple[Signal, Mask]:
    """Talk, pauses and other sounds, one after another; in four of ten pieces nobody speaks."""
    rng = sounds.rng
    call, active = np.zeros(SIZE, np.float32), np.zeros(SIZE // FRAME, bool)
    talks, moment = rng.random() < 0.6, 0
    while SIZE - moment >= FRAME * 20:
        seconds = SECONDS if rng.random() < 0.3 else rng.uniform(0.5, 6)
        size = min(round(seconds * SAMPLE_RATE), SIZE - moment) // FRAME * FRAME
        span = slice(moment, moment + size)
        if talks and rng.random() < 0.7:
            speech, spoken = sounds.spoken(size)
            speech = to_level(speech, rng.uniform(-45, -15))
            if rng.random() < 0.12:  # over something that is no speech
                speech = speech + at_rms(sounds.not_speech(size), active_level(speech) - rng.uniform(-3, 20))
            call[span], active[moment // FRAME : (moment + size) // FRAME] = speech, spoken
        else:
            call[span] = at_rms(sounds.not_speech(size), rng.uniform(-50, -12))
        moment += size
        if rng.random() < 0.6:
            moment += round(rng.uniform(0.1, 2.5) * SAMPLE_RATE) // FRAME * FRAME
    return call, active


def _gated(call: Signal, rng: Rng) -> Signal:
    """One in ten is muted where it is quiet."""
    if rng.random() > 0.1:
        return call
    power = np.convolve(np.square(call), np.ones(1_600) / 1_600, "same")
    return call * (power > np.quantile(power, rng.uniform(0.1, 0.4)))


def _sent(call: Signal, rng: Rng) -> Signal:
    """Codecs, a band, lost packets, clipping, a level, an offset, clicks: each in some."""
    if rng.random() < 0.3:
        codec = CODECS[list(CODECS)[int(rng.integers(len(CODECS)))]]
        call = through(call.astype(np.float32), codec, int(rng.choice(list(codec.rated))), rng)
    elif rng.random() < 0.2:
        call = colored(call, rng)
    if rng.random() < 0.08:
        lost = rng.random(-(-len(call) // 320)) < rng.uniform(0.05, 0.4)
        call = np.where(np.repeat(lost, 320)[: len(call)], 0, call)
    if rng.random() < 0.08:
        ceiling = rng.uniform(0.02, 0.3) * np.abs(call).max()
        call = np.clip(call, -ceiling, ceiling)
    call = call * 10 ** (rng.uniform(-25, 5) / 20) * (10**-1.5 if rng.random() < 0.1 else 1)
    if rng.random() < 0.05:
        call = call + rng.uniform(-0.1, 0.1)
    if rng.random() < 0.05:
        call = call.copy()
        call[rng.integers(len(call), size=4)] += 0.7
    return call


def active_frames(clean: Signal) -> Mask:
    """Frames of 10 ms of clean speech that are active: within 27 dB of the loudest, 6 dB above the recording's own
    floor, gaps of up to 0.2 s closed."""
    power = np.square(clean[: len(clean) // FRAME * FRAME].reshape(-1, FRAME), dtype=np.float64).mean(1)
    power = np.convolve(power, np.ones(3) / 3, "same")
    active = (power > np.quantile(power, 0.95) * 10**-2.7) & (power > np.quantile(power, 0.05) * 10**0.6)
    active = np.convolve(active, np.ones(3), "same") >= 2
    closed: Mask = binary_closing(np.pad(active, _HANGOVER), np.ones(_HANGOVER + 1))[_HANGOVER:-_HANGOVER]
    return closed


def whispered(speech: Signal) -> Signal:
    """The voice's pulses replaced by noise, brighter."""
    import pyworld

    wave = speech.astype(np.float64)
    pitch, times = pyworld.dio(wave, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(wave, pitch, times, SAMPLE_RATE)
    breath = np.ones_like(envelope)
    built = pyworld.synthesize(np.zeros_like(pitch), envelope, breath, SAMPLE_RATE)
    return _as_long(dsp.lfilter([1, -0.85], [1], built), len(speech))


def colored(sound: Signal, rng: Rng) -> Signal:
    """Through a band that is narrower than the whole."""
    edges = rng.uniform(60, 400), rng.uniform(2_500, 7_500)
    filtered: Signal = dsp.sosfilt(dsp.butter(2, edges, "band", fs=SAMPLE_RATE, output="sos"), sound)
    return filtered.astype(np.float32)


def at_rms(sound: npt.NDArray[np.floating], level_db: float) -> Signal:
    """At so many dB of full scale; silence stays silence."""
    power = float(np.mean(np.square(sound, dtype=np.float64)))
    return (sound * 10 ** (level_db / 20) / max(power, 1e-12) ** 0.5).astype(np.float32)


def _as_long(samples: npt.NDArray[np.floating], size: int) -> Signal:
    return np.pad(samples[:size], (0, max(0, size - len(samples)))).astype(np.float32)
