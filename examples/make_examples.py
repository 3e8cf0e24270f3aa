"""Degrade the two clean clips of this folder, the same way every time: `python examples/make_examples.py [FOLDER]`.

NumPy for the signal, soundfile for the FLAC files; README.md says what each file is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

HERE = Path(__file__).parent
RATE = 16_000
FloatArray = npt.NDArray[np.float64]


def noise(x: FloatArray) -> FloatArray:
    """Pink noise, 8 dB under the speech."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(len(x)))
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 50)), len(x))
    return x + pink * np.sqrt((x**2).mean() / (pink**2).mean() / 10 ** (8 / 10))


def packet_loss(x: FloatArray) -> FloatArray:
    """Packets of 20 ms; one in eight begins a burst of one to three lost ones, replaced by silence."""
    random = np.random.default_rng(2)
    y = x.copy()
    packet = RATE // 50
    for start in range(0, len(y), packet):
        if random.random() < 1 / 8:
            y[start : start + packet * int(random.integers(1, 4))] = 0.0
    return y


def telephone(x: FloatArray) -> FloatArray:
    """The band of a plain old telephone: 300 to 3,400 Hz, with raised-cosine edges of 100 Hz."""
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    rise = np.clip((hertz - 250) / 100, 0, 1)
    fall = np.clip((3_450 - hertz) / 100, 0, 1)
    return np.fft.irfft(np.fft.rfft(x) * np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2, len(x))


def clipped(x: FloatArray) -> FloatArray:
    """Amplified by 28 dB into full scale."""
    return np.clip(x * 10 ** (28 / 20), -1, 1)


def quiet(x: FloatArray) -> FloatArray:
    """Attenuated by 26 dB."""
    return x * 10 ** (-26 / 20)


DEGRADED: dict[str, tuple[str, Callable[[FloatArray], FloatArray]]] = {
    "june_noise.flac": ("june_clean.flac", noise),
    "allison_packet_loss.flac": ("allison_clean.flac", packet_loss),
    "june_telephone.flac": ("june_clean.flac", telephone),
    "allison_clipped.flac": ("allison_clean.flac", clipped),
    "june_quiet.flac": ("june_clean.flac", quiet),
}


def main(folder: Path) -> None:
    for name, (source, degrade) in DEGRADED.items():
        samples, rate = soundfile.read(HERE / source, dtype="float64")
        assert rate == RATE
        soundfile.write(folder / name, np.clip(degrade(samples), -1, 32_767 / 32_768), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
