"""Every format that calls are kept in: decoded by FFmpeg, or else named; PCM without a header; pipes."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import correlate

from sqe_fast.audio import Raw, RawFormat
from sqe_fast.audio.formats.names import recognised
from sqe_fast.audio.recording import Recording, load
from sqe_fast.errors import ClipError, ErrorCode
from tests.support.audio_samples import RATE, FloatArray, encoded, flags_of, speech
from tests.support.codecs import by_ffmpeg

SECONDS = len(speech()) / RATE

CALLS = [
    ("m4a", "ipod", "aac", 16_000, "AAC in MP4"),
    ("mp4", "mp4", "aac", 48_000, "AAC in MP4"),
    ("3gp", "3gp", "libopencore_amrnb", 8_000, "AMR in MP4"),
    ("opus in mp4", "mp4", "libopus", 48_000, "Opus in MP4"),
    ("alac", "ipod", "alac", 16_000, "ALAC in MP4"),
    ("aac", "adts", "aac", 16_000, "AAC (ADTS)"),
    ("amr", "amr", "libopencore_amrnb", 8_000, "AMR"),
    ("webm", "webm", "libopus", 48_000, "Opus in Matroska or WebM"),
    ("mka", "matroska", "flac", 16_000, "FLAC in Matroska or WebM"),
    ("wma", "asf", "wmav2", 44_100, "WMA in ASF"),
    ("ogg flac", "ogg", "flac", 16_000, "FLAC in Ogg"),
    ("g722", "wav", "g722", 16_000, "G.722 in WAV"),
    ("g726", "wav", "g726", 8_000, "G.726 in WAV"),
    ("g723", "wav", "g723_1", 8_000, "G.723.1 in WAV"),
    ("caf alac", "caf", "alac", 16_000, "codec 'alac' in CAF"),
    ("ac3", "ac3", "ac3", 48_000, "AC-3"),
    ("wavpack", "wv", "wavpack", 16_000, "WavPack"),
    ("transport stream", "mpegts", "aac", 48_000, "MPEG transport stream"),
    ("flv", "flv", "aac", 44_100, "Flash video"),
]
EACH_CALL = pytest.mark.parametrize(
    ("container", "codec", "rate", "name"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
BIT_RATES = {"g723_1": 6_300, "wmav2": 64_000}


def call(container: str, codec: str, rate: int) -> bytes:
    samples = soxr.resample(speech(), RATE, rate).astype(np.float32)
    return by_ffmpeg(samples, container, codec, rate, bit_rate=BIT_RATES.get(codec))


def heard(recording: Recording) -> FloatArray:
    return np.concatenate(list(recording.blocks()))


def alike(found: FloatArray, wanted: FloatArray) -> float:
    """The correlation of two signals at the delay that suits them best."""
    energy = float(np.sum(found.astype(np.float64) ** 2) * np.sum(wanted.astype(np.float64) ** 2))
    return float(correlate(found, wanted, "full", "fft").max()) / energy**0.5


@EACH_CALL
def test_calls_are_heard(container: str, codec: str, rate: int, name: str, tmp_path: Path) -> None:
    data = call(container, codec, rate)
    path = tmp_path / "call.wav"
    path.write_bytes(data)
    for source in (data, path):
        recording = load(source)
        assert recording.flags == flags_of(rate)
        assert recording.source_rate == rate
        assert recording.duration == pytest.approx(SECONDS, abs=0.15)
    assert alike(heard(recording), speech()) > 0.75


@EACH_CALL
def test_without_the_extra_the_codec_is_named(
    container: str, codec: str, rate: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Not a sound file" of what plays everywhere else."""
    data = call(container, codec, rate)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ClipError) as caught:
        load(data)
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert caught.value.message.startswith(f"{name}: ")
    assert "sqe-fast[media]" in caught.value.message
    assert "ffmpeg -i" in caught.value.message


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#!AMR-WB\n", "AMR-WB"),
        (b"OggS\0\x02" + bytes(22) + b"Speex   1.2", "Speex in Ogg"),
        (b"\x02#!SILK_V3", "SILK"),
        (b"RIFF\0\0\0\0WAVEfmt \x14\0\0\0\x83\0" + bytes(30), "G.729 in WAV"),
        (b"\0\0\0\x18ftypM4A " + bytes(99), "MP4 without its index"),
    ],
)
def test_what_is_not_made_here_is_named_too(head: bytes, name: str) -> None:
    assert recognised(io.BytesIO(head)) == name


def test_amr_wideband_is_decoded() -> None:
    """No encoder of it is free: frames of 12.65 kbit/s whose bits are drawn, which decode to a noise."""
    random = np.random.default_rng(0)
    frames = (b"\x14" + random.bytes(32) for _ in range(100))
    recording = load(b"#!AMR-WB\n" + b"".join(frames))
    assert recording.source_rate == 16_000
    assert recording.duration == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(("container", "codec", "rate"), [("webm", "libopus", 48_000), ("matroska", "flac", 16_000),
    ("adts", "aac", 16_000), ("wav", "g722", 16_000), ("ogg", "flac", 16_000), ("flv", "aac", 44_100),
    ("mpegts", "aac", 48_000)])  # fmt: skip
def test_a_cut_call_is_called_truncated(container: str, codec: str, rate: int) -> None:
    data = call(container, codec, rate)
    recording = load(data[: round(0.6 * len(data))])
    assert "truncated" in recording.flags
    assert 0.3 * SECONDS < recording.duration < 0.75 * SECONDS


def test_an_mp4_without_its_index_says_what_it_is() -> None:
    data = call("ipod", "aac", 16_000)
    with pytest.raises(ClipError, match="without its index: cut off"):
        load(data[: len(data) // 2])


def test_joined_ogg_flac() -> None:
    """Each link is a stream of its own for FFmpeg as for libsndfile."""
    data = call("ogg", "flac", 16_000)
    recording = load(data + encoded(speech(), file_format="OGG", subtype="VORBIS"))
    assert recording.flags == ()
    assert recording.duration == pytest.approx(2 * SECONDS, abs=0.1)


def test_a_playlist_opens_nothing_else(tmp_path: Path) -> None:
    """FFmpeg's playlists name files and addresses of their own."""
    (tmp_path / "secret.wav").write_bytes(encoded(speech()))
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
        "a.wav": f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ClipError) as caught:
            load(tmp_path / name)
        assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


# --- PCM without a header --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "subtype", "endian"),
    [
        ("mulaw", "ULAW", "FILE"),
        ("alaw", "ALAW", "FILE"),
        ("s16le", "PCM_16", "LITTLE"),
        ("s16be", "PCM_16", "BIG"),
        ("s24be", "PCM_24", "BIG"),
        ("u8", "PCM_U8", "FILE"),
        ("f32le", "FLOAT", "LITTLE"),
        ("gsm", "GSM610", "FILE"),
        ("vox", "VOX_ADPCM", "FILE"),
    ],
)
def test_raw(encoding: str, subtype: str, endian: str, tmp_path: Path) -> None:
    channels = 1 if encoding in ("gsm", "vox") else 2
    samples = soxr.resample(speech(), RATE, 8_000)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([samples] * channels, 1), 8_000, subtype, endian, "RAW")
    path = tmp_path / "call.raw"
    path.write_bytes(buffer.getvalue())
    for source in (path, buffer.getvalue(), buffer):
        recording = load(Raw(source, 8_000, encoding, channels))
        assert (recording.source_rate, recording.flags) == (8_000, flags_of(8_000))
        assert recording.duration == pytest.approx(SECONDS, abs=0.03)
        assert alike(heard(recording), speech()) > 0.9


def test_raw_is_read_as_it_is_said_to_be() -> None:
    """What happens to begin like another format, too."""
    data = encoded(speech())
    assert load(Raw(data, RATE)).duration == pytest.approx(SECONDS + 22 / RATE, abs=1e-4)


def test_raw_formats_are_parsed() -> None:
    assert RawFormat.parse("rate=8000,encoding=mulaw,channels=2") == RawFormat(8_000, "mulaw", 2)
    assert RawFormat.parse("rate=16000") == RawFormat(16_000)
    for text in ("", "8000", "rate=x", "rate=8000,encoding=mp3", "rate=8000,channels=0", "rate=8000,endian=big"):
        with pytest.raises(ValueError, match=r"rate|encoding|channels"):
            RawFormat.parse(text)
    with pytest.raises(ClipError) as caught:
        load(Raw(b"", 8_000, "mp3"))
    assert caught.value.code is ErrorCode.BAD_INPUT


# --- pipes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 65])
def test_a_named_pipe_is_heard(seconds: int, tmp_path: Path) -> None:
    data = encoded(np.resize(speech(), seconds * RATE))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    recording = load(pipe)
    writer.join()
    assert np.array_equal(heard(recording), heard(load(data)))


def test_a_file_object_that_cannot_seek_is_heard() -> None:
    data = encoded(speech())
    read, write = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(write, data), os.close(write)))
    writer.start()
    with os.fdopen(read, "rb") as file:
        recording = load(file)
    writer.join()
    assert recording.duration == SECONDS
