"""Calls to measure with: clean speech with pauses, and the faults that a line may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE = 16_000
ROOM_DBFS = -65.0
"""Of the room in the pauses."""

Samples = npt.NDArray[np.float64]


class Speech:
    """Talkers from a folder, in any order and with pauses of a conversation between what they say."""

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*_clean.flac")) or sorted(
            path for path in folder.rglob("*") if path.suffix in {".flac", ".wav", ".ogg"}
        )
        self.clips = [self._read(path) for path in files]
        assert self.clips, f"no speech in {folder}"

    @staticmethod
    def _read(path: Path) -> Samples:
        samples, rate = soundfile.read(path, always_2d=True)
        mono: Samples = soxr.resample(samples.mean(axis=1), rate, RATE)
        return mono

    def call(self, seconds: float, seed: int) -> Samples:
        """[n] at 16 kHz; each call has one talker."""
        rng = np.random.default_rng(seed)
        clip = self.clips[seed % len(self.clips)]
        pieces, length = [], 0
        while length < seconds * RATE:
            begin = int(rng.integers(len(clip) // 2)) if not pieces else 0
            pause = np.zeros(round(rng.uniform(0.2, 3.0) * RATE))
            pieces += [clip[begin:], pause]
            length += len(clip) - begin + len(pause)
        samples = np.concatenate(pieces)[: round(seconds * RATE)]
        room = rng.standard_normal(len(samples)) * 10 ** (ROOM_DBFS / 20)
        return samples + room


def noise(x: Samples, rng: np.random.Generator) -> Samples:
    """White, 5 dB under the speech."""
    return x + rng.standard_normal(len(x)) * np.sqrt((x**2).mean() / 10 ** (5 / 10))


def loss(x: Samples, rng: np.random.Generator) -> Samples:
    """Packets of 20 ms, one in ten replaced by silence."""
    packet, phase = RATE // 50, int(rng.integers(RATE // 50))
    lost = np.repeat(rng.random(len(x) // packet + 2) < 0.1, packet)[phase : phase + len(x)]
    return np.where(lost, 0.0, x)


def clipping(x: Samples, rng: np.random.Generator) -> Samples:
    """28 dB into full scale."""
    return np.clip(x * 10 ** (28 / 20), -1, 1)


def mute(x: Samples, rng: np.random.Generator) -> Samples:
    return np.zeros_like(x)


def quiet(x: Samples, rng: np.random.Generator) -> Samples:
    """20 dB down."""
    return x * 10 ** (-20 / 20)


FAULTS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "noise at 5 dB": noise, "10 % loss": loss, "clipping": clipping, "mute": mute, "−20 dB": quiet,
}  # fmt: skip


def pcm(samples: Samples, rate: int = RATE) -> npt.NDArray[np.int16]:
    """16 bits at `rate` Hz."""
    at_rate = samples if rate == RATE else soxr.resample(samples, RATE, rate)
    return (np.clip(at_rate, -1, 32_767 / 32_768) * 32_768).round().astype(np.int16)
