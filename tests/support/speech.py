"""Speech-like material made by code (voiced syllables with pauses, 16 kHz), and a small model that can hear it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.model.qwen2_audio import Qwen2Audio
from tests.support.small_model import SMALL

SAMPLE_RATE = 16_000


def talk(seconds: float = 4.0, seed: int = 0, level: float = 0.1) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k**0.8 for k in range(1, 55))
    fricatives = rng.standard_normal(time.size) * 0.15
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time), 0, 1) * (np.sin(2 * np.pi * 0.45 * time) > -0.6)
    signal = (voice + fricatives) * syllables
    return (level * signal / np.sqrt(np.mean(signal**2))).astype(np.float32)


def listening_model(prompts: PromptBuilder) -> Qwen2Audio:
    """A small random model of the tokenizer's vocabulary."""
    torch.manual_seed(0)
    text = replace(SMALL.text, vocab_size=prompts.tokenizer.get_vocab_size(), max_positions=2048)
    return Qwen2Audio(replace(SMALL, text=text, audio_token_id=prompts.audio_token_id))
