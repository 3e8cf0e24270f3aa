"""Every second is heard or named: lengths that are estimated, unknown, wrong, or of the first stream of several."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from sqe_fast.audio.containers import inspect
from sqe_fast.audio.recording import Recording, load
from sqe_fast.errors import ClipError, ErrorCode
from tests.support.audio_samples import RATE, FloatArray, encoded, flags_of, long_speech, pcm16, speech, wav_header
from tests.support.codecs import by_ffmpeg

CONTAINERS = [
    (name, "ALAW" if name == "WVE" else soundfile.default_subtype(name), 8_000 if name == "WVE" else RATE)
    for name in sorted(soundfile.available_formats())
    if name
    not in ("RAW", "SD2", "XI")  # no header; a resource fork; an instrument, which libsndfile writes to files only
]
STATES_NO_LENGTH = {"IRCAM", "PAF", "PVF"}
SECONDS = 5


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


def talk(seconds: float, rate: int = RATE) -> FloatArray:
    """Speech with a long pause, which a variable bit rate spends nothing on."""
    samples = long_speech(seconds, rate).copy()
    samples[len(samples) // 4 : len(samples) // 2] = 0
    return samples


# --- a length that is an estimate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["pause last", "pause first"])
@pytest.mark.parametrize("seconds", [20, 54])
def test_an_mp3_of_variable_bit_rate_that_states_no_length(
    seconds: int, order: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """libsndfile stops at the length that it estimates from the first frames: 11 s of 54."""
    samples = talk(seconds) if order == "pause last" else talk(seconds)[::-1].copy()
    data = by_ffmpeg(samples, "mp3", "libmp3lame", quality=9, options={"write_xing": "0"})
    recording = load(data)
    assert recording.duration == pytest.approx(seconds, abs=0.2)
    assert set(recording.flags) <= {"windowed"}
    assert capfd.readouterr().err == ""


def test_a_stated_length_changes_nothing() -> None:
    """The frame that says how many there are is seen by the decoder alone: what it decodes is the same sound."""
    data = encoded(speech(), file_format="MP3", bitrate_mode="CONSTANT")
    second = data.index(b"\xff\xf3", data.index(b"\xff\xf3") + 4)
    stated, unstated = heard(load(data)), heard(load(data[second:]))
    lag = 1_105 - 529  # samples of LAME's delay, and of a decoder's alone
    assert np.abs(unstated[lag : lag + RATE] - stated[:RATE]).max() < 1e-3


def test_no_codec_prints(capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(long_speech(5), file_format="MP3", bitrate_mode="CONSTANT")
    damaged = data[:9_000] + bytes(500) + data[9_500:]
    for file in (data[: len(data) // 2], data[5_000:], damaged, data + b"\xff\xf3" * 3_000):
        load(file)
    assert capfd.readouterr().err == ""


# --- several streams -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_format", "subtype", "rate"),
    [
        ("MP3", "MPEG_LAYER_III", RATE),
        ("OGG", "VORBIS", RATE),
        ("OGG", "OPUS", 48_000),
        ("FLAC", "PCM_16", RATE),
        ("WAV", "PCM_16", RATE),
        ("AIFF", "PCM_16", RATE),
        ("AU", "PCM_16", RATE),
        ("W64", "PCM_16", RATE),
        ("CAF", "PCM_16", RATE),
    ],
)
def test_joined_files(file_format: str, subtype: str, rate: int, tmp_path: Path) -> None:
    """`cat a b > c`: the first alone was heard."""
    one = encoded(soxr.resample(speech()[: 2 * RATE], RATE, rate), rate, file_format, subtype)
    other = encoded(soxr.resample(speech("june_clean")[: 3 * RATE], RATE, rate), rate, file_format, subtype)
    path = tmp_path / "joined"
    path.write_bytes(one + other)
    for source in (path, one + other):
        recording = load(source)
        assert recording.duration == pytest.approx(5, abs=0.1)
        assert recording.flags == ()
        parts, sound = np.concatenate([heard(load(one)), heard(load(other))]), heard(recording)
        shared = min(len(parts), len(sound))
        away = np.abs(np.arange(shared) - len(heard(load(one)))) > 200  # resampling reaches over the joint
        assert np.abs(sound[:shared] - parts[:shared])[away].max() < 1e-4
    cut = (one + other)[: -len(other) // 2]
    assert "truncated" in load(cut).flags


def test_joined_mp3s_with_tags_between_them() -> None:
    one, other = encoded(speech(), file_format="MP3"), encoded(long_speech(2), file_format="MP3")
    tag = b"TAG" + bytes(125)
    lead = b"ID3\x03\0\0\0\0\x07\x76" + bytes(1_014)
    recording = load(lead + one + tag + lead + other + tag)
    assert recording.duration == pytest.approx(len(speech()) / RATE + 2, abs=0.1)
    assert recording.flags == ()


@pytest.mark.parametrize(("file_format", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16")])
def test_joined_files_of_other_rates_and_channels(file_format: str, subtype: str) -> None:
    """The recording has the highest rate of them, so that no stream loses a band to another."""
    narrow = encoded(soxr.resample(speech(), RATE, 8_000), 8_000, file_format, subtype)
    wide = encoded(np.repeat(speech()[:, np.newaxis], 2, axis=1), RATE, file_format, subtype)
    for data in (narrow + wide, wide + narrow):
        recording = load(data)
        assert recording.source_rate == RATE
        assert recording.duration == pytest.approx(2 * len(speech()) / RATE, abs=0.2)
        assert recording.flags == ()
        sound = heard(recording)
        halves = sound[: len(sound) // 2], sound[len(sound) // 2 :]
        levels = [float(np.sqrt(np.mean(half**2))) for half in halves]
        assert max(levels) < 1.3 * min(levels)


def test_a_second_stream_that_cannot_be_decoded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ogg = encoded(speech(), file_format="OGG", subtype="VORBIS")
    other = by_ffmpeg(speech(), "ogg", "flac")
    monkeypatch.setitem(sys.modules, "av", None)
    recording = load(ogg + other)
    assert recording.flags == ("truncated",)
    assert recording.duration == pytest.approx(len(speech()) / RATE, abs=0.1)


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("kept", [1.0, 0.61])
def test_a_wav_of_unknown_size(claimed: int, kept: float) -> None:
    """As recorders that crash, ffmpeg and sox leave it. It ends where the file ends, and nothing is missing."""
    sound = pcm16(speech())
    data = wav_header(data_bytes=claimed) + sound[: round(kept * len(sound))]
    recording = load(data)
    assert recording.flags == ()
    assert recording.duration == pytest.approx(kept * len(speech()) / RATE, abs=1e-3)


@pytest.mark.parametrize(("channels", "frame"), [(2, 4), (3, 6), (5, 10)])
def test_sox_rounds_its_unknown_size_to_whole_frames(channels: int, frame: int) -> None:
    data = wav_header(channels=channels, data_bytes=0x7FFFF000 // frame * frame)
    assert load(data + pcm16(np.repeat(speech(), channels))).flags == ()


def test_a_wav_without_sound_is_empty_whatever_follows() -> None:
    for rest in (b"", b"LIST" + struct.pack("<I", 4) + b"INFO"):
        with pytest.raises(ClipError) as caught:
            load(wav_header(data_bytes=0) + rest)
        assert caught.value.code is ErrorCode.EMPTY_AUDIO


def test_more_than_32_bits_of_unknown_size() -> None:
    """A size of 32 bits cannot state it: the decoder is shown an RF64."""
    file = io.BytesIO(wav_header(data_bytes=0xFFFFFFFF))
    long = _Sparse(file.getvalue(), 5 << 30)
    [part] = inspect(long).parts  # type: ignore[arg-type]
    assert part[0][:4] == b"RF64"  # type: ignore[index]
    assert part[0][20:].find(((5 << 30) - 44).to_bytes(8, "little")) >= 0  # type: ignore[index]


class _Sparse(io.RawIOBase):
    """A file of zeros behind a head."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self._size, self._position = head, size, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        # What lies far behind is not looked at: a search ends at the first empty read.
        data = self._head[self._position : self._position + size]
        self._position += len(data)
        return data


def test_sound_behind_the_stated_size_is_named() -> None:
    """A recorder that brought its header up to date before it died: what follows is no chunk, and is not heard."""
    sound = pcm16(speech())
    stale = wav_header(data_bytes=len(sound) // 2) + sound
    assert load(stale).flags == ("truncated",)
    padded = wav_header(data_bytes=len(sound)) + sound + bytes(500)
    assert load(padded).flags == ()


@pytest.mark.parametrize(("name", "subtype", "rate"), CONTAINERS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_file_of_every_container(name: str, subtype: str, rate: int, share: float, tmp_path: Path) -> None:
    """Half of a W64, AU, SPH or CAF was scored as if it were the whole, or refused."""
    data = encoded(long_speech(SECONDS, rate), rate, name, subtype)
    whole = load(data)
    assert (whole.duration, whole.flags) == (SECONDS, flags_of(rate))
    path = tmp_path / "cut"
    path.write_bytes(data[: round(share * len(data))])
    recording = load(path)
    if name not in STATES_NO_LENGTH:
        assert "truncated" in recording.flags
    slack = 1.6 if name == "OGG" else 0.3
    assert share * SECONDS - slack < recording.duration <= share * SECONDS + 0.3


@pytest.mark.parametrize("size", [b"\0" * 8, b"\xff" * 8])
def test_unknown_sizes_of_64_bits(size: bytes) -> None:
    for name in ("W64", "CAF", "RF64"):
        data = bytearray(encoded(speech(), file_format=name, subtype="PCM_16"))
        at = data.index(b"ds64") + 16 if name == "RF64" else data.index(b"data") + (16 if name == "W64" else 4)
        data[at : at + 8] = size
        recording = load(bytes(data))
        assert recording.flags == ()
        assert recording.duration == pytest.approx(len(speech()) / RATE, abs=1e-3)


@pytest.mark.parametrize("size", [0, 8, 0xFFFFFFFF, 0x7F000008])
def test_unknown_sizes_of_aiff(size: int) -> None:
    data = bytearray(encoded(speech(), file_format="AIFF", subtype="PCM_16"))
    at = data.index(b"SSND") + 4
    data[at : at + 4] = size.to_bytes(4, "big")
    recording = load(bytes(data))
    assert recording.flags == ()
    assert recording.duration == pytest.approx(len(speech()) / RATE, abs=1e-3)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_page_that_is_lost_or_wiped() -> None:
    """A decoder leaves out a page that is damaged and says nothing."""
    data = encoded(long_speech(10), file_format="OGG", subtype="VORBIS")
    starts = [i for i in range(len(data)) if data.startswith(b"OggS", i)]
    third, fourth = starts[3], starts[4]
    wiped = data[:third] + bytes(fourth - third) + data[fourth:]
    blank = data[: third + 300] + bytes(fourth - third - 300) + data[fourth:]
    lost = data[:third] + data[fourth:]
    assert load(data).flags == ()
    for damaged in (wiped, blank, lost):
        assert "truncated" in load(damaged).flags


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("junk", [b"\0" * 512, b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 77], ids=["zeros", "text", "ones"])
def test_junk_before_the_header(file_format: str, junk: bytes) -> None:
    data = encoded(speech(), file_format=file_format, subtype="VORBIS" if file_format == "OGG" else None)
    recording = load(junk + data)
    assert recording.flags == ()
    assert np.array_equal(heard(recording), heard(load(data)))


def test_mp3_in_wav() -> None:
    data = by_ffmpeg(talk(12), "wav", "libmp3lame", bit_rate=32_000)
    assert data[20:22] == b"\x55\0"
    recording = load(data)
    assert recording.flags == ()
    assert recording.duration == pytest.approx(12, abs=0.2)
    assert "truncated" in load(data[: len(data) // 2]).flags


def test_a_cut_file_that_is_too_short_says_so() -> None:
    with pytest.raises(ClipError) as caught:
        load((wav_header(data_bytes=100_000) + pcm16(speech()))[:6_000])
    assert caught.value.code is ErrorCode.TOO_SHORT
    assert "cut off" in caught.value.message
