"""From encoder positions to audio tokens, as Triton kernels: average pool of 2, layer norm, linear. Forward only."""

from __future__ import annotations

from torch import Tensor

from sqe_fast.kernels.triton.linear import linear_into
from sqe_fast.kernels.triton.row_norm import normalise


def pool_norm_linear(
    x: Tensor,
    first: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    eps: float,
    weight: Tensor,
    bias: Tensor,
    out: Tensor,
    rows: Tensor,
) -> None:
    normed = normalise(x, norm_weight, norm_bias, eps, weight.dtype, first)
    linear_into((out,), normed, (weight,), (bias,), rows=rows)
