"""A decoder's weights in 8 bits: half of what a decode step reads, which is what it waits for.

Each output channel has its own scale, by its largest weight; activations stay as they are, so nothing depends on the
neighbours. Embeddings, head and norms stay as they are, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 127
"""On either side of 0: weights are symmetric, and −128 is not used."""


class Int8Linear(nn.Module):
    """What a linear layer's weights come to in 8 bits: `kernels.operators.Linear`, with a scale."""

    weight: Tensor  # [M, K] int8
    scale: Tensor  # [M] float32
    bias: Tensor | None  # [M]

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = quantised(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[M, K] → int8 [M, K] and the scale of each row, [M] float32; of a row of zeros the scale is 1."""
    whole = weight.float()
    largest = whole.abs().amax(1)
    scale = torch.where(largest > 0, largest / STEPS, 1.0)
    return (whole / scale[:, None]).round().to(torch.int8), scale


def quantise(decoder: nn.Module) -> None:
    """Put an `Int8Linear` in the place of each linear layer of the decoder's layers."""
    for layer in decoder.get_submodule("layers").children():
        for name, part in list(layer.named_children()):
            if isinstance(part, nn.Linear):
                setattr(layer, name, Int8Linear(part))
