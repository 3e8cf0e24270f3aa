import numpy as np
import pytest
import pyworld

from tests.support.speech import SAMPLE_RATE, talk
from tests.training.simulation.test_speech_codecs import NO_LIBRARY, NONE, syllables
from training.simulation.measures import Signal, active_level
from training.simulation.pitch import AUDIBLE, draw, pitch

KINDS = ["formants moved", "formants kept"]


def fundamental(speech: Signal) -> float:
    """Median pitch, Hz."""
    found = pyworld.dio(speech.astype(np.float64), SAMPLE_RATE, f0_floor=50)[0]
    return float(np.median(found[found > 0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("semitones", [-7.0, -1.5, 1.5, 5.0])
def test_the_pitch_moves_by_what_is_recorded_and_nothing_else_does(kind: str, semitones: float) -> None:
    """A voice that is faster where it is higher, or moved the other way."""
    speech = talk(2.5)
    moved, (degradation, *_) = pitch(speech, {"kind": kind, "semitones": semitones}, NONE, np.random.default_rng(0))
    assert 12 * np.log2(fundamental(moved) / fundamental(speech)) == pytest.approx(semitones, abs=0.4)
    assert moved.size == speech.size
    assert np.corrcoef(syllables(moved), syllables(speech))[0, 1] > 0.8
    assert active_level(moved) == pytest.approx(active_level(speech), abs=0.5)
    assert degradation.name == "altered pitch"
    assert degradation.measures["semitones"] == semitones


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_that_nobody_hears_is_not_recorded(kind: str) -> None:
    _, degradations = pitch(talk(2.5), {"kind": kind, "semitones": AUDIBLE / 2}, NONE, np.random.default_rng(0))
    assert "altered pitch" not in [degradation.name for degradation in degradations]


def test_what_a_vocoder_does_to_a_voice_is_told_from_what_the_pitch_does() -> None:
    """A voice resynthesised and hardly moved, of which nothing is recorded."""
    rng = np.random.default_rng(0)
    names = [[d.name for d in pitch(talk(2.5), {"kind": kind, "semitones": 4.0}, NONE, rng)[1]] for kind in KINDS]
    assert names == [["altered pitch"], ["altered pitch", "robotic voice"]]


def test_only_one_kind_moves_the_formants() -> None:
    """The upper edge of the spectrum, an octave higher or where it was."""
    speech = talk(2.5)
    power = []
    for kind in KINDS:
        moved, _ = pitch(speech, {"kind": kind, "semitones": -8.0}, NONE, np.random.default_rng(0))
        spectrum = np.abs(np.fft.rfft(moved)) ** 2
        hertz = np.fft.rfftfreq(moved.size, 1 / SAMPLE_RATE)
        power.append(spectrum[hertz > 5500].sum() / spectrum.sum())
    assert power[0] < 0.05 * power[1]


def test_draws_go_both_ways_and_farther_where_severer() -> None:
    rng = np.random.default_rng(0)
    moves = {s: [draw(s, NO_LIBRARY, rng)["semitones"] for _ in range(40)] for s in (0.0, 0.5, 1.0)}
    assert {draw(0.2, NO_LIBRARY, rng)["kind"] for _ in range(40)} == {"formants moved"}
    assert {draw(0.6, NO_LIBRARY, rng)["kind"] for _ in range(40)} == set(KINDS)
    assert min(moves[1.0]) == -8
    assert max(moves[1.0]) == 8
    assert all(abs(move) == pytest.approx(3.0) for move in moves[0.5])
