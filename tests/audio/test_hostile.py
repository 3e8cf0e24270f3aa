"""Input that must not break us: cut, forged, blown up, poisoned. Each costs its own error or flag and nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sqe_fast.audio import decoders, sources
from sqe_fast.audio.containers import inspect
from sqe_fast.audio.formats import mpeg
from sqe_fast.audio.recording import Limits, load
from sqe_fast.errors import ClipError, ErrorCode
from tests.support.audio_samples import (
    RATE,
    FloatArray,
    bomb,
    encoded,
    flags_of,
    long_speech,
    noise,
    pcm16,
    speech,
    wav_header,
)

FORMATS = [
    ("WAV", "PCM_16", RATE),
    ("WAV", "FLOAT", RATE),
    ("RF64", "PCM_16", RATE),
    ("AIFF", "PCM_16", RATE),
    ("FLAC", "PCM_16", RATE),
    ("OGG", "VORBIS", RATE),
    ("OGG", "OPUS", 48_000),
    ("MP3", "MPEG_LAYER_III", RATE),
]


def refused(source: Any, limits: Limits | None = None) -> ClipError:
    with pytest.raises(ClipError) as caught:
        load(source, limits=limits)
    assert len(caught.value.message) > 20
    return caught.value


# --- not a sound file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"RIFF",
        b"fLaC",
        b"OggS",
        b"ID3",
        b"hello, world\n" * 99,
        b"<!DOCTYPE html><html></html>",
        bytes(5_000),
    ],
)
def test_no_sound_file(data: bytes, tmp_path: Path) -> None:
    for name in ("a.wav", "a.raw", "a.gsm", "a.vox", "a.mp3"):
        path = tmp_path / name
        path.write_bytes(data)
        assert refused(path).code is ErrorCode.UNSUPPORTED_FORMAT
        with path.open("rb") as file:
            assert refused(file).code is ErrorCode.UNSUPPORTED_FORMAT
    assert refused(data).code is ErrorCode.UNSUPPORTED_FORMAT


def test_where_there_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent.wav").code is ErrorCode.NOT_FOUND
    assert refused("a\0b.wav").code is ErrorCode.NOT_FOUND
    assert refused(__file__ + "/a.wav").code is ErrorCode.NOT_FOUND
    for path in (tmp_path, "/dev/zero"):
        assert refused(path).code is ErrorCode.UNREADABLE


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(speech()))
    path.chmod(0)
    assert refused(path).code is ErrorCode.UNREADABLE


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        noise(1),
        (noise(1), RATE, 1),
        ("a.wav", RATE),
        (noise(1).astype(np.int64), RATE),
        (noise(1) > 0, RATE),
        (noise(1).astype(np.complex64), RATE),
        (noise(1).reshape(2, 2, -1), RATE),
        (np.float32(1), RATE),
        ([[0.1], [0.1, 0.2]], RATE),
        io.StringIO("text"),
    ],
    ids=lambda source: type(source).__name__,
)
def test_no_audio_source(source: Any) -> None:
    assert refused(source).code is ErrorCode.BAD_INPUT


def test_refusals_leak_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"no sound")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        refused(path)
    assert len(os.listdir("/proc/self/fd")) == before


# --- cut short -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file_format", "subtype", "rate"), FORMATS)
def test_a_whole_file_is_not_called_truncated(file_format: str, subtype: str, rate: int) -> None:
    for seconds in (0.5, 3.0):
        data = encoded(np.resize(speech(), round(seconds * rate)), rate, file_format, subtype)
        assert "truncated" not in load(data).flags


@pytest.mark.parametrize("share", [0.4, 0.75, 0.98, 0.999])
@pytest.mark.parametrize(("file_format", "subtype", "rate"), FORMATS)
def test_a_cut_file_is_called_truncated(
    file_format: str, subtype: str, rate: int, share: float, tmp_path: Path
) -> None:
    data = encoded(np.resize(speech(), 5 * rate), rate, file_format, subtype)
    cut = data[: int(len(data) * share)]
    path = tmp_path / "cut"
    path.write_bytes(cut)
    for source in (cut, path):
        recording = load(source)
        assert "truncated" in recording.flags
        # An Ogg page may hold a second, and only whole ones are decoded.
        slack = 1.6 if file_format == "OGG" else 0.3
        assert 5 * share - slack < recording.duration <= 5 * share + 0.5


@pytest.mark.parametrize(("rate", "sync"), [(16_000, b"\xff\xf3"), (44_100, b"\xff\xfb")])
def test_an_mp3_without_a_stated_length(rate: int, sync: bytes) -> None:
    """A stream recorder writes no Xing frame; a cut is seen from the last frame alone. At 44.1 kHz some are padded."""
    data = encoded(long_speech(2, rate), rate, "MP3", bitrate_mode="CONSTANT")
    first = data.index(sync)
    second = data.index(sync, first + 4)
    plain = data[second:]
    assert b"Xing" not in plain
    assert "truncated" not in load(plain).flags
    assert "truncated" not in load(plain + b"TAG" + bytes(125)).flags
    for lost in (7, 50, 1_000):
        assert inspect(io.BytesIO(plain[:-lost])).cut
        assert "truncated" in load(plain[:-lost]).flags


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"\xff\xfb\x90\x00", 417),  # MPEG 1, 128 kbit/s, 44.1 kHz: 144 × 128,000 / 44,100
        (b"\xff\xfb\x92\x00", 418),  # and padded
        (b"\xff\xf3\x88\x00", 288),  # MPEG 2, 64 kbit/s, 16 kHz: 72 × 64,000 / 16,000
        (b"\xff\xf3\xf8\x00", None),  # no such bit rate
        (b"\xff\xfd\x90\x00", 522),  # layer II, 160 kbit/s
        (b"\xff\xfb", None),
    ],
)
def test_mp3_frame_lengths(header: bytes, length: int | None) -> None:
    frame = mpeg.frame_of(header)
    assert (frame.length if frame else None) == length


def test_a_cut_between_two_frames_or_pages() -> None:
    """Nothing is torn: only the length that was stated, or the missing last page, tells."""
    mp3 = encoded(speech(), file_format="MP3")
    whole = mp3[: mp3.rindex(b"\xff\xf3", 0, -200)]
    assert "truncated" in load(whole).flags
    ogg = encoded(speech(), file_format="OGG", subtype="VORBIS")
    assert "truncated" in load(ogg[: ogg.rindex(b"OggS")]).flags


def test_a_flac_without_a_stated_length() -> None:
    data = bytearray(encoded(speech(), file_format="FLAC"))
    data[21] &= 0xF0  # the 36 bits of STREAMINFO's total
    data[22:26] = bytes(4)
    assert load(bytes(data)).flags == ()
    assert "truncated" in load(bytes(data[: len(data) // 2])).flags


def test_a_flac_damaged_in_the_middle() -> None:
    data = bytearray(encoded(speech(), file_format="FLAC"))
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    recording = load(bytes(data))
    assert "truncated" in recording.flags
    assert np.isfinite(next(recording.windows()).samples).all()


@pytest.mark.parametrize("claimed", [2_000_000_000, 0xFFFFFFF0])
def test_a_header_that_claims_gigabytes(claimed: int) -> None:
    """Scored on what is there, and no gigabyte is allocated for it."""
    samples = noise(0.5)
    tracemalloc.start()
    recording = load(wav_header(data_bytes=claimed) + pcm16(samples))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert recording.flags == ("truncated",)
    assert recording.duration == 0.5
    assert peak < 20e6


def test_chunks_before_the_samples() -> None:
    extra = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
    header = wav_header(data_bytes=2 * RATE)
    data = header[:36] + extra + header[36:] + pcm16(noise(1))
    assert load(data).flags == ()
    assert load(data[:-2]).flags == ("truncated",)


# --- too little, too much --------------------------------------------------------------------------------------------


def test_no_frames(tmp_path: Path) -> None:
    for file_format, subtype, rate in FORMATS[:4]:  # libsndfile writes nothing at all for the others
        assert refused(encoded(np.empty(0, np.float32), rate, file_format, subtype)).code is ErrorCode.EMPTY_AUDIO
    for shape in ((0,), (0, 2), (2, 0)):
        assert refused((np.empty(shape, np.float32), RATE)).code is ErrorCode.EMPTY_AUDIO


@pytest.mark.parametrize("rate", [8_000, RATE, 44_100])
def test_too_short(rate: int) -> None:
    for seconds in (1 / rate, 0.01, 0.399):
        assert refused((noise(seconds, rate=rate), rate)).code is ErrorCode.TOO_SHORT
        assert refused(encoded(noise(seconds, rate=rate), rate)).code is ErrorCode.TOO_SHORT
    assert load((noise(0.4, rate=rate), rate)).duration == pytest.approx(0.4)


def count_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all blocks decoded from now on."""
    sizes: list[int] = []
    original = sources.FileSource.blocks

    def counted(self: sources.FileSource) -> Iterator[decoders.Samples]:
        for block in original(self):
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(sources.FileSource, "blocks", counted)
    return sizes


def test_a_bomb_is_stopped_while_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.flac"
    bomb(path, hours=1)
    assert path.stat().st_size < 300_000
    decoded = count_blocks(monkeypatch)
    assert refused(path, Limits(max_seconds=60)).code is ErrorCode.TOO_LONG
    assert sum(decoded) <= 60 * RATE + decoders.BLOCK


def test_ten_hours_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    bomb(path, hours=10, rate=4_000)
    tracemalloc.start()
    recording = load(path)
    windows = recording.windows()
    lengths = [len(next(windows).samples) for _ in range(20)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert recording.flags == ("windowed", *flags_of(4_000), "silent")
    assert recording.duration == 36_000
    assert set(lengths) == {480_000}
    assert peak < 20e6  # ten hours are 2.3 GB at 16 kHz


def test_twelve_hours_is_the_default_limit() -> None:
    assert Limits().max_seconds == 12 * 3_600
    endless = np.broadcast_to(np.float32(0.0), (12 * 3_600 * 4_000 + 1,))
    assert refused((endless, 4_000)).code is ErrorCode.TOO_LONG


def test_five_minutes_of_ogg(tmp_path: Path) -> None:
    samples = long_speech(300)
    recording = load(encoded(samples, RATE, "OGG", "VORBIS"))
    assert recording.flags == ("windowed",)
    assert [clip.duration for clip in recording.windows()] == pytest.approx([30.0] * 10, abs=0.01)


# --- forged headers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, 1, 3_999, 192_001, 655_350, 2**31 - 1, 2**32 - 1])
def test_forged_sample_rates(rate: int) -> None:
    samples = noise(1)
    assert refused(wav_header(rate, data_bytes=2 * len(samples)) + pcm16(samples)).code is ErrorCode.BAD_SAMPLE_RATE
    assert refused((samples, rate)).code is ErrorCode.BAD_SAMPLE_RATE


@pytest.mark.parametrize("rate", [-RATE, 16_000.5, float("nan"), float("inf"), "16k", None, True])
def test_rates_that_are_no_rates(rate: Any) -> None:
    assert refused((noise(1), rate)).code is ErrorCode.BAD_SAMPLE_RATE


def test_too_many_channels() -> None:
    for channels in (9, 1_024, 40_000):
        data = wav_header(channels=channels, data_bytes=80_000 * 10) + bytes(80_000 * 10)
        assert refused(data).code is ErrorCode.TOO_MANY_CHANNELS
    assert refused((np.zeros((9, 20_000), np.float32), RATE)).code is ErrorCode.TOO_MANY_CHANNELS
    assert load(encoded(np.repeat(speech()[:, np.newaxis], 8, 1))).flags == ()


# --- poisoned samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_not_finite(poison: float) -> None:
    samples = speech().copy()
    samples[RATE] = poison
    error = refused((samples, RATE))
    assert error.code is ErrorCode.NON_FINITE
    assert "1.000 s" in error.message
    assert refused(encoded(samples, subtype="FLOAT")).code is ErrorCode.NON_FINITE
    stereo = np.stack([speech(), samples], 1)
    assert refused((stereo, RATE)).code is ErrorCode.NON_FINITE


@pytest.mark.parametrize("factor", [1e30, -1e30, 32_768.0, -11.0])
def test_out_of_range(factor: float) -> None:
    samples = speech().copy()
    samples[5] = factor
    assert refused((samples, RATE)).code is ErrorCode.OUT_OF_RANGE
    assert refused((samples.astype(np.float64) * 1e30, RATE)).code is ErrorCode.OUT_OF_RANGE
    assert refused(encoded(samples, subtype="FLOAT")).code is ErrorCode.OUT_OF_RANGE


def test_integers_held_as_floats_are_told_what_to_do() -> None:
    assert "32,768" in refused((speech() * 32_768, RATE)).message


def test_floats_over_full_scale_are_taken() -> None:
    [clip] = load((speech() * 20, RATE)).windows()
    assert np.abs(clip.samples).max() > 1


# --- changes under our hands -----------------------------------------------------------------------------------------


def test_a_file_that_goes_away_or_shrinks_between_the_passes(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    data = encoded(long_speech(40))
    path.write_bytes(data)
    recording = load(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ClipError) as caught:
        list(recording.windows())
    assert caught.value.code is ErrorCode.UNREADABLE
    path.unlink()
    with pytest.raises(ClipError) as caught:
        list(recording.windows())
    assert caught.value.code is ErrorCode.NOT_FOUND


def sane(samples: FloatArray) -> bool:
    return bool(np.isfinite(samples).all()) and float(np.abs(samples).max(initial=0)) < 100


@pytest.mark.parametrize(("file_format", "subtype", "rate"), FORMATS)
def test_random_damage(file_format: str, subtype: str, rate: int) -> None:
    """Any bytes at all: a ClipError, or finite audio within the limits."""
    random = np.random.default_rng(0)
    whole = encoded(np.resize(speech(), rate), rate, file_format, subtype)
    limits = Limits(max_seconds=100)
    for trial in range(60):
        data = bytearray(whole)
        reach = 64 if trial % 2 else len(data)
        for position in random.integers(0, reach, 1 + trial % 5):
            data[position] = random.integers(0, 256)
        with contextlib.suppress(ClipError):
            recording = load(bytes(data), limits=limits)
            assert all(sane(clip.samples) for clip in recording.windows())
