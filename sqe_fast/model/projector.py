"""From the encoder's width to the decoder's."""

from __future__ import annotations

from torch import Tensor, nn

from sqe_fast.model.config import Qwen2AudioConfig


class Projector(nn.Module):
    def __init__(self, config: Qwen2AudioConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.audio.width, config.text.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[..., encoder width] → [..., decoder hidden size]"""
        out: Tensor = self.linear(x)
        return out
