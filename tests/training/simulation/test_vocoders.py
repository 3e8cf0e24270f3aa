import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.support.speech import SAMPLE_RATE, talk
from tests.training.simulation.test_speech_codecs import NO_LIBRARY, NONE, syllables
from training.simulation.measures import active_level
from training.simulation.speech_codecs import CODECS, Codec, through
from training.simulation.stage import Degradation
from training.simulation.vocoders import CODEC2, DRAWS, VOCODERS, draw, vocoder

KINDS = list(DRAWS)


def at(kind: str, severity: float, seed: int = 0) -> tuple[np.ndarray, tuple[Degradation, ...]]:
    rng = np.random.default_rng(seed)
    params = {"kind": kind, **DRAWS[kind][2](severity, rng)}
    return vocoder(talk(2.5), params, NONE, rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", [0.3, 1.0])
def test_syllables_stay_where_they_were(kind: str, severity: float) -> None:
    """A voice that comes late, too short, or louder than it was."""
    built, _ = at(kind, severity)
    speech = talk(2.5)
    assert built.size == speech.size
    assert active_level(built) == pytest.approx(active_level(speech), abs=0.5)
    here, later = (
        np.corrcoef(syllables(np.roll(built, lag)), syllables(speech))[0, 1] for lag in (0, -SAMPLE_RATE // 20)
    )
    assert here > max(later, 0.75)


@pytest.mark.parametrize("kind", KINDS)
def test_severity_grows_what_is_measured(kind: str) -> None:
    """Knots in the wrong order."""
    measures = [at(kind, severity)[1][0].measures for severity in (max(DRAWS[kind][1], 0.05), 0.5, 1.0)]
    fine = [m["fine_db"] + 0.5 * m["spectral_db"] + 18 * m["voicing"] for m in measures]
    assert fine == sorted(fine)
    assert fine[-1] > fine[0] + 0.3


@pytest.mark.parametrize("kind", ["world", "griffin-lim", "lpc"])
def test_the_mildest_leaves_the_lower_band_alone(kind: str) -> None:
    speech = talk(2.5)
    built, (degradation,) = at(kind, 0.0)
    gain = float(built @ speech) / float(speech @ speech)
    spectrum, error = (np.abs(np.fft.rfft(x)) ** 2 for x in (speech, built - gain * speech))
    low = np.fft.rfftfreq(speech.size, 1 / SAMPLE_RATE) < 3000
    assert error[low].sum() < 1e-3 * spectrum[low].sum()
    assert error[~low].sum() > 1e-2 * spectrum[~low].sum()
    assert degradation.name == "robotic voice"


def test_codec2_is_heard_in_a_telephone_band_and_says_so() -> None:
    built, (voice, band) = at("codec2", 0.6)
    assert (voice.name, voice.kind, band.name) == ("robotic voice", "codec2", "telephone band")
    power = np.abs(np.fft.rfft(built)) ** 2
    hertz = np.fft.rfftfreq(built.size, 1 / SAMPLE_RATE)
    assert power[hertz > 4500].mean() < 1e-4 * power[(hertz > 300) & (hertz < 3000)].mean()


@pytest.mark.parametrize("codec", [*CODECS.values(), *CODEC2.values()], ids=[*CODECS, *map(str, CODEC2)])
def test_a_codec_knows_nothing_of_the_clip_before(codec: Codec) -> None:
    """Codec 2 draws phases from a generator of the whole process: a clip came out otherwise after every other one."""
    first, other, again = (
        through(talk(1.0, seed=seed), codec, min(codec.rated), np.random.default_rng(0)) for seed in (0, 1, 0)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("bit_rate", CODEC2)
def test_codec2_is_aligned_at_every_rate(bit_rate: int) -> None:
    """Each mode has a delay of its own."""
    params = {"kind": "codec2", "bit_rate": bit_rate, "band": {"low_hz": 200.0, "high_hz": 3600.0}}
    built, speech = vocoder(talk(8.0), params, NONE, np.random.default_rng(0))[0], talk(8.0)
    lags = np.arange(-800, 801, 80)
    likeness = [np.corrcoef(syllables(np.roll(built, lag)), syllables(speech))[0, 1] for lag in lags]
    assert abs(int(lags[int(np.argmax(likeness))])) <= 240


def test_a_monotone_voice_keeps_no_melody() -> None:
    """The source that was drawn reaches the excitation."""
    params: dict[str, Any] = {"above_hz": 0.0, "frame_ms": 10.0, "order": 20}
    built = {
        source: vocoder(talk(2.5), {"kind": "lpc", "source": source, **params}, NONE, np.random.default_rng(0))[1][0]
        for source in ("pitch", "monotone", "whisper")
    }
    assert built["whisper"].measures["voicing"] > built["monotone"].measures["voicing"] + 0.1
    assert built["monotone"].measures["fine_db"] > built["pitch"].measures["fine_db"]


@pytest.mark.parametrize("kind", KINDS)
def test_silence_is_passed_on(kind: str) -> None:
    params = {"kind": kind, **DRAWS[kind][2](0.7, np.random.default_rng(0))}
    silence = np.zeros(SAMPLE_RATE, np.float32)
    built, degradations = vocoder(silence, params, NONE, np.random.default_rng(0))
    assert not built.any()
    assert degradations == ()


def test_every_kind_is_drawn_where_it_can_be_had() -> None:
    rng = np.random.default_rng(0)
    assert {draw(0.1, NO_LIBRARY, rng)["kind"] for _ in range(200)} == set(VOCODERS)
    assert {draw(0.8, NO_LIBRARY, rng)["kind"] for _ in range(200)} == set(DRAWS)


EVERY_VOCODER = """
import hashlib, numpy as np
from training.simulation.vocoders import DRAWS, vocoder
for kind in DRAWS:
    rng = np.random.default_rng(0)
    speech = (0.1 * np.sin(np.arange(32000) / 30) * rng.standard_normal(32000)).astype(np.float32)
    built, _ = vocoder(speech, {"kind": kind, **DRAWS[kind][2](0.6, rng)}, None, rng)
    print(kind, hashlib.sha256(built.tobytes()).hexdigest())
"""


def test_another_process_builds_the_same_samples() -> None:
    """Noise that a library draws from a generator of its own."""
    here = subprocess.run([sys.executable, "-c", EVERY_VOCODER], check=True, capture_output=True, text=True).stdout
    backwards = EVERY_VOCODER.replace("in DRAWS", "in list(DRAWS)[::-1]")
    there = subprocess.run([sys.executable, "-c", backwards], check=True, capture_output=True, text=True).stdout
    assert sorted(here.splitlines()) == sorted(there.splitlines())
    assert len(here.splitlines()) == len(KINDS)
