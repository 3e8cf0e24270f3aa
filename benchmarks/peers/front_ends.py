"""Other front ends: librosa and Hugging Face's extractor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import librosa
import numpy as np
import numpy.typing as npt
from transformers import WhisperFeatureExtractor

from sqe_fast.audio.features import HOP, N_FFT, SAMPLE_RATE
from tests.support import log_mel_oracle

Samples = npt.NDArray[np.float32]
FrontEnd = Callable[[Samples], npt.NDArray[np.floating]]


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
