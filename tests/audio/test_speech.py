"""Where somebody speaks, and where not: at any level, on any line, behind any noise; and what is no speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr

from sqe_fast.audio.speech import STEP, ActivityScan, Steps, activity, holds_speech, spoken
from tests.support import not_speech
from tests.support.audio_samples import RATE, SPEECH_FILES, FloatArray, long_speech, music, noise, speech, tone


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def behind(samples: FloatArray, decibel: float) -> FloatArray:
    """With white noise so far below."""
    return samples + noise(len(samples) / RATE, float(np.std(samples)) * 10 ** (-decibel / 20))[: len(samples)]


def muted(samples: FloatArray) -> FloatArray:
    """Noisy, and nothing at all where nobody speaks."""
    power = np.convolve(np.square(samples), np.ones(1_600) / 1_600, "same")
    return behind(samples, 8) * (power > np.quantile(power, 0.3))


def clicks(samples: FloatArray) -> FloatArray:
    clicked = samples.copy()
    clicked[:: 2 * RATE] = 1.0
    return clicked


LINES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "as it is": lambda samples: samples,
    "-70 dBFS": lambda samples: samples * 10**-3.5 / np.float32(np.std(samples)),
    "8 kHz": lambda samples: soxr.resample(soxr.resample(samples, RATE, 8_000), 8_000, RATE),
    "10 dB of noise": lambda samples: behind(samples, 10),
    "clipped": lambda samples: np.clip(samples * 30, -0.5, 0.5),
    "muted pauses": muted,
    "an offset": lambda samples: samples + np.float32(0.1),
    "clicks": clicks,
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("path", [path for path in SPEECH_FILES if "clean" in path.name], ids=lambda path: path.stem)
def test_speech_is_heard_on_any_line(path: object, line: str) -> None:
    """A talker lost because the level is low, the line narrow, or somebody switched the microphone on."""
    samples = speech(path.stem)  # type: ignore[attr-defined]
    steps = activity(LINES[line](samples).astype(np.float32))
    assert len(steps) == -(-len(samples) // STEP)
    assert spoken(steps) > 0.6 * spoken(activity(samples)) > 2


NO_SPEECH: dict[str, FloatArray] = {
    "white": noise(6),
    "faint noise": noise(6, 1e-3),
    "brown": np.cumsum(noise(6, 1e-3)).astype(np.float32) * np.float32(0.1),
    "tone": tone(6),
    "chords": music(6),
    "clicks": clicks(np.zeros(6 * RATE, np.float32)),
    "an offset that is switched": np.repeat(np.float32([0, 0.2, -0.1, 0, 0.3, 0]), RATE),
    "keys": not_speech.keys(6, seeded()),
    "modem": not_speech.modem(6, seeded()),
    "siren": not_speech.sweep(6, seeded()),
    "bell": not_speech.bell(6, seeded()),
    "applause": not_speech.applause(6, seeded()),
    **{f"beeps {seed}": not_speech.beeps(6, seeded(seed)) for seed in range(4)},
    **{f"tune {seed}": not_speech.tune(6, seeded(seed)) for seed in range(4)},
    **{name: not_speech.cadence(name, 6, seeded()) for name in not_speech.CADENCES},
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_nobody_speaks_is_no_speech(name: str) -> None:
    """Beeps rated as lost packets, hold music as a voice in a reverberant room."""
    assert not holds_speech(NO_SPEECH[name] * np.float32(0.3))


def test_a_short_clip_is_not_denied_it() -> None:
    """A word of half a second that the evidence is too little for."""
    assert holds_speech(noise(1.9))
    assert not holds_speech(noise(2.1))


def test_silence_is_no_speech() -> None:
    """Levels counted from nothing: digital silence as loud as can be."""
    assert not activity(np.zeros(3 * RATE, np.float32)).any()
    around = np.pad(speech(), 4 * RATE)
    steps = activity(around)
    assert not steps[: 4 * RATE // STEP].any()
    assert not steps[-4 * RATE // STEP :].any()
    assert steps.any()


@pytest.mark.parametrize("seconds", [0.01, 0.5, 29.99, 30.0, 30.01, 31.0, 61.3])
def test_the_blocks_change_nothing(seconds: float) -> None:
    """A step lost or told twice where two pieces meet; a decision that hangs on where a block ends."""
    samples = long_speech(seconds)

    def scanned(size: int) -> Steps:
        scan = ActivityScan()
        for piece in np.split(samples, list(range(size, len(samples), size))):
            scan.add(piece)
        return scan.finish()

    found = [scanned(size) for size in (7_001, 480_000, len(samples))]
    assert len(found[0]) == -(-len(samples) // STEP)
    assert all((steps == found[0]).all() for steps in found)
    if seconds <= 30:
        assert (found[0] == activity(samples)).all()
    else:  # away from where pieces meet and end, a piece decides as another would
        middle = slice(400, min(len(found[0]), 700))
        shifted = activity(samples[320 * STEP : 320 * STEP + 480_000])
        both = shifted[80:380][: middle.stop - middle.start]
        assert np.mean(both == found[0][middle]) > 0.98
