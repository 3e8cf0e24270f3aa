"""Whisper's log-mel in float64, the long way: the whole zero-padded 30 s, numpy's FFT, dense filters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SAMPLE_RATE, HOP, WINDOW, CLIP = 16_000, 160, 400, 480_000


def slaney_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's mel → Hz: 200/3 Hz a mel up to mel 15 (1 kHz), beyond it a factor of 6.4 every 27 mels."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def filters(n_mels: int) -> npt.NDArray[np.float64]:
    """[n_mels, 201]: triangles between neighbouring edges, each of unit area over Hz."""
    top_mel = 15 + 27 * np.log(8) / np.log(6.4)  # 8 kHz
    edges = slaney_hz(np.linspace(0, top_mel, n_mels + 2))
    bins = np.arange(WINDOW // 2 + 1) * SAMPLE_RATE / WINDOW
    triangles = [np.interp(bins, edges[i : i + 3], [0, 1, 0]) for i in range(n_mels)]
    return np.stack(triangles) * (2 / (edges[2:] - edges[:-2]))[:, None]


def padded_log_mel(samples: npt.NDArray[np.float32], n_mels: int) -> npt.NDArray[np.float64]:
    """All 3,000 frames of `samples` zero-padded to 30 s: [n_mels, 3000]."""
    waveform = np.zeros(CLIP)
    waveform[: samples.size] = samples
    waveform = np.pad(waveform, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::HOP][:3000]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1])) ** 2
    decades = np.log10(np.maximum(filters(n_mels) @ power.T, 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


def log_mel(samples: npt.NDArray[np.float32], n_mels: int) -> npt.NDArray[np.float64]:
    """The frames that are kept of it: [n_mels, min(L + 2, 3000)], L = ceil(n / 160)."""
    return padded_log_mel(samples, n_mels)[:, : -(-samples.size // HOP) + 2]
