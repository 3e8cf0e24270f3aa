"""Test signals and sound files: real speech of examples/, made-up noise and music, files cut, forged and blown up."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEECH_FILES = sorted(EXAMPLES.glob("*.flac"))
RATE = 16_000

FloatArray = npt.NDArray[np.float32]

# libsndfile overflows its stack when it is handed minutes of Ogg Vorbis in one call.
WRITE_BLOCK = 4_096


def speech(name: str = "allison_clean") -> FloatArray:
    """[n] at 16 kHz, about 5 s."""
    samples, rate = soundfile.read(EXAMPLES / f"{name}.flac", dtype="float32")
    assert rate == RATE
    return np.asarray(samples)


def long_speech(seconds: float, rate: int = RATE) -> FloatArray:
    """Real speech, repeated."""
    return np.resize(speech(), round(seconds * rate))


def to_the_edge(samples: FloatArray) -> FloatArray:
    """[n] with a sound as its first sample and as its last: all of it is heard."""
    edged = np.array(samples, np.float32)
    edged[[0, -1]] = 0.01
    return edged


def noise(seconds: float, rms: float = 0.05, seed: int = 0, rate: int = RATE) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * rate)) * rms).astype(np.float32)


def tone(seconds: float, hertz: float = 440.0, amplitude: float = 0.3, rate: int = RATE) -> FloatArray:
    t = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def music(seconds: float) -> FloatArray:
    """Chords of a plucked instrument, two a second, with six harmonics a note."""
    chords = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (164.8, 207.7, 246.9))
    length = RATE // 2
    t = np.arange(length) / RATE
    parts = []
    for index in range(int(seconds * 2)):
        harmonics = [np.sin(2 * np.pi * note * k * t) / k for note in chords[index % 4] for k in range(1, 7)]
        parts.append(0.06 * np.sum(harmonics, axis=0) * np.exp(-1.5 * t))
    return np.concatenate(parts).astype(np.float32)


def encoded(
    samples: npt.NDArray[Any],
    rate: int = RATE,
    file_format: str = "WAV",
    subtype: str | None = None,
    bitrate_mode: str | None = None,
) -> bytes:
    """Samples [n] or [n, channels] as the bytes of a sound file."""
    buffer = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(
        buffer, "w", rate, channels, subtype, format=file_format, bitrate_mode=bitrate_mode
    ) as file:
        for block in blocks(samples):
            file.write(block)
    return buffer.getvalue()


def blocks(samples: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for start in range(0, len(samples), WRITE_BLOCK):
        yield samples[start : start + WRITE_BLOCK]


def wav_header(rate: int = RATE, channels: int = 1, data_bytes: int = 0) -> bytes:
    """A 16-bit PCM header that claims whatever it is told to claim."""
    align = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * align, 2**32 - 1), align & 0xFFFF, 16)
    size = min(36 + data_bytes, 2**32 - 1)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form + data_chunk(data_bytes)


def data_chunk(data_bytes: int) -> bytes:
    return b"data" + struct.pack("<I", data_bytes)


def pcm16(samples: FloatArray) -> bytes:
    return (np.clip(samples, -1, 32_767 / 32_768) * 32_768).astype("<i2").tobytes()


def bomb(path: Path, hours: float, rate: int = RATE) -> None:
    """Digital silence in FLAC: hundreds of hours a megabyte."""
    silence = np.zeros(1 << 20, np.int16)
    rest = round(hours * 3_600 * rate)
    with soundfile.SoundFile(path, "w", rate, 1, format="FLAC") as file:
        while rest > 0:
            file.write(silence[:rest])
            rest -= len(silence)


def flags_of(rate: int, *others: str) -> tuple[str, ...]:
    """What a recording of such a rate is flagged with, beside `others`."""
    return (*others, f"sample_rate={rate}") if rate < RATE else others
