"""The Qwen2 decoder: RMS norm, rotary positions, grouped-query attention with q/k/v bias, SwiGLU.

Alone it is the text expert; with audio embeddings among its inputs it is the language half of Qwen2-Audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqe_fast.checkpoint.config import TextConfig

INITIAL_STD = 0.02


@dataclass(frozen=True)
class KVCache:
    """Key and value memory, written in place: [layers, slots, kv_heads, max_length, head_dim] each."""

    keys: Tensor
    values: Tensor

    @classmethod
    def allocate(cls, config: TextConfig, slots: int, max_length: int, *, like: Tensor) -> KVCache:
        """Memory of the dtype and on the device of `like`; untouched until written."""
        shape = (config.layers, slots, config.kv_heads, max_length, config.head_dim)
        return cls(like.new_empty(shape), like.new_empty(shape))


@dataclass(frozen=True)
class CacheRows:
    """Where a batch's rows live: row b holds `past[b]` positions in slot `slots[b]` and appends its own."""

    cache: KVCache
    slots: Sequence[int]
    past: Sequence[int]


class Qwen2Decoder(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights, zero biases; what adds to the residual stream is scaled down by its 2 × layers summands."""
        residual = INITIAL_STD / math.sqrt(2 * self.config.layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                adds = name.endswith((".o.weight", ".down.weight"))
                nn.init.normal_(parameter, std=residual if adds else INITIAL_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, embeds: Tensor, rows: CacheRows | None = None) -> Tensor:
        """embeds [B, T, H] → hidden [B, T, H] after the final norm.

        Without `rows` positions start at 0 and attention is causal. Rows padded on the right need no mask: no valid
        position ever sees the padding, and what is computed on the padding is to be thrown away.
        """
        past = rows.past if rows else [0]
        rotary = self._rotary(embeds, past)
        x = embeds
        for index, layer in enumerate(self.layers):
            x = layer(x, rotary, rows, index)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., H] → [..., vocabulary]"""
        out: Tensor = self.head(hidden)
        return out

    def _rotary(self, embeds: Tensor, past: Sequence[int]) -> tuple[Tensor, Tensor]:
        """cos and sin [rows or 1, 1, T, head_dim], computed in float32 as Hugging Face does, whatever the dtype."""
        steps = torch.arange(embeds.shape[1], device=embeds.device)
        positions = torch.tensor(past, device=embeds.device)[:, None] + steps
        angles = positions[:, :, None].float() * rotary_frequencies(self.config, embeds.device)
        angles = torch.cat([angles, angles], dim=-1)[:, None]
        return angles.cos().to(embeds.dtype), angles.sin().to(embeds.dtype)


class DecoderLayer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        hidden, head_dim = config.hidden_size, config.head_dim
        self.head_dim = head_dim
        self.grouped = config.heads != config.kv_heads
        self.attention_norm = nn.RMSNorm(hidden, eps=config.rms_norm_eps)
        self.q = nn.Linear(hidden, config.heads * head_dim)
        self.k = nn.Linear(hidden, config.kv_heads * head_dim)
        self.v = nn.Linear(hidden, config.kv_heads * head_dim)
        self.o = nn.Linear(config.heads * head_dim, hidden, bias=False)
        self.mlp_norm = nn.RMSNorm(hidden, eps=config.rms_norm_eps)
        self.gate = nn.Linear(hidden, config.feed_forward, bias=False)
        self.up = nn.Linear(hidden, config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, hidden, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], rows: CacheRows | None, index: int) -> Tensor:
        normed = self.attention_norm(x)
        q = rotate(self._heads(self.q(normed)), *rotary)
        k = rotate(self._heads(self.k(normed)), *rotary)
        v = self._heads(self.v(normed))
        attended = self._attend(q, k, v, causal=True) if rows is None else self._attend_cached(q, k, v, rows, index)
        x = x + self.o(attended.transpose(1, 2).flatten(2))
        normed = self.mlp_norm(x)
        out: Tensor = x + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        """[B, T, heads · head_dim] → [B, heads, T, head_dim]"""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=self.grouped)

    def _attend_cached(self, q: Tensor, k: Tensor, v: Tensor, rows: CacheRows, index: int) -> Tensor:
        """Append each row's keys and values to its slot and attend over the slot: row by row, at its true length."""
        steps = q.shape[2]
        outputs = []
        for row, (slot, past) in enumerate(zip(rows.slots, rows.past, strict=True)):
            keys, values = rows.cache.keys[index, slot], rows.cache.values[index, slot]
            end = past + steps
            keys[:, past:end], values[:, past:end] = k[row], v[row]
            mask = None
            if past and steps > 1:
                mask = torch.ones(steps, end, dtype=torch.bool, device=q.device).tril(past)
            row_q = q[row : row + 1]
            causal = mask is None and steps > 1
            outputs.append(self._attend(row_q, keys[None, :, :end], values[None, :, :end], causal=causal, mask=mask))
        return torch.cat(outputs)


def rotary_frequencies(config: TextConfig, device: torch.device | None = None) -> Tensor:
    """Radians per position [head_dim / 2], float32."""
    exponents = torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim
    return 1.0 / (config.rope_theta**exponents)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each head's halves [first, second] against each other: x [B, heads, T, head_dim]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
