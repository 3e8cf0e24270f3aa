"""Small whole files of every container that is decoded or inspected, by family, to be mutated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import soundfile
import soxr

from tests.support.audio_samples import RATE, FloatArray, encoded, speech
from tests.support.codecs import Track, by_ffmpeg, with_tracks

SECONDS = 0.12
"""Of a seed: some frames of each codec, and few bytes, so that a mutation often meets structure."""


def _sound(rate: int, seconds: float = SECONDS) -> FloatArray:
    return np.asarray(soxr.resample(speech()[RATE : 2 * RATE], RATE, rate), np.float32)[: round(seconds * rate)]


def _written(file_format: str, *subtypes: str, rate: int = 8_000, channels: int = 1) -> Iterator[bytes]:
    """By libsndfile."""
    for subtype in subtypes:
        mono = _sound(rate)
        samples = mono if channels == 1 else np.stack([mono, *[mono[::-1]] * (channels - 1)], 1)
        yield encoded(samples, rate, file_format, subtype)


def _muxed(*made: tuple[str, str, int], seconds: float = SECONDS) -> Iterator[bytes]:
    """By FFmpeg: container, codec and rate of each."""
    bit_rates = {"g723_1": 6_300, "wmav2": 64_000}
    for container, codec, rate in made:
        yield by_ffmpeg(_sound(rate, seconds), container, codec, rate, bit_rate=bit_rates.get(codec))


def _wav() -> Iterator[bytes]:
    yield from _written("WAV", "PCM_16", "PCM_U8", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")
    yield from _written("WAVEX", "PCM_24", channels=2)
    [first] = _written("WAV", "PCM_16")
    yield first + first  # two recordings in one file
    yield from _muxed(("wav", "g722", 16_000), ("wav", "g726", 8_000), ("wav", "libmp3lame", 16_000))


def _wav_large() -> Iterator[bytes]:
    yield from _written("RF64", "PCM_16", "DOUBLE")
    yield from _written("W64", "PCM_16", "ALAW", channels=2)
    yield from _muxed(("w64", "pcm_s24le", 8_000))


def _aiff() -> Iterator[bytes]:
    yield from _written("AIFF", "PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM")
    yield from _written("SVX", "PCM_16")


def _caf() -> Iterator[bytes]:
    yield from _written("CAF", "PCM_16", "ALAC_16", "ULAW")
    yield from _muxed(("caf", "alac", 16_000))


def _flac() -> Iterator[bytes]:
    yield from _written("FLAC", "PCM_16", "PCM_24")
    yield from _written("FLAC", "PCM_16", channels=2)
    # Frames of 1,152 samples, so that damage to one leaves others.
    yield by_ffmpeg(_sound(8_000, 0.7), "flac", "flac", 8_000, codec_options={"compression_level": "0"})


def _ogg() -> Iterator[bytes]:
    yield from _written("OGG", "VORBIS")
    yield from _written("OGG", "OPUS", rate=48_000, channels=2)
    yield from _muxed(("ogg", "flac", 16_000))


def _mp3() -> Iterator[bytes]:
    yield from _written("MP3", "MPEG_LAYER_III", rate=16_000)
    yield encoded(_sound(32_000), 32_000, "MP3", bitrate_mode="CONSTANT")
    [plain] = _muxed(("mp2", "mp2", 16_000))
    yield plain


def _headed() -> Iterator[bytes]:
    for name in ("AU", "AVR", "HTK", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "SDS", "IRCAM", "VOC", "NIST", "WVE", "XI"):
        subtypes = soundfile.available_subtypes(name)
        yield from _written(name, next(each for each in ("PCM_16", "ALAW", "DPCM_16") if each in subtypes))


def _mp4() -> Iterator[bytes]:
    yield from _muxed(
        ("ipod", "aac", 16_000),
        ("3gp", "libopencore_amrnb", 8_000),
        ("mp4", "libopus", 48_000),
        ("ipod", "alac", 8_000),
    )


def _matroska() -> Iterator[bytes]:
    yield from _muxed(("webm", "libopus", 48_000), ("matroska", "flac", 8_000), ("matroska", "aac", 16_000))
    yield with_tracks("matroska", Track(_sound(8_000), "flac", 8_000), Track(_sound(16_000), "flac", 16_000))


def _other_media() -> Iterator[bytes]:
    yield from _muxed(
        ("adts", "aac", 16_000), ("amr", "libopencore_amrnb", 8_000), ("asf", "wmav2", 44_100), ("ac3", "ac3", 48_000),
        ("wv", "wavpack", 8_000), ("mpegts", "aac", 48_000), ("flv", "aac", 44_100), ("tta", "tta", 8_000),
        ("avi", "pcm_s16le", 8_000),
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Iterator[bytes]]] = {
    "wav": _wav,
    "rf64-w64": _wav_large,
    "aiff": _aiff,
    "caf": _caf,
    "flac": _flac,
    "ogg": _ogg,
    "mp3": _mp3,
    "headed": _headed,
    "mp4": _mp4,
    "matroska": _matroska,
    "other-media": _other_media,
}
"""The first eight are libsndfile's, the others FFmpeg's."""


def seeds(family: str) -> list[bytes]:
    return list(FAMILIES[family]())
