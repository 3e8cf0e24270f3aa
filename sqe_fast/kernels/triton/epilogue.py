"""What follows the sums of a matrix product, in the same Triton kernel: bias, GELU, addition, and where results go."""

# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-incomplete-defs=False
# What a kernel takes has no types that a checker knows.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def finish(
    acc,  # [BLOCK_M, BLOCK_N] float32
    bias,  # [M] or None
    added,  # [rows, M] or None: what is added last
    added_rows,  # [N]: which of its rows; None: each its own
    out,  # [rows, M]
    out_rows,  # [N]: where to write; None: each to its own
    row,
    column,
    N,
    M,
    stride_added,
    GELU: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Bias, GELU and addition in float32, then rounding to out's dtype."""
    r = tl.arange(0, BLOCK_M)
    c = column + tl.arange(0, BLOCK_N)
    inside = (row + r < N)[:, None] & (c < M)[None, :]
    if bias is not None:
        acc += tl.load(bias + c, mask=c < M, other=0.0).to(tl.float32)[None, :]
    if GELU:
        acc = gelu(acc)
    if added is not None:
        cells = _cells(added, added_rows, row, r, c, N, stride_added)
        acc += tl.load(cells, mask=inside, other=0.0).to(tl.float32)
    tl.store(_cells(out, out_rows, row, r, c, N, M), acc.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _cells(matrix, rows, row, r, c, N, stride):
    """Addresses of columns c of rows row + r, or of those that `rows` names in their place."""
    if rows is None:
        cells = matrix + row.to(tl.int64) * stride + (r[:, None] * stride + c[None, :])
    else:
        named = tl.load(rows + row + r, mask=row + r < N, other=0)
        cells = matrix + named.to(tl.int64)[:, None] * stride + c[None, :]
    return cells


@triton.jit
def gelu(x):
    """Exact, by erf; 0.7071… is 1/√2."""
    return 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
