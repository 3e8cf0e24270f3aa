"""From encoder positions to audio embeddings: average pool of 2, norm and linear layer as Triton kernels.

Forward only.
"""

from __future__ import annotations

from torch import Tensor

from sqe_fast.kernels.operators import Linear, Norm
from sqe_fast.kernels.triton.linear import linear_into
from sqe_fast.kernels.triton.row_norm import normalise


def pool_norm_linear(x: Tensor, first: Tensor, norm: Norm, linear: Linear, out: Tensor, rows: Tensor) -> None:
    linear_into((out,), normalise(x, norm, linear.computed_in(x), first), (linear,), rows=rows)
