"""Decoding, mixing, resampling and windows: the samples that a model hears."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from sqe_fast.audio import decoders, recording, sources
from sqe_fast.audio.recording import Limits, Recording, load
from tests.support.audio_samples import (
    EXAMPLES,
    RATE,
    SPEECH_FILES,
    FloatArray,
    encoded,
    flags_of,
    long_speech,
    music,
    noise,
    pcm16,
    speech,
    to_the_edge,
    tone,
    wav_header,
)


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


def rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# --- what comes in ---------------------------------------------------------------------------------------------------


def test_a_16_khz_mono_file_comes_through_bit_for_bit(tmp_path: Path) -> None:
    samples = to_the_edge(speech())
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(samples, subtype="FLOAT"))
    recording = load(path)
    [clip] = recording.windows()
    assert np.array_equal(clip.samples, samples)
    assert clip.digest == hashlib.sha256(samples.tobytes()).hexdigest()
    assert (recording.name, recording.source_rate, recording.flags) == (str(path), RATE, ())
    assert recording.duration == clip.duration == len(samples) / RATE


def test_every_kind_of_source_gives_the_same_clip(tmp_path: Path) -> None:
    samples = speech()
    data = encoded(samples, subtype="FLOAT")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    used = io.BytesIO(data)
    used.seek(0, io.SEEK_END)  # as just written: read from the beginning all the same
    sources: list[Any] = [path, str(path), data, bytearray(data), used, path.open("rb"), (samples, RATE)]
    digests = {clip.digest for source in sources for clip in load(source).windows()}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("file_format", "subtype", "loss"),
    [("WAV", "PCM_16", 1e-4), ("WAV", "PCM_24", 1e-6), ("FLAC", "PCM_16", 1e-4), ("AIFF", "PCM_16", 1e-4)],
)
def test_lossless_formats(file_format: str, subtype: str, loss: float) -> None:
    samples = speech()
    recording = load(encoded(samples, file_format=file_format, subtype=subtype))
    assert np.abs(heard(recording) - samples).max() < loss
    assert recording.flags == ()


@pytest.mark.parametrize(
    ("file_format", "subtype", "rate"),
    [("OGG", "VORBIS", 16_000), ("OGG", "OPUS", 48_000), ("MP3", "MPEG_LAYER_III", 16_000)],
)
def test_lossy_formats_keep_the_speech(file_format: str, subtype: str, rate: int) -> None:
    """Correlation, so that a flipped sign or a lost second would show."""
    samples = speech()
    source = soxr.resample(samples, RATE, rate)
    recording = load(encoded(source, rate, file_format, subtype))
    got = heard(recording)
    assert recording.flags == ()
    assert abs(len(got) - len(samples)) <= RATE // 10
    shared = min(len(got), len(samples))
    best = max(np.corrcoef(got[lag:shared], samples[: shared - lag])[0, 1] for lag in range(0, 1_200, 1))
    assert best > 0.95


@pytest.mark.parametrize("dtype", ["int16", "int32", "float16", "float32", "float64"])
def test_array_types_have_one_full_scale(dtype: str) -> None:
    samples = speech()
    scale = {"int16": 2**15, "int32": 2**31}.get(dtype, 1)
    array = (samples.astype(np.float64) * scale).astype(dtype)
    got = heard(load((array, RATE)))
    assert got.dtype == np.float32
    assert np.abs(got - samples).max() < 2**-11
    if dtype in ("float32", "int16"):  # every value of these is one of float32
        assert np.array_equal(got, array.astype(np.float64) / scale)


def test_the_axis_of_channels_is_the_short_one() -> None:
    left, right = speech(), noise(6)[: len(speech())]
    by_rows, by_columns = np.stack([left, right]), np.stack([left, right], axis=1)
    for channel, expected in enumerate((left, right)):
        assert np.array_equal(heard(load((by_rows, RATE), channel)), expected)
        assert np.array_equal(heard(load((by_columns, RATE), channel)), expected)
    assert np.array_equal(heard(load((left[:, np.newaxis], RATE))), left)


def test_a_clip_cannot_be_changed_by_who_holds_the_array() -> None:
    samples = speech().copy()
    recording = load((samples, RATE))
    before = [clip.digest for clip in recording.windows()]
    samples[:] = 0
    [clip] = recording.windows()
    assert [clip.digest] == before
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0] = 1.0


# --- resampling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_rates(rate: int) -> None:
    samples = tone(1.0, 440.0, rate=rate)
    recording = load((samples, rate))
    got = heard(recording)
    assert recording.source_rate == rate
    assert len(got) == RATE
    middle = slice(2_000, 14_000)
    assert np.abs(got[middle] - tone(1.0, 440.0)[middle]).max() < 1e-3


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same samples as soxr gives in one call, whatever the size of our blocks."""
    source = noise(2.3, rate=44_100)
    expected = soxr.resample(source, 44_100, RATE, quality="HQ")
    for block in (1_000, 4_097, 1 << 20):
        for module in (sources, decoders):
            monkeypatch.setattr(module, "BLOCK", block)
        assert np.array_equal(heard(load((source, 44_100))), expected)
        assert np.array_equal(heard(load(encoded(source, 44_100, subtype="FLOAT"))), expected)


@pytest.mark.parametrize("rate", [4_000, 7_999, 11_025, 22_050, 37_813, 44_100, 192_000])
def test_the_length_after_resampling_is_known_beforehand(rate: int) -> None:
    for frames in (rate // 2, rate // 2 + 1, rate // 2 + 3):
        expected = len(soxr.resample(np.zeros(frames, np.float32), rate, RATE))
        assert recording._resampled_length(frames, rate) == expected


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "count"), [(29.99, 1), (30.0, 1), (30.001, 2), (60.0, 2), (60.5, 3), (95.0, 4), (150.003, 6)]
)
def test_windows_are_equal_and_cover_everything(seconds: float, count: int) -> None:
    samples = to_the_edge(long_speech(seconds))
    recording = load((samples, RATE))
    lengths = [len(clip.samples) for clip in recording.windows()]
    assert len(lengths) == count
    assert max(lengths) <= 480_000
    assert max(lengths) - min(lengths) <= 1
    assert np.array_equal(heard(recording), samples)
    assert recording.duration == pytest.approx(sum(lengths) / RATE)
    assert ("windowed" in recording.flags) == (count > 1)


def test_windows_can_be_taken_again_and_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(long_speech(65), 16_000, "FLAC"))
    recording = load(path)
    first, second = recording.windows(), recording.windows()
    assert [a.digest for a in first] == [b.digest for b in second]


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="window_seconds"):
        Limits(window_seconds=31)
    with pytest.raises(ValueError, match="min_rate"):
        Limits(min_rate=0)


# --- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SPEECH_FILES, ids=lambda path: path.stem)
def test_real_speech_is_never_called_silent_or_speechless(path: Path) -> None:
    flags = load(path).flags
    assert [flag.split("=")[0] for flag in flags] == (["clipped"] if "clipped" in path.name else [])


@pytest.mark.parametrize(
    "samples",
    [noise(6), noise(40), np.cumsum(noise(6, 1e-3)).astype(np.float32) * 0.1, tone(6), music(8)],
    ids=["white", "long", "brown", "tone", "music"],
)
def test_no_speech(samples: FloatArray) -> None:
    assert "no_speech" in load((samples, RATE)).flags


def test_speech_in_noise_is_speech() -> None:
    for name in ("allison_clean", "june_clean"):
        samples = speech(name)
        loud = samples + noise(6, rms=rms(samples) / 10 ** (5 / 20))[: len(samples)]
        assert load((loud, RATE)).flags == ()


def test_one_sentence_in_a_long_noise_is_speech() -> None:
    samples = noise(70, rms=1e-3)
    samples[40 * RATE : 40 * RATE + len(speech())] += speech()
    recording = load((samples, RATE))
    assert recording.flags == ()
    [clip] = recording.windows()
    start = round(recording.no_speech[0].end * RATE)
    assert np.array_equal(clip.samples, samples[start : start + len(clip.samples)])
    assert start <= 40 * RATE + RATE // 4
    assert start + len(clip.samples) >= 40 * RATE + len(speech()) - RATE // 4


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE, np.float32),
        np.full(RATE, 0.3, np.float32),
        np.full(RATE, 1.0, np.float32),
        noise(2, rms=5e-5),
        np.random.default_rng(0).integers(-1, 2, 2 * RATE).astype(np.int16),
    ],
    ids=["zeros", "dc", "full dc", "-86 dBFS", "last bit"],
)
def test_silence(samples: Any) -> None:
    assert load((samples, RATE)).flags == ("silent",)


def test_quiet_is_not_silent() -> None:
    samples = speech()
    quiet = samples * (10 ** (-70 / 20) / rms(samples))
    assert load((quiet, RATE)).flags == ()


def test_a_word_in_a_long_silence_is_not_silent() -> None:
    samples = np.zeros(600 * RATE, np.float32)
    samples[300 * RATE : 301 * RATE] = speech()[RATE : 2 * RATE] * 0.1
    assert "silent" not in load((samples, RATE)).flags


def test_clipped_says_how_much() -> None:
    """Of a sine of amplitude 2 cut at 1, the share of time at the limit is 2/3; both polarities count."""
    cut = np.clip(tone(4, 100.0, amplitude=2.0), -1, 1)
    [flag] = [flag for flag in load((cut, RATE)).flags if flag.startswith("clipped")]
    assert float(flag.removeprefix("clipped=")) == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("lowered", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("name", ["allison_clean", "june_clean"])
def test_what_was_clipped_and_turned_down_is_clipped(name: str, lowered: float) -> None:
    """Clipping hidden from a flag that looks at full scale alone."""
    samples = speech(name)
    samples = samples / np.abs(samples).max()
    cut = np.clip(4 * samples, -1, 1)
    turned_down = (np.round(cut * lowered * 32_768)).clip(-32_768, 32_767).astype(np.int16)
    [found] = load((turned_down, RATE)).flags
    [at_full_scale] = load((cut.astype(np.float32), RATE)).flags
    assert float(found.removeprefix("clipped=")) == pytest.approx(
        float(at_full_scale.removeprefix("clipped=")), rel=0.15
    )
    assert load(((samples * lowered * 32_767).astype(np.int16), RATE)).flags == ()


def test_clipped_runs_may_cross_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = np.clip(speech() * 20, -1, 1)
    whole = load((cut, RATE)).flags
    assert whole[0].startswith("clipped=")
    for block in (7, 1_000):
        for module in (sources, decoders):
            monkeypatch.setattr(module, "BLOCK", block)
        assert load((cut, RATE)).flags == whole


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_speech_at_full_scale_is_not_clipped(rate: int) -> None:
    samples = soxr.resample(speech(), RATE, rate)
    assert load((samples / np.abs(samples).max(), rate)).flags == flags_of(rate)


def test_a_stream_of_blocks_is_what_load_reads() -> None:
    """Blocks are bounded, whatever the source claims."""
    source = sources.open_source(wav_header(data_bytes=2**31) + pcm16(noise(20)), 8)
    sizes = [len(block) for block in source.blocks()]
    assert max(sizes) <= decoders.BLOCK
    assert sum(sizes) == 20 * RATE


def test_the_degraded_examples_come_from_the_clean_ones(tmp_path: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "make_examples.py", tmp_path], check=True)
    made = sorted(tmp_path.iterdir())
    assert [path.name for path in made] == [path.name for path in SPEECH_FILES if "clean" not in path.name]
    for path in made:
        again, shipped = heard(load(path)), heard(load(EXAMPLES / path.name))
        assert np.abs(again - shipped).max() <= 1 / 32_768
