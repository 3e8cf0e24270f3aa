"""A Qwen2-Audio small enough for tests, with every size different from every other, and clips for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig
from sqe_fast.model.qwen2_audio import Qwen2Audio, save_checkpoint

SAMPLE_RATE = 16_000
AUDIO_TOKEN = 5

SMALL = Qwen2AudioConfig(
    audio=AudioConfig(n_mels=80, width=48, layers=2, heads=3, feed_forward=112, max_positions=1500),
    text=TextConfig(
        vocab_size=151,
        hidden_size=64,
        layers=3,
        heads=4,
        kv_heads=2,
        head_dim=16,
        feed_forward=88,
        max_positions=1024,
        rms_norm_eps=1e-3,
        rope_theta=5000.0,
    ),
    audio_token_id=AUDIO_TOKEN,
)


def like_7b(heads: int, kv_heads: int) -> Qwen2AudioConfig:
    """Qwen2-Audio-7B's topology, narrow: 128 mel, sizes that fill no tile, and the decoder's heads as given."""
    return replace(
        SMALL,
        audio=replace(SMALL.audio, n_mels=128),
        text=replace(SMALL.text, layers=2, heads=heads, kv_heads=kv_heads),
    )


def small_model(seed: int = 0, config: Qwen2AudioConfig = SMALL) -> Qwen2Audio:
    """Random weights large enough that attention is far from uniform and no bias or norm is trivial."""
    torch.manual_seed(seed)
    model = Qwen2Audio(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.3 if parameter.dim() == 1 else 1.2 / parameter[0].numel() ** 0.5
            offset = parameter.mean() if parameter.dim() == 1 else 0.0
            parameter.copy_(offset + spread * torch.randn_like(parameter))
    return model


def save_small(folder: Path, seed: int = 0, config: Qwen2AudioConfig = SMALL) -> Path:
    save_checkpoint(small_model(seed, config), folder)
    return folder


def random_clip(frames: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, int]:
    """A log-mel of noise with its two columns of margin."""
    generator = torch.Generator().manual_seed(seed + 1000 * frames)
    shape = SMALL.audio.mel_shape(frames)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) * 0.5, frames


def waveform(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """A rising tone with beats and noise: [samples], never silent."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * (180 + 90 * time) * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    samples: npt.NDArray[np.float32] = (0.3 * tone + 0.02 * rng.standard_normal(len(time))).astype(np.float32)
    return samples
