import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio_samples import speech
from training.simulation.enhancement import FAMILIES, SUPPRESSORS, suppress
from training.simulation.library import Library
from training.simulation.measures import SAMPLE_RATE, Signal, active_frames, decibel, frame_power
from training.simulation.stage import Materials

NONE = Materials(Path())
EMPTY = Library(Path(), (), (), ())
MILD = {"strength": 0.8, "limit_db": 15.0, "heard_snr_db": 40.0, "warm_up": 8_123}
HARSH = {"strength": 1.6, "limit_db": 45.0, "heard_snr_db": 0.0, "warm_up": 8_123}
every_kind = pytest.mark.parametrize("kind", SUPPRESSORS)


def noisy(snr_db: float) -> tuple[Signal, Signal]:
    """Speech, and the same in white noise so many dB below its mean power."""
    voice = speech()
    noise = np.random.default_rng(1).standard_normal(voice.size) * np.sqrt(np.mean(voice**2)) * 10 ** (-snr_db / 20)
    return voice, (voice + noise).astype(np.float32)


def clean(signal: Signal, kind: str, params: dict[str, float]) -> tuple[Signal, dict[str, float]]:
    cleaned, (degradation,) = suppress(signal, {"kind": kind, **params}, NONE, np.random.default_rng(0))
    assert degradation.name == "noise suppression"
    return cleaned, dict(degradation.measures)


def pause_level(signal: Signal, voice: Signal) -> float:
    """dB of the noise alone: where the voice pauses, away from its edges."""
    active = np.convolve(active_frames(voice), np.ones(7), "same") > 0
    return decibel(float(np.mean(frame_power(signal)[~active])))


@every_kind
def test_noise_falls_by_what_is_reported_and_the_voice_stays(kind: str) -> None:
    """Suppressors fed at a wrong rate or scale, or read with their delay, take speech for noise or leave both; and a
    reduction that is counted from the clip's level, not the voice's."""
    voice, signal = noisy(15)
    cleaned, measures = clean(signal, kind, MILD)
    fell = pause_level(signal, voice) - pause_level(cleaned, voice)
    assert 6 < fell <= 17
    assert measures["reduction_db"] == pytest.approx(fell, abs=2.5)
    assert measures["damage_db"] < 3
    assert measures["lost_share"] < 0.05
    active = active_frames(voice)
    kept = 10 * np.log10(frame_power(cleaned)[active] / frame_power(signal)[active])
    assert np.median(np.abs(kept)) < 1.5


@every_kind
def test_damage_grows_with_severity(kind: str) -> None:
    damages = [clean(speech(), kind, drawn(severity, kind))[1]["damage_db"] for severity in (0.0, 0.4, 0.8)]
    assert damages[0] < 1.5
    assert damages[0] + 1 < damages[1] < damages[2]


def drawn(severity: float, kind: str) -> dict[str, float]:
    """What a family draws, once it draws this kind."""
    rng = np.random.default_rng(0)
    while (params := FAMILIES[0].draw(severity, EMPTY, rng))["kind"] != kind:
        pass
    assert json.loads(json.dumps(params)) == params
    return {name: value for name, value in params.items() if name != "kind"}


def test_reduction_is_against_the_voice_not_against_what_came_in() -> None:
    """A suppressor that takes the voice down with the noise has not lowered the noise by so much."""
    voice, signal = noisy(5)
    cleaned, measures = clean(signal, "webrtc", HARSH)
    fell = pause_level(signal, voice) - pause_level(cleaned, voice)
    assert measures["reduction_db"] == pytest.approx(fell, abs=1.5)


def test_subtraction_warbles_and_a_smoother_does_not() -> None:
    """Musical noise is peaks that come and go where the noise was; a smooth residual is no such thing."""
    _, signal = noisy(5)
    harsh = {**HARSH, "heard_snr_db": 60.0}
    musical = {kind: clean(signal, kind, harsh)[1]["musical_db"] for kind in ("subtraction", "log-spectral")}
    assert musical["subtraction"] > musical["log-spectral"] + 3
    assert musical["subtraction"] > 2


def test_silence_is_left_alone() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    signal, done = suppress(silence, {"kind": "subtraction", **HARSH}, NONE, np.random.default_rng(0))
    assert not done
    assert not signal.any()


def test_frames_begin_anywhere() -> None:
    """Frames that start with the clip tell a listener to the corpus where to look."""
    _, signal = noisy(10)
    first, second = (clean(signal, "webrtc", {**HARSH, "warm_up": warm})[0] for warm in (8_000, 8_077))
    assert first.size == second.size == signal.size
    assert not np.array_equal(first, second)


FINGERPRINT = """
from tests.training.simulation.test_enhancement import fingerprint
print(fingerprint())
"""


def fingerprint() -> str:
    """Of every suppressor's work."""
    _, signal = noisy(10)
    digest = hashlib.sha256()
    for kind in SUPPRESSORS:
        digest.update(clean(signal, kind, HARSH)[0].tobytes())
    return digest.hexdigest()


def test_another_process_gives_the_same_samples() -> None:
    """A suppressor that keeps state between clips, or reads memory that nobody wrote."""
    fresh = subprocess.run([sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True)
    fingerprint()
    assert fingerprint() == fresh.stdout.strip()
