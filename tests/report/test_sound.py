"""What is seen and carried of a recording: at its place, at its height, and bit for bit what the model hears."""

from __future__ import annotations

import base64
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sqe_fast.report.sound import BINS, carried, opened, waveform
from tests.support.audio_samples import RATE, speech


def wav(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE)
    return path


def decoded(flac: str) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(flac)), dtype="int16")
    assert rate == RATE
    return np.asarray(samples)


def test_peaks_stand_where_the_sound_is(tmp_path: Path) -> None:
    samples = np.zeros(RATE * 4)
    samples[RATE : RATE + 100] = 0.1
    samples[3 * RATE] = -0.5
    wave = waveform(opened(wav(tmp_path / "a.wav", samples), None))
    assert len(wave.peaks) == BINS
    assert {place: peak for place, peak in enumerate(wave.peaks) if peak} == {100: 20, 300: 100}
    assert wave.peak_db == pytest.approx(-6.0, abs=0.1)


@pytest.mark.parametrize("seconds", [0.4, 5.0, 29.99, 31.0, 95.5])
def test_every_sample_has_its_column(tmp_path: Path, seconds: float) -> None:
    """Against columns that are cut from the whole, whatever the blocks."""
    samples = np.resize(speech(), round(seconds * RATE))
    wave = waveform(opened(wav(tmp_path / "a.wav", samples), None))
    whole, _ = soundfile.read(tmp_path / "a.wav")
    edges = np.linspace(0, len(whole), BINS + 1).round().astype(int)
    peaks = np.array([np.abs(whole[a:b]).max() for a, b in pairwise(edges)])
    assert wave.peaks == np.ceil((100 * peaks / peaks.max()).astype(np.float32)).astype(int).tolist()


def test_digital_silence_is_a_flat_line(tmp_path: Path) -> None:
    wave = waveform(opened(wav(tmp_path / "a.wav", np.zeros(RATE)), None))
    assert (max(wave.peaks), wave.peak_db) == (0, None)


def test_a_row_of_a_channel_shows_that_channel(tmp_path: Path) -> None:
    left, right = np.zeros(2 * RATE), np.zeros(2 * RATE)
    left[100], right[:] = 0.5, np.resize(speech(), 2 * RATE)
    path = wav(tmp_path / "a.wav", np.stack([left, right], 1))
    assert sum(peak > 0 for peak in waveform(opened(path, 0)).peaks) == 1
    assert sum(peak > 0 for peak in waveform(opened(path, 1)).peaks) > 100


def test_a_short_recording_is_carried_whole_and_without_loss(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", speech())
    part = carried(opened(path, None), (1.0, 2.0))
    whole, _ = soundfile.read(path, dtype="int16")
    assert (part.start, part.end) == (0.0, pytest.approx(len(whole) / RATE, abs=1e-3))
    assert np.abs(decoded(part.flac).astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    ("around", "start"), [(None, 0.0), ((50.0, 55.0), 37.5), ((0.0, 5.0), 0.0), ((98.0, 100.0), 70.0)]
)
def test_of_a_long_one_30_s_around_the_worst(tmp_path: Path, around: tuple[float, float] | None, start: float) -> None:
    ramp = np.linspace(-0.9, 0.9, 100 * RATE)
    part = carried(opened(wav(tmp_path / "a.wav", ramp), None), around)
    assert (part.start, part.end) == (start, start + 30.0)
    expected = np.round(32_768 * ramp[round(start * RATE) : round((start + 30) * RATE)])
    assert np.abs(decoded(part.flac) - expected).max() <= 1
