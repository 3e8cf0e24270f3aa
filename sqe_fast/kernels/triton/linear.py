"""Linear layers as Triton kernels, with the norm before them and the bias, GELU, residual or SwiGLU after them.

Forward only. Each row's result is independent of the batch: sums over K run in the same steps whatever the tile, and
all tiles of an architecture use the same tensor core instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.operators import Linear, Norm
from sqe_fast.kernels.triton.device import Tile, architecture, fits_tma
from sqe_fast.kernels.triton.row_norm import normalise

MOST_WEIGHTS = 3
GROUP_M = 8
"""Tiles of rows that neighbouring programs share: the weights they read at one time stay in L2."""


# --- tiles ------------------------------------------------------------------------------------------------------------


class Gpu(NamedTuple):
    processors: int
    tiles: tuple[Tile, ...]  # largest first


# The small tiles stream weights past few rows. What counts there is bytes in flight, hence many stages, and a program
# on every processor, hence few outputs for each. All of an A100's run on mma.m16n8k16.
A100 = Gpu(
    108,
    (Tile(128, 256, 8, 3), Tile(128, 128, 8, 3), Tile(64, 64, 8, 5), Tile(16, 64, 4, 6), Tile(16, 32, 4, 8)),
)
# wgmma has no fewer than 64 rows. For fewer there would be another instruction, which need not add in the same order: a
# row's result would then depend on its batch. Rows that are not there cost no memory traffic.
H100 = Gpu(132, (Tile(128, 256, 8, 4), Tile(128, 128, 8, 3), Tile(64, 64, 4, 6), Tile(64, 32, 4, 8)))
# With an A100's instructions and less shared memory. 2 × 128 outputs of `_swiglu` would spill.
RTX_50 = Gpu(170, A100.tiles[1:])

FLOAT32 = Tile(64, 64, 4, 2)
"""Without tensor cores, which would round the factors to 10 bits."""


def gpu(architecture: int) -> Gpu:
    """The GPU that tiles are sized for."""
    return {80: A100, 90: H100, 120: RTX_50}[architecture]


def step(dtype: torch.dtype) -> int:
    """Elements along K at a time: the same for all tiles, as it is part of the order of summation."""
    return 32 if dtype == torch.float32 else 64


def choose(rows: int, outputs: Sequence[int], dtype: torch.dtype, architecture: int, widest: int = 256) -> Tile:
    """The largest tile of at most `widest` outputs that the rows fill and that leaves no processor idle."""
    if dtype == torch.float32:
        return FLOAT32
    processors, tiles = gpu(architecture)
    fewest = tiles[-1].m
    for tile in tiles:
        if tile.m <= max(rows, fewest) and tile.n <= widest and programs(tile, rows, outputs) >= processors:
            return tile
    return tiles[-1]


def programs(tile: Tile, rows: int, outputs: Sequence[int]) -> int:
    """Tiles in a result of so many rows, for weights of so many outputs each."""
    return -(-rows // tile.m) * sum(-(-count // tile.n) for count in outputs)


# --- kernels ----------------------------------------------------------------------------------------------------------


@triton.jit
def tile_of_program(tiles_m, tiles_n, GROUP_M: tl.constexpr):
    """Row and column of this program's tile among tiles_m × tiles_n: GROUP_M rows of tiles at a time, by columns."""
    program = tl.program_id(0)
    above = program // (GROUP_M * tiles_n) * GROUP_M
    height = tl.minimum(tiles_m - above, GROUP_M)
    within = program - above * tiles_n
    return above + within % height, within // height


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


@triton.jit
def _load(source, row, k, rows, K, stride, TMA: tl.constexpr, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr):
    """[BLOCK, BLOCK_K] of a matrix [rows, K], zeros beyond it. `source` is its address or, for TMA, its descriptor."""
    if TMA:
        tile = source.load([row, k])
    else:
        r = tl.arange(0, BLOCK)
        c = k + tl.arange(0, BLOCK_K)
        inside = (row + r < rows)[:, None] & (c < K)[None, :]
        # 64 bit up to the tile, 32 bit within: an address for each thread and row costs twice the registers.
        tile = tl.load(source + row.to(tl.int64) * stride + (r[:, None] * stride + c[None, :]), mask=inside, other=0.0)
    return tile


@triton.jit
def _scaled(acc, scale, column, M, BLOCK_N: tl.constexpr):
    """Sums over int8 weights of outputs from `column` on, times what a step of each is worth; `scale` None: as they
    are."""
    if scale is not None:
        c = column + tl.arange(0, BLOCK_N)
        acc *= tl.load(scale + c, mask=c < M, other=0.0)[None, :]
    return acc


@triton.jit
def _product(
    x,
    weight,
    scale,
    bias,
    out,
    M,
    residual,
    rows,
    row,
    column,
    N,
    K,
    stride,
    stride_residual,
    GELU: tl.constexpr,
    TMA: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, K, BLOCK_K):
        a = _load(x, row, k, N, K, stride, TMA, BLOCK_M, BLOCK_K)
        b = _load(weight, column, k, M, K, K, TMA, BLOCK_N, BLOCK_K)
        if scale is None:
            a = a.to(b.dtype)
        else:
            b = b.to(a.dtype)
        acc = tl.dot(a, b.T, acc, input_precision="ieee")
    acc = _scaled(acc, scale, column, M, BLOCK_N)
    finish(acc, bias, residual, None, out, rows, row, column, N, M, stride_residual, GELU, BLOCK_M, BLOCK_N)


@triton.jit(do_not_specialize=["N"])
def _linear(
    x,  # [N, K]; where TMA its descriptor, as the weights
    weight0,  # [M0, K]
    scale0,  # [M0]: of int8 weights; else None
    bias0,  # [M0] or None
    out0,  # [N, M0]; with rows [slots, M0]
    M0,
    weight1,  # None where there are fewer weights
    scale1,
    bias1,
    out1,
    M1,
    weight2,
    scale2,
    bias2,
    out2,
    M2,
    residual,  # [N, M0] or None
    rows,  # [N]: where in out0 each row goes; None: in order
    N,
    K,
    stride,
    stride_residual,
    GELU: tl.constexpr,
    TMA: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    """x · weightᵀ and its epilogue, for up to three weights side by side. Each weight gets its own branch so that the
    compiler keeps its alignment information.

    With TMA, the compiler reports no spills for an H100 at 128 × 256 (154–230 registers), and no thread computes an
    address; with an A100's addresses the same tile spills 40–56 bytes, so 128 × 128 is its largest (136–184)."""
    end0 = tl.cdiv(M0, BLOCK_N)
    end1 = end0
    end2 = end0
    if weight1 is not None:
        end1 = end0 + tl.cdiv(M1, BLOCK_N)
        end2 = end1
    if weight2 is not None:
        end2 = end1 + tl.cdiv(M2, BLOCK_N)
    tile_m, tile_n = tile_of_program(tl.cdiv(N, BLOCK_M), end2, GROUP_M)
    row = tile_m * BLOCK_M
    if tile_n < end0:
        _product(
            x, weight0, scale0, bias0, out0, M0, residual, rows, row, tile_n * BLOCK_N, N, K, stride, stride_residual,
            GELU, TMA, BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
    if weight1 is not None:
        if (tile_n >= end0) & (tile_n < end1):
            column = (tile_n - end0) * BLOCK_N
            _product(
                x, weight1, scale1, bias1, out1, M1, None, None, row, column, N, K, stride, 0,
                GELU, TMA, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip
    if weight2 is not None:
        if tile_n >= end1:
            column = (tile_n - end1) * BLOCK_N
            _product(
                x, weight2, scale2, bias2, out2, M2, None, None, row, column, N, K, stride, 0,
                GELU, TMA, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip


@triton.jit(do_not_specialize=["N"])
def _swiglu(
    x,  # [N, K]; where TMA its descriptor, as the weights
    gate,  # [M, K]
    gate_scale,  # [M]: of int8 weights; else None
    up,  # [M, K]
    up_scale,
    out,  # [N, M]
    N,
    M,
    K,
    TMA: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    tile_m, tile_n = tile_of_program(tl.cdiv(N, BLOCK_M), tl.cdiv(M, BLOCK_N), GROUP_M)
    row, column = tile_m * BLOCK_M, tile_n * BLOCK_N
    gated = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    passed = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, K, BLOCK_K):
        a = _load(x, row, k, N, K, K, TMA, BLOCK_M, BLOCK_K)
        b = _load(gate, column, k, M, K, K, TMA, BLOCK_N, BLOCK_K)
        c = _load(up, column, k, M, K, K, TMA, BLOCK_N, BLOCK_K)
        gated = tl.dot(a, b.to(a.dtype).T, gated, input_precision="ieee")
        passed = tl.dot(a, c.to(a.dtype).T, passed, input_precision="ieee")
    gated = _scaled(gated, gate_scale, column, M, BLOCK_N)
    passed = _scaled(passed, up_scale, column, M, BLOCK_N)
    acc = gated * tl.sigmoid(gated) * passed
    finish(acc, None, None, None, out, None, row, column, N, M, 0, False, BLOCK_M, BLOCK_N)


# --- operators --------------------------------------------------------------------------------------------------------


def norm_linear(x: Tensor, norm: Norm, linears: Sequence[Linear], gelu: bool = False) -> tuple[Tensor, ...]:
    outs = tuple(x.new_empty(len(x), len(linear.weight)) for linear in linears)
    linear_into(outs, normalise(x, norm, linears[0].computed_in(x)), linears, gelu=gelu)
    return outs


def linear_residual(x: Tensor, linear: Linear, residual: Tensor) -> Tensor:
    out = x.new_empty(len(x), len(linear.weight))
    linear_into((out,), x, (linear,), residual=residual)
    return out


def norm_swiglu(x: Tensor, norm: Norm, gate: Linear, up: Linear) -> Tensor:
    (N, K), M = x.shape, len(gate.weight)
    for linear in (gate, up):
        assert linear.bias is None
        assert linear.weight.is_contiguous()
    out = x.new_empty(N, M)
    if N:
        dtype = gate.computed_in(x)
        normed = normalise(x, norm, dtype)
        tile = choose(N, (2 * M,), dtype, architecture(x), widest=256 if gate.scale is None else 128)
        tile = tile._replace(n=tile.n // 2)  # of each of the two
        k = step(dtype)
        tma = fits_tma(normed, gate.weight, up.weight)
        a, b, c = _described(tma, (normed, tile.m, k), (gate.weight, tile.n, k), (up.weight, tile.n, k))
        _swiglu[(programs(tile, N, (M,)),)](
            a, b, gate.scale, c, up.scale, out, N, M, K, TMA=tma, BLOCK_M=tile.m, BLOCK_N=tile.n, BLOCK_K=k,
            GROUP_M=GROUP_M, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
    return out


def linear_into(
    outs: Sequence[Tensor],  # one to three of [N, M], each with its own M; with rows [slots, M]
    x: Tensor,  # [N, K]
    linears: Sequence[Linear],  # [M, K]
    *,
    gelu: bool = False,
    residual: Tensor | None = None,  # [N, M], for one weight
    rows: Tensor | None = None,  # [N] int32, for one weight: where in the output each row goes
) -> None:
    """x · weightᵀ · scale + bias, then GELU, then + residual, written to `outs`: one launch."""
    assert 1 <= len(linears) == len(outs) <= MOST_WEIGHTS
    weights, scales, biases = zip(*((linear.weight, linear.scale, linear.bias) for linear in linears), strict=True)
    assert x.stride(1) == 1
    assert all(tensor.is_contiguous() for tensor in (*weights, *outs))
    N, K = x.shape
    if not N:
        return
    dtype, sizes = linears[0].computed_in(x), [len(weight) for weight in weights]
    gpu = architecture(x)
    # 256 outputs are 128 registers of sums: with GELU, or with addresses in place of descriptors, others would spill.
    tile = choose(N, sizes, dtype, gpu, widest=256 if gpu == 90 and not gelu and scales[0] is None else 128)
    k = step(dtype)
    tma = x.dtype == dtype and fits_tma(x, *weights)
    a, *b = _described(tma, (x, tile.m, k), *((weight, tile.n, k) for weight in weights))
    columns: list[Any] = [part for column in zip(b, scales, biases, outs, sizes, strict=True) for part in column]
    columns += [None, None, None, None, 0] * (MOST_WEIGHTS - len(weights))
    if residual is not None:
        assert residual.stride(1) == 1
    _linear[(programs(tile, N, sizes),)](
        a, *columns, residual, rows, N, K, x.stride(0), 0 if residual is None else residual.stride(0),
        GELU=gelu, TMA=tma, BLOCK_M=tile.m, BLOCK_N=tile.n, BLOCK_K=k, GROUP_M=GROUP_M,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip


def _described(tma: bool, *tiled: tuple[Tensor, int, int]) -> list[Tensor | TensorDescriptor]:
    """Of each (matrix, rows, columns of a tile) the matrix, or its descriptor."""
    if not tma:
        return [matrix for matrix, _, _ in tiled]
    return [TensorDescriptor.from_tensor(matrix, [rows, columns]) for matrix, rows, columns in tiled]
