"""Other front ends, and what all are measured with: clips, turns, ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import librosa
import numpy as np
import numpy.typing as npt
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from transformers import WhisperFeatureExtractor

from sqe_fast.audio.features import HOP, N_FFT, SAMPLE_RATE
from tests.support import log_mel_oracle

WARM_UP = 2
Samples = npt.NDArray[np.float32]
FrontEnd = Callable[[Samples], npt.NDArray[np.floating]]


def noise(seconds: float, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def librosa_log_mel(samples: Samples) -> npt.NDArray[np.floating]:
    """The same frames by librosa: true length, zeros on the right."""
    padded = np.concatenate([np.pad(samples, (N_FFT // 2, 0), mode="reflect"), np.zeros(2 * N_FFT, np.float32)])
    mel = librosa.feature.melspectrogram(
        y=padded, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=80, center=False, window="hann"
    )
    decades = np.log10(np.maximum(mel[:, : -(-samples.size // HOP) + 2], 1e-10))
    return (np.maximum(decades, decades.max() - 8) + 4) / 4


def peers() -> dict[str, FrontEnd]:
    extractor = WhisperFeatureExtractor()

    def padded(samples: Samples) -> npt.NDArray[np.floating]:
        """As Qwen2-Audio's processor calls it: 30 s, whatever the clip."""
        return extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np").input_features[0]

    def true_length(samples: Samples) -> npt.NDArray[np.floating]:
        """The extractor at its best: not asked to pad. Its last frames then differ from the padded clip's."""
        features = extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="np", padding="longest")
        return features.input_features[0]

    return {"librosa": librosa_log_mel, "hf_padded": padded, "hf_true_length": true_length}


def assert_same_figures(contenders: Mapping[str, FrontEnd], samples: Samples) -> None:
    """Each computes this log-mel, at least on the frames that no way of padding touches."""
    exact = log_mel_oracle.log_mel(samples, 80)
    whole_frames = samples.size // HOP - 2
    for name, peer in contenders.items():
        close = np.abs(peer(samples)[:, 2:whole_frames] - exact[:, 2:whole_frames]).max()
        assert close <= 1e-4, f"{name} computes something else"


def take_turns(
    benchmark: BenchmarkFixture, ours: Callable[[], object], others: Mapping[str, Callable[[], object]], rounds: int
) -> str:
    """Peers take turns with ours, round by round, so that a busy machine slows all of them alike. The ratios of medians
    go into the benchmark's extra_info; returns them, and our time, as a line."""
    times: dict[str, list[float]] = {name: [] for name in others}

    def turns() -> None:
        for name, other in others.items():
            start = time.perf_counter()
            other()
            times[name].append(time.perf_counter() - start)
        ours()  # peers leave the caches cold; each of them ran right after another front end, too

    benchmark.pedantic(ours, setup=turns, rounds=rounds, warmup_rounds=WARM_UP)
    if benchmark.disabled:
        return "not measured"
    median = statistics.median(benchmark.stats.stats.data)
    ratios = {name: statistics.median(taken[WARM_UP:]) / median for name, taken in times.items()}
    benchmark.extra_info.update({name: round(ratio, 2) for name, ratio in ratios.items()})
    return f"ours {median * 1e3:.2f} ms; " + ", ".join(f"{name} {ratio:.1f}×" for name, ratio in ratios.items())
