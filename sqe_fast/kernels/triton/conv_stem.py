"""The encoder's two convolutions, as Triton kernels: matrix products that gather their factors. Forward only.

A convolution of width 3 is a product over (tap, channel). Its factors are read in place, by their strides: 16 bytes at
a time if channels are adjacent in memory, that is weights as [out, 3, in] and the mel as [columns, n_mels].
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from sqe_fast.kernels.operators import Linear
from sqe_fast.kernels.triton.device import architecture
from sqe_fast.kernels.triton.linear import GROUP_M, choose, finish, gelu, programs, step, tile_of_program

TAPS = 3


@triton.jit
def _load_weight(weight, column, tap, channels, M, K, stride_out, stride_in, stride_tap, BLOCK_N: tl.constexpr):
    """[channels, BLOCK_N]: one tap of BLOCK_N outputs."""
    c = tl.arange(0, BLOCK_N)
    inside = (channels < K)[:, None] & (column + c < M)[None, :]
    offsets = channels[:, None] * stride_in + c[None, :] * stride_out
    return tl.load(weight + column * stride_out + tap * stride_tap + offsets, mask=inside, other=0.0)


@triton.jit
def _convolved(
    x,  # channel c of column n at n · stride_column + c · stride_channel
    centres,  # [BLOCK_M]: the columns that rows are centred on
    columns,
    stride_column,
    stride_channel,
    weight,
    column,
    M,
    K,
    stride_out,
    stride_in,
    stride_tap,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """[BLOCK_M, BLOCK_N]: sums over taps and channels; columns before the first and after the last are zeros."""
    per_tap = tl.cdiv(K, BLOCK_K)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for i in range(3 * per_tap):
        tap = i // per_tap
        channels = i % per_tap * BLOCK_K + tl.arange(0, BLOCK_K)
        source = centres + tap - 1
        inside = ((source >= 0) & (source < columns))[:, None] & (channels < K)[None, :]
        offsets = source.to(tl.int64)[:, None] * stride_column + channels[None, :] * stride_channel
        a = tl.load(x + offsets, mask=inside, other=0.0)
        b = _load_weight(weight, column, tap, channels, M, K, stride_out, stride_in, stride_tap, BLOCK_N)
        acc = tl.dot(a, b, acc, input_precision="ieee")
    return acc


@triton.jit(do_not_specialize=["N"])
def _conv1(
    mel,  # [K, N]: channel by column
    valid,  # [N] bool
    weight,  # [M, K, 3]
    bias,  # [M]
    out,  # [N, M]: GELU of the convolution, zero where not valid
    N,
    M,
    K,
    stride_channel,  # of mel
    stride_column,
    stride_out,
    stride_in,
    stride_tap,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    tile_m, tile_n = tile_of_program(tl.cdiv(N, BLOCK_M), tl.cdiv(M, BLOCK_N), GROUP_M)
    row, column = tile_m * BLOCK_M, tile_n * BLOCK_N
    r = row + tl.arange(0, BLOCK_M)
    acc = _convolved(
        mel, r, N, stride_column, stride_channel, weight, column, M, K, stride_out, stride_in, stride_tap,
        BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    c = column + tl.arange(0, BLOCK_N)
    acc = gelu(acc + tl.load(bias + c, mask=c < M, other=0.0).to(tl.float32)[None, :])
    kept = tl.load(valid + r, mask=r < N, other=0).to(tl.float32)
    acc *= kept[:, None]
    finish(acc, None, None, None, out, None, row, column, N, M, 0, False, BLOCK_M, BLOCK_N)


@triton.jit(do_not_specialize=["N", "columns"])
def _conv2(
    x,  # [columns, K]
    centres,  # [N] int32: of these columns
    weight,  # [M, K, 3]
    bias,  # [M]
    table,  # [positions, M]
    steps,  # [N] int32: rows of the table
    out,  # [N, M]
    N,
    M,
    K,
    columns,
    stride_out,
    stride_in,
    stride_tap,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    tile_m, tile_n = tile_of_program(tl.cdiv(N, BLOCK_M), tl.cdiv(M, BLOCK_N), GROUP_M)
    row, column = tile_m * BLOCK_M, tile_n * BLOCK_N
    r = row + tl.arange(0, BLOCK_M)
    centre = tl.load(centres + r, mask=r < N, other=-2)  # −2: all three taps lie outside
    acc = _convolved(
        x, centre, columns, K, 1, weight, column, M, K, stride_out, stride_in, stride_tap, BLOCK_M, BLOCK_N, BLOCK_K
    )
    finish(acc, bias, table, steps, out, None, row, column, N, M, M, True, BLOCK_M, BLOCK_N)


def conv_stem(
    mel: Tensor,
    valid: Tensor,
    columns: Tensor,
    steps: Tensor,
    conv1: Linear,
    conv2: Linear,
    table: Tensor,
) -> Tensor:
    (weight1, bias1, _), (weight2, bias2, _) = conv1, conv2
    width = len(weight2)
    out = mel.new_empty(len(columns), width)
    if not len(columns):
        return out
    assert table.is_contiguous()
    assert bias1 is not None
    assert bias2 is not None
    assert weight1.shape[2] == weight2.shape[2] == TAPS
    n_mels, count = mel.shape
    hidden = mel.new_empty(count, len(weight1))
    tile, k = choose(count, (len(weight1),), mel.dtype, architecture(mel), widest=128), step(mel.dtype)
    _conv1[(programs(tile, count, (len(weight1),)),)](
        mel, valid, weight1, bias1, hidden, count, len(weight1), n_mels, *mel.stride(), *weight1.stride(),
        BLOCK_M=tile.m, BLOCK_N=tile.n, BLOCK_K=k, GROUP_M=GROUP_M, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    tile = choose(len(columns), (width,), mel.dtype, architecture(mel), widest=128)
    _conv2[(programs(tile, len(columns), (width,)),)](
        hidden, columns, weight2, bias2, table, steps, out, len(columns), width, len(weight1), count, *weight2.stride(),
        BLOCK_M=tile.m, BLOCK_N=tile.n, BLOCK_K=k, GROUP_M=GROUP_M, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out
