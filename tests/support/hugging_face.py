"""Hugging Face's own Qwen2-Audio as the oracle: prompts as both sides want them, and what it says to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor
from transformers.models.qwen2 import modeling_qwen2

from sqe_fast.checkpoint.config import MEL_MARGIN, Qwen2AudioConfig, audio_tokens
from tests.support.small_model import SAMPLE_RATE, waveform

EAGER_TO_SDPA = 3.0
ULPS = 8 * 2**-23


class Outputs(NamedTuple):
    audio: list[Tensor]  # a clip's embeddings [tokens, hidden]
    logits: Tensor  # [T, vocabulary]


class Prompt:
    """Clips of the given seconds in one prompt, between some text, as both sides want them."""

    def __init__(self, folder: Path, seconds: tuple[float, ...], dtype: torch.dtype) -> None:
        config = Qwen2AudioConfig.from_folder(folder)
        extractor = WhisperFeatureExtractor(feature_size=config.audio.n_mels)
        waves = [waveform(duration, seed) for seed, duration in enumerate(seconds)]
        features = extractor(waves, sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt")
        self.features = features.input_features.to(dtype)
        self.mask = features.attention_mask
        self.frames = [-(-len(wave) // 160) for wave in waves]
        assert self.frames == self.mask.sum(1).tolist()
        pairs = zip(self.features, self.frames, strict=True)
        self.clips = [(mel[:, : frames + MEL_MARGIN], frames) for mel, frames in pairs]
        text = [token for token in range(30, 70) if token != config.audio_token_id]
        ids = text[:7]
        for index, frames in enumerate(self.frames):
            ids += [config.audio_token_id] * audio_tokens(frames) + text[9 * index + 7 : 9 * index + 16]
        self.tokens = torch.tensor([ids])


@contextmanager
def exact_rms_norm() -> Iterator[None]:
    """Hugging Face's RMS norm computes in float32 whatever it is given, which would hide differences below 1e-7."""

    def forward(self: modeling_qwen2.Qwen2RMSNorm, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_qwen2.Qwen2RMSNorm, "forward", forward)
        yield


@torch.inference_mode()
def theirs(folder: Path, prompt: Prompt, dtype: torch.dtype, attention: str) -> Outputs:
    model = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention
    ).eval()
    projected: list[Tensor] = []
    projector = next(module for name, module in model.named_modules() if name.endswith("multi_modal_projector"))
    projector.register_forward_hook(lambda module, inputs, output: projected.append(output))
    logits = model(input_ids=prompt.tokens, input_features=prompt.features, feature_attention_mask=prompt.mask).logits
    counts = [audio_tokens(frames) for frames in prompt.frames]
    return Outputs([clip[:count] for clip, count in zip(projected[0], counts, strict=True)], logits[0])


def largest(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


def tolerance(eager: Tensor, sdpa: Tensor) -> float:
    """In float32: three times the difference between their own attentions, which is taken as at least eight units in
    the last place of the largest value (a small model's two may agree to the last bit)."""
    return EAGER_TO_SDPA * max(largest(eager, sdpa), ULPS * float(eager.abs().max()))
