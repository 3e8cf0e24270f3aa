import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal as dsp

from tests.support.audio_samples import speech
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, signal_to_distortion
from training.simulation.neural_codec import AGES, FAMILIES, HOP, RUNGS, WEIGHTS, Transform, code, draw, neural_codec
from training.simulation.speech_codecs import coding_measures
from training.simulation.stage import Materials

NONE = Materials(Path())
EMPTY = Library(Path(), (), (), ())
VOICES = ("allison_clean", "june_clean")


def distance(age: int, codebooks: int) -> float:
    """dB by which the codec's error is stronger than the voice, mean of two voices."""
    return float(np.mean([-signal_to_distortion(speech(name), code(speech(name), age, codebooks)) for name in VOICES]))


def test_the_transform_is_its_own_inverse() -> None:
    samples = torch.randn(2, 7 * HOP, generator=torch.Generator().manual_seed(0))
    transform = Transform()
    bins = transform(samples)
    assert torch.allclose(transform.inverse(bins), samples, atol=1e-5)
    assert float(bins.square().sum()) == pytest.approx(float(samples.square().sum()), rel=0.05)


def test_more_codebooks_are_nearer_to_the_voice() -> None:
    """Codebooks out of order, or such as say nothing."""
    distances = [distance(AGES[-1], codebooks) for codebooks in (1, 2, 4, 8)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[-1] + 1


def test_an_older_codec_is_nearer_to_the_voice() -> None:
    """Ages mixed up among the weights."""
    distances = [distance(age, 8) for age in AGES]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > distances[-1] + 1


def test_rungs_lead_away_from_the_voice() -> None:
    """The worst codec where the mildest was asked for."""
    distances = np.array([distance(age, codebooks) for age, codebooks in RUNGS])
    assert np.all(np.diff(distances) > -1)
    assert distances[-1] > distances[0] + 5


def test_what_lies_below_the_border_stays() -> None:
    voice = speech()
    params = {"age": AGES[0], "codebooks": 1, "above_hz": 3000.0}
    coded, (degradation,) = neural_codec(voice, params, NONE, np.random.default_rng(0))
    low, high = (dsp.butter(8, hz, kind, fs=SAMPLE_RATE, output="sos") for hz, kind in ((2000, "low"), (4500, "high")))
    assert signal_to_distortion(dsp.sosfilt(low, voice), dsp.sosfilt(low, coded)) > 40
    assert signal_to_distortion(dsp.sosfilt(high, voice), dsp.sosfilt(high, coded)) < 5
    assert degradation.measures == coding_measures(voice, coded)


def test_harm_grows_with_severity() -> None:
    harms = []
    for severity in (0.0, 0.33, 0.66, 1.0):
        params = draw(severity, EMPTY, np.random.default_rng(1))
        assert json.loads(json.dumps(params)) == params
        _, (degradation,) = neural_codec(speech(), params, NONE, np.random.default_rng(0))
        harms.append(degradation.measures["fine_db"] + degradation.measures["spectral_db"])
    assert np.all(np.diff(harms) > 0.3)


def test_frames_begin_anywhere() -> None:
    """Frames that start with the clip tell a listener to the corpus where to look."""
    params = {"age": AGES[-1], "codebooks": 8, "above_hz": 0.0}
    first, again, second = (neural_codec(speech(), params, NONE, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert first.size == speech().size
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)


def test_silence_is_left_alone() -> None:
    params = {"age": AGES[0], "codebooks": 1, "above_hz": 0.0}
    assert neural_codec(np.zeros(SAMPLE_RATE, np.float32), params, NONE, np.random.default_rng(0))[1] == ()


def test_the_weights_are_small() -> None:
    """They are in the repository for good."""
    assert WEIGHTS.stat().st_size < 1.5e6
    assert [family.name for family in FAMILIES] == ["neural codec"]


def fingerprint() -> str:
    return hashlib.sha256(b"".join(code(speech(), age, 3).tobytes() for age in AGES)).hexdigest()


def test_another_process_with_other_threads_gives_the_same_samples() -> None:
    """Sums that depend on how many threads share them."""
    program = (
        "import torch; torch.set_num_threads(2);"
        "from tests.training.simulation.test_neural_codec import fingerprint; print(fingerprint())"
    )
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert fingerprint() == fresh.stdout.strip()
