"""The Whisper-style audio encoder, at each clip's true length.

Hugging Face pads every clip to 30 s. Here clips lie end to end in one packed sequence: no padding reaches a matrix
product, and attention runs within each clip, so a clip's result does not depend on what lies beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sqe_fast.checkpoint.config import MEL_PER_POSITION, POSITIONS_PER_TOKEN, AudioConfig, positions

LAYER_NORM_EPS = 1e-5

PackedClip = tuple[Tensor, int]
"""(log-mel [n_mels, min(frames + 2, max_frames)], frames): frames = ceil(samples / 160)."""


class Encoder(nn.Module):
    """conv1 → conv2 (stride 2) → + positions → pre-norm layers → average pool of 2 → layer norm."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv1 = nn.Conv1d(config.n_mels, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=MEL_PER_POSITION, padding=1)
        self.positions = nn.Parameter(sinusoids(config.max_positions, width), requires_grad=False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, clips: Sequence[PackedClip]) -> tuple[Tensor, list[int]]:
        """Packed [sum of tokens, width] and each clip's number of tokens (40 ms each).

        Raises ValueError for a clip whose log-mel does not fit its frames.
        """
        for mel, frames in clips:
            if tuple(mel.shape) != self.config.mel_shape(frames):
                expected = list(self.config.mel_shape(frames))
                raise ValueError(f"a log-mel of {frames} frames must be {expected}, not {list(mel.shape)}")
        x, lengths = self._convolve(clips)
        for layer in self.layers:
            x = layer(x, lengths)
        x, tokens = _pool(x, lengths)
        return self.norm(x), tokens

    def _convolve(self, clips: Sequence[PackedClip]) -> tuple[Tensor, list[int]]:
        """Both convolutions over all clips at once: [sum of positions, width] with position embeddings added."""
        mels, valid, starts = lay_out(clips, self.config.n_mels, clips[0][0])
        x = F.gelu(self.conv1(mels[None]))
        if len(clips) > 1:
            x = x * valid.to(x.device)
        x = F.gelu(self.conv2(x))[0].T
        lengths = [positions(frames) for _, frames in clips]
        heads = [start // MEL_PER_POSITION for start in starts]
        pieces = [x[h : h + n] + self.positions[:n] for h, n in zip(heads, lengths, strict=True)]
        return torch.cat(pieces), lengths


def lay_out(clips: Sequence[PackedClip], n_mels: int, like: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Clips end to end: mels [n_mels, columns], where a clip lies [columns] bool, on the host, and where each starts.

    Each starts at an even column, at least one zero column after its predecessor: what a convolution's own zero padding
    would be. The first convolution's bias fills the columns between; they must be zeroed again after it.
    """
    spans = [(mel.shape[1] + 1 + 1) // 2 * 2 for mel, _ in clips]
    starts = [0, *accumulate(spans[:-1])]
    mels = like.new_zeros(n_mels, sum(spans))
    valid = torch.zeros(sum(spans), dtype=torch.bool)
    for (mel, _), start in zip(clips, starts, strict=True):
        mels[:, start : start + mel.shape[1]] = mel
        valid[start : start + mel.shape[1]] = True
    return mels, valid, starts


class EncoderLayer(nn.Module):
    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.head_dim = config.heads, config.head_dim
        self.attention_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(width, config.feed_forward)
        self.fc2 = nn.Linear(config.feed_forward, width)

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        """x [sum of lengths, width]; each clip attends to itself alone."""
        x = x + self.out(self._attend(self.attention_norm(x), lengths))
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.mlp_norm(x))))
        return out

    def _attend(self, x: Tensor, lengths: list[int]) -> Tensor:
        q, k, v = (
            torch.split(linear(x).view(-1, self.heads, self.head_dim).transpose(0, 1), lengths, dim=1)
            for linear in (self.q, self.k, self.v)
        )
        clips = [
            F.scaled_dot_product_attention(q_[None], k_[None], v_[None])[0]  # [heads, positions, head_dim]
            for q_, k_, v_ in zip(q, k, v, strict=True)
        ]
        return torch.cat(clips, dim=1).transpose(0, 1).reshape(x.shape)


def _pool(x: Tensor, lengths: list[int]) -> tuple[Tensor, list[int]]:
    """Mean of each pair of positions; an odd last position is dropped (it has served as an attention key)."""
    tokens = [n // POSITIONS_PER_TOKEN for n in lengths]
    pairs = [piece[: n * POSITIONS_PER_TOKEN] for piece, n in zip(torch.split(x, lengths), tokens, strict=True)]
    return torch.cat(pairs).view(-1, POSITIONS_PER_TOKEN, x.shape[1]).mean(dim=1), tokens


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's position embeddings [length, width]: sines, then cosines, of periods 2π to 10,000 · 2π positions."""
    step = math.log(10000) / (width // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)
