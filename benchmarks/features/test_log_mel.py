"""Log-mel of one clip on one thread: ours beside librosa and Hugging Face's extractor, all on the same samples.

    pytest benchmarks/features --benchmark-columns=min,median,rounds -s

Peers take turns with ours, round by round, so that a busy machine slows all of them alike. Ratios above 1 mean that
ours is faster; they are printed and kept in the benchmark's extra_info.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from transformers import WhisperFeatureExtractor

from benchmarks.shapes import CLIP_SECONDS
from sqe_fast.features import HOP, N_FFT, SAMPLE_RATE, log_mel
from tests import log_mel_oracle

ROUNDS = 15
Samples = npt.NDArray[np.float32]
FrontEnd = Callable[[Samples], npt.NDArray[np.floating]]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
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


@pytest.mark.parametrize("seconds", CLIP_SECONDS)
@pytest.mark.usefixtures("one_thread")
def test_log_mel(benchmark: BenchmarkFixture, seconds: float) -> None:
    samples = (np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)
    exact = log_mel_oracle.log_mel(samples, 80)
    whole_frames = samples.size // HOP - 2  # those that no way of padding touches
    np.testing.assert_allclose(log_mel(samples).data, exact, rtol=0, atol=1e-5)

    contenders = peers()
    for name, peer in contenders.items():
        close = np.abs(peer(samples)[:, 2:whole_frames] - exact[:, 2:whole_frames]).max()
        assert close <= 1e-4, f"{name} computes something else"

    times: dict[str, list[float]] = {name: [] for name in contenders}

    def take_turns() -> None:
        for name, peer in contenders.items():
            start = time.perf_counter()
            peer(samples)
            times[name].append(time.perf_counter() - start)
        log_mel(samples)  # peers leave the caches cold; each of them ran right after another front end, too

    benchmark.group = f"log-mel, {seconds:g} s"
    benchmark.pedantic(lambda: log_mel(samples), setup=take_turns, rounds=ROUNDS, warmup_rounds=2)
    ours = statistics.median(benchmark.stats.stats.data)
    ratios = {name: statistics.median(times[name][2:]) / ours for name in contenders}
    benchmark.extra_info.update({name: round(ratio, 2) for name, ratio in ratios.items()})
    print(f"\n{seconds:g} s: ours {ours * 1e3:.2f} ms; " + ", ".join(f"{n} {r:.1f}×" for n, r in ratios.items()))
