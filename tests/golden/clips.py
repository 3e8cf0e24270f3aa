"""Twelve golden clips: two clean voices of examples/, each as it is and in five degraded forms, always the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"
VOICES = ("allison", "june")
RATE = 16_000
SECONDS = 4.0

FloatArray = npt.NDArray[np.float64]


def _noise(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """White noise, 10 dB under the speech."""
    return x + rng.standard_normal(len(x)) * np.sqrt((x**2).mean() / 10)


def _band(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Nothing above 2 kHz; an edge of 200 Hz."""
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    return np.fft.irfft(np.fft.rfft(x) * np.clip((2_100 - hertz) / 200, 0, 1), len(x))


def _loss(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One packet of 20 ms in six replaced by silence."""
    packet = RATE // 50
    lost = rng.random(-(-len(x) // packet)) < 1 / 6
    return np.where(np.repeat(lost, packet)[: len(x)], 0.0, x)


def _clip(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """24 dB into full scale."""
    return np.clip(x * 10 ** (24 / 20), -1, 1)


def _quiet(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    """24 dB down."""
    return x * 10 ** (-24 / 20)


def _clean(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    return x


DEGRADATIONS: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "clean": _clean, "noise": _noise, "band": _band, "loss": _loss, "clip": _clip, "quiet": _quiet,
}  # fmt: skip


def golden_clips() -> dict[str, tuple[npt.NDArray[np.float32], int]]:
    """Name → (samples, sample rate). Rounded to 16 bits, so that no last bit of an FFT can matter."""
    clips = {}
    for seed, voice in enumerate(VOICES):
        clean, rate = soundfile.read(EXAMPLES / f"{voice}_clean.flac")
        assert rate == RATE
        for name, degrade in DEGRADATIONS.items():
            x = degrade(clean[: round(SECONDS * RATE)], np.random.default_rng(seed))
            clips[f"{voice}_{name}"] = ((np.rint(x * 32_767) / 32_768).astype(np.float32), rate)
    return clips
