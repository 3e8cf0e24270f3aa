"""What a detector of speech is measured on: windows of 5 s, kind by kind; none of it is heard in `fit`.

Talkers, noises and rooms are those of the simulation's test split; music and effects come from folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy import signal as dsp

from benchmarks.speech.pieces import PEOPLE, Rng, Sounds, at_rms, colored, whispered
from tests.support import not_speech
from training.corpora.corpus import make_clip
from training.simulation.library import open_library
from training.simulation.made_noises import MADE
from training.simulation.measures import SAMPLE_RATE, Signal, active_level
from training.simulation.speech_codecs import CODECS, through
from training.simulation.stage import to_level

SECONDS = 5.0
SIZE = round(SECONDS * SAMPLE_RATE)
Kind = Callable[[], Signal]


def speech(data: Path, rng: Rng) -> dict[str, Kind]:
    """Kinds that hold speech; each call draws another window."""
    sounds = Sounds(open_library(data, "test"), rng)
    languages = {each.language for each in open_library(data, "train").speech} - {"en"}

    def talk() -> Signal:
        return to_level(sounds.talk(SIZE), rng.uniform(-36, -20))

    def behind(noise: Callable[[], Signal], decibel: float) -> Kind:
        def mixed() -> Signal:
            said = talk()
            return said + at_rms(noise(), active_level(said) - decibel)

        return mixed

    def noise() -> Signal:
        return sounds.noise(SIZE, people=True)

    def coded(name: str, bit_rate: int) -> Kind:
        return lambda: through(talk(), CODECS[name], bit_rate, rng)

    def room() -> Signal:
        response = sounds.lib.draw_room(rng)
        assert response is not None
        return to_level(dsp.fftconvolve(talk(), sounds.materials.room(response.file))[:SIZE], -26)

    def lost() -> Signal:
        return np.where(np.repeat(rng.random(SIZE // 320) < 0.3, 320), 0, talk()).astype(np.float32)

    def muted() -> Signal:
        said, floor = talk(), noise()
        power = np.convolve(np.square(said), np.ones(1_600) / 1_600, "same")
        noisy = said + at_rms(floor, active_level(said) - 8)
        return (noisy * (power > np.quantile(power, 0.4))).astype(np.float32)

    def clicks() -> Signal:
        said = talk() + np.float32(0.1)
        said[rng.integers(SIZE, size=3)] += 0.8
        return said

    def word() -> Signal:
        """The second in which most is said, in a silent room."""
        said = talk()
        start = int(np.convolve(np.square(said), np.ones(SAMPLE_RATE), "valid").argmax())
        quiet = at_rms(rng.standard_normal(SIZE), active_level(said) - 40)
        place = int(rng.integers(SIZE - SAMPLE_RATE))
        quiet[place : place + SAMPLE_RATE] += said[start : start + SAMPLE_RATE]
        return quiet

    calls = (make_clip(data, "test", index)[0] for index in range(10**6))

    def call() -> Signal:
        return next(call for call in calls if len(call) >= 3 * SAMPLE_RATE)[:SIZE]

    def of(language: str) -> Kind:
        split = "test" if any(each.language == language for each in sounds.lib.speech) else "train"
        lib = open_library(data, split)
        some = replace(lib, speech=tuple(each for each in lib.speech if each.language == language))
        return lambda: Sounds(some, rng).talk(SIZE)

    return {
        "clean": talk,
        **{f"language: {language}": of(language) for language in sorted(languages)},
        **{f"noise, {decibel} dB": behind(noise, decibel) for decibel in (20, 10, 5, 0, -5)},
        "babble of six, 5 dB": behind(lambda: babble(sounds, 6), 5),
        "music, 5 dB": behind(lambda: not_speech.tune(SECONDS, rng), 5),
        "G.711, 8 kHz": coded("g711-mu", 64_000),
        "GSM": coded("gsm", 13_200),
        "AMR, 4.75 kb/s": coded("amr-nb", 4_750),
        "Opus, 6 kb/s": coded("opus", 6_000),
        "in a room": room,
        "30 % of packets lost": lost,
        "clipped by 30 dB": lambda: np.clip(talk() * 10, -0.5, 0.5),
        "whispered": lambda: to_level(whispered(talk()), -32),
        "-60 dB": lambda: _in_16_bits(to_level(talk(), -60)),
        "-72 dB": lambda: _in_16_bits(to_level(talk(), -72)),
        "muted pauses": muted,
        "an offset, clicks": clicks,
        "one second of it": word,
        "simulated calls": call,
    }


def other(data: Path, music: Sequence[Path], effects: Sequence[Path], rng: Rng) -> dict[str, Kind]:
    """Kinds in which nobody speaks."""
    sounds = Sounds(open_library(data, "test"), rng)
    songs = [samples for folder in music for samples in _files(folder)]
    heard = [samples for folder in effects for samples in _files(folder)]

    def noise(cause: str) -> Kind:
        return lambda: _excerpt(sounds.materials.noise(sounds.lib.draw_noise(cause, rng).file), rng)

    def made() -> Signal:
        return at_rms(list(MADE.values())[int(rng.integers(len(MADE)))].make(SIZE, rng), rng.uniform(-50, -20))

    def comfort() -> Signal:
        return colored(at_rms(rng.standard_normal(SIZE), rng.uniform(-70, -45)), rng)

    def song() -> Signal:
        return _excerpt(songs[int(rng.integers(len(songs)))], rng)

    def effect() -> Signal:
        return _excerpt(heard[int(rng.integers(len(heard)))], rng)

    def tones() -> Signal:
        return at_rms(not_speech.tones(SECONDS, rng), rng.uniform(-30, -12))

    def sent(kind: Kind, name: str, bit_rate: int) -> Kind:
        return lambda: through(kind(), CODECS[name], bit_rate, rng)

    recorded = {"music, recorded": song, "the same through GSM": sent(song, "gsm", 13_200)} if songs else {}
    return {
        **{f"noise: {cause}": noise(cause) for cause in sorted(sounds.lib.causes - {*PEOPLE})},
        "noise made by rule": made,
        "comfort noise": comfort,
        "tones, beeps, keys": tones,
        "the same through G.711": sent(tones, "g711-mu", 64_000),
        **recorded,
        "music made by rule": lambda: at_rms(not_speech.tune(SECONDS, rng), -26),
        "applause": lambda: at_rms(not_speech.applause(SECONDS, rng), -26),
        **({"sound effects": effect} if heard else {}),
        "crying child": noise("crying child"),
        "babble of eight": lambda: at_rms(babble(sounds, 8), -26),
    }


def babble(sounds: Sounds, talkers: int) -> Signal:
    return np.sum([to_level(sounds.talk(SIZE), -26) for _ in range(talkers)], axis=0).astype(np.float32)


def _in_16_bits(samples: Signal) -> Signal:
    return (np.round(samples * 32_767) / 32_767).astype(np.float32)


def _files(folder: Path) -> Iterator[Signal]:
    """What sounds in a folder, at most two minutes of each file."""
    for path in sorted(each for each in folder.rglob("*") if each.suffix in {".wav", ".ogg", ".flac", ".mp3"}):
        with soundfile.SoundFile(path) as file:
            samples = file.read(120 * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)
            resampled = soxr.resample(samples, file.samplerate, SAMPLE_RATE)
        if len(resampled) > SAMPLE_RATE and np.abs(resampled).max() > 1e-3:
            yield resampled


def _excerpt(samples: Signal, rng: Rng) -> Signal:
    """Repeated where it is shorter; loud enough to be heard."""
    samples = np.resize(samples, max(SIZE, len(samples)))
    while True:
        start = int(rng.integers(len(samples) - SIZE + 1))
        if np.std(excerpt := samples[start : start + SIZE]) > 3e-4 or len(samples) == SIZE:
            return excerpt
