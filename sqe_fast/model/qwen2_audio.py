"""Qwen2-Audio assembled: encoder → projector → decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.model import weights
from sqe_fast.model.decoder import CacheRows, Qwen2Decoder
from sqe_fast.model.encoder import Encoder, PackedClip


class Projector(nn.Module):
    def __init__(self, config: Qwen2AudioConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.audio.width, config.text.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[..., encoder width] → [..., decoder hidden size]"""
        out: Tensor = self.linear(x)
        return out


class Qwen2Audio(nn.Module):
    def __init__(self, config: Qwen2AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.audio)
        self.projector = Projector(config)
        self.decoder = Qwen2Decoder(config.text)

    def encode(self, mel: Tensor, frames: int) -> Tensor:
        """One clip's log-mel [n_mels, min(frames + 2, max)] → audio embeddings [tokens, hidden]."""
        return self.encode_batch([(mel, frames)])[0]

    def encode_batch(self, clips: Sequence[PackedClip]) -> tuple[Tensor, ...]:
        """Clips of any lengths → audio embeddings [tokens, hidden] of each, as `encode` would give them."""
        packed, tokens = self.encoder(clips)
        return torch.split(self.projector(packed), tokens)

    def embed(self, tokens: Tensor, audio: Tensor | Sequence[Tensor]) -> Tensor:
        """Token ids [B, T] → input embeddings [B, T, H].

        The k-th audio token id, row after row, takes the k-th audio embedding of `audio`: [A, H] packed, or one
        [n, H] after the other. Raises ValueError where their numbers differ.
        """
        packed = audio if isinstance(audio, Tensor) else torch.cat(list(audio)) if audio else None
        embeds: Tensor = self.decoder.embed(tokens)
        slots = tokens == self.config.audio_token_id
        wanted, given = int(slots.sum()), 0 if packed is None else packed.shape[0]
        if wanted != given:
            raise ValueError(f"{wanted} audio tokens, but {given} audio embeddings")
        if packed is None or not given:
            return embeds
        return embeds.masked_scatter(slots[:, :, None], packed.to(embeds.dtype))

    def forward(self, tokens: Tensor, audio: Tensor | Sequence[Tensor], rows: CacheRows | None = None) -> Tensor:
        """Token ids [B, T], padded on the right, and audio embeddings → hidden [B, T, H]."""
        hidden: Tensor = self.decoder(self.embed(tokens, audio), rows)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        return self.decoder.logits(hidden)


def load_checkpoint(
    folder: Path, dtype: torch.dtype | None = torch.float32, adapter: Path | None = None
) -> tuple[Qwen2Audio, Qwen2AudioConfig]:
    """The model of a checkpoint folder, in evaluation mode, with a LoRA adapter's folder merged into it.

    `dtype` None: as the checkpoint is stored.

    Raises UnusableError by name for whatever is wrong.
    """
    config = Qwen2AudioConfig.from_folder(folder)
    with torch.device("meta"):
        model = Qwen2Audio(config)
    weights.load(model, config, folder, dtype, adapter)
    return model.eval(), config


def save_checkpoint(model: Qwen2Audio, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors; tokenizer and graphs are others' business."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.write(folder, str(dtype).removeprefix("torch."))
    weights.save(model, model.config, folder, dtype)
