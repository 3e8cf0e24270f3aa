"""The sizes of `tiny`, in one place."""

from __future__ import annotations

from tokenizers import Tokenizer

from sqe_fast.answer.template import AUDIO_TOKEN
from sqe_fast.checkpoint.config import Qwen2AudioConfig, TextConfig
from training.learning.whisper import encoder_weights

ENCODER_LAYERS = 2
"""Whisper's quality cue sits in layers 1 and 2; later layers listen to words."""


def tiny(tokenizer: Tokenizer, encoder_layers: int = ENCODER_LAYERS) -> Qwen2AudioConfig:
    audio, _ = encoder_weights(encoder_layers)
    text = TextConfig(
        vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64,
        hidden_size=384,
        layers=6,
        heads=6,
        kv_heads=2,
        head_dim=64,
        feed_forward=1024,
        max_positions=4096,
    )
    return Qwen2AudioConfig(audio, text, audio_token_id=tokenizer.token_to_id(AUDIO_TOKEN))
