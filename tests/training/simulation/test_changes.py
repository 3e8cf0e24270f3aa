"""Changes that nobody hears, and their audible twins."""

import numpy as np
import pytest
from scipy import signal as dsp

from training.simulation.changes import LOUDEST, PAIRS, unheard
from training.simulation.measures import SAMPLE_RATE, Signal, active_level, signal_to_distortion, spectral_distance


def voice() -> Signal:
    """Three seconds that measures take for speech: a tone complex in syllables, with pauses."""
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None) * (np.sin(2 * np.pi * 0.7 * time) > -0.6)
    tones = sum(np.sin(2 * np.pi * 140 * k * time + k) / k for k in range(1, 40))
    return (0.08 * syllables * tones).astype(np.float32)


@pytest.mark.parametrize("name", PAIRS)
def test_a_change_repeats_with_its_generator_and_stays_within_full_scale(name: str) -> None:
    """A change that draws from elsewhere is another one in every run; one that clips is audible."""
    loud = voice() / np.abs(voice()).max() * np.float32(LOUDEST)
    for change in (PAIRS[name].inaudible, PAIRS[name].twin):
        first, second = (change(loud, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(first, second)
        assert first.dtype == np.float32
        assert np.abs(first).max() <= 1.0
        assert not np.array_equal(first[: loud.size], loud[: first.size])


@pytest.mark.parametrize("name", PAIRS)
def test_the_inaudible_one_leaves_what_its_twin_takes(name: str) -> None:
    """Where both did as much, or as little, a table of the two says nothing."""
    speech = voice()
    quiet, loud = (change(speech, np.random.default_rng(5)) for change in (PAIRS[name].inaudible, PAIRS[name].twin))
    lead = int(np.argmax(np.abs(dsp.correlate(quiet, speech, method="fft")))) - speech.size + 1
    still = quiet[lead : lead + speech.size]
    reference = speech[: still.size] * np.sign(float(still @ speech[: still.size]))
    kept = still - still.mean()
    assert signal_to_distortion(reference, kept) > 30
    torn, dull = signal_to_distortion(speech, loud) < 25, spectral_distance(speech, loud) > 2
    assert torn or dull or active_level(loud) < active_level(speech) - 20


def test_training_hears_a_clip_otherwise_every_time_and_as_long_as_it_is() -> None:
    """A prompt counts the audio tokens from the length that the row states."""
    speech = voice()
    heard = [unheard(speech, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.size == speech.size for one in heard)
    assert len({one.tobytes() for one in heard}) > 5
