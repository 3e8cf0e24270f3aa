"""Layer and RMS norm of rows, before a matrix product, as a Triton kernel of its own.

Inside the matrix product, each tile of 128 outputs would have to read its rows twice, the first time for their
statistics: for rows of width 4096 that is as much L2 traffic as the product's own. With a program for each row, its
sums are also added in the same order whatever tile the product takes for the batch.

The factor of an RMS norm commutes with the product, so its sum of squares could be taken along the way; that compiles
without a spill. But within a step Triton adds it up in an order that follows from the tile, the tile from how many rows
there are, and a row's result would depend on its neighbours. Two launches a layer are the price.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sqe_fast.kernels.operators import Norm

WARPS = 4


@triton.jit
def _load(x, row, columns, K, stride):
    return tl.load(x + row.to(tl.int64) * stride + columns, mask=columns < K, other=0.0).to(tl.float32)


@triton.jit
def _normalise(
    x,  # [rows, K]
    first,  # [N] int32: the first of two rows to average; None to take rows as they are
    weight,  # [K]
    bias,  # [K]; None: RMS norm
    out,  # [N, K]
    K,
    stride,
    eps,
    BLOCK: tl.constexpr,  # ≥ K
):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < K
    if first is None:
        values = _load(x, row, columns, K, stride)
    else:
        pair = tl.load(first + row)
        values = 0.5 * (_load(x, pair, columns, K, stride) + _load(x, pair + 1, columns, K, stride))
    if bias is not None:  # about the mean: a difference of two large sums would lose the variance
        values = tl.where(inside, values - tl.sum(values, 0) / K, 0.0)
    values *= 1.0 / tl.sqrt(tl.sum(values * values, 0) / K + eps)
    values *= tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    if bias is not None:
        values += tl.load(bias + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row.to(tl.int64) * K + columns, values.to(out.dtype.element_ty), mask=inside)


def normalise(
    x: Tensor,  # [rows, K]
    norm: Norm,
    dtype: torch.dtype,
    first: Tensor | None = None,  # [N] int32
) -> Tensor:
    """Each row's norm, or that of the mean of rows first and first + 1; computed in float32 and rounded once, to
    `dtype`: [N, K]."""
    assert x.stride(1) == 1
    K = x.shape[1]
    out = x.new_empty(len(x) if first is None else len(first), K, dtype=dtype)
    if len(out):
        block = triton.next_power_of_2(K)
        _normalise[(len(out),)](
            x, first, norm.weight, norm.bias, out, K, x.stride(0), norm.eps, BLOCK=block, num_warps=WARPS
        )
    return out
