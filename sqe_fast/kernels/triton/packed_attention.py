"""Attention of packed clips over themselves, as a Triton kernel. Clips are not padded beyond their last tile.

Forward only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.triton.attention import FLOAT32, LEAST_DIM, fold, scale_of
from sqe_fast.kernels.triton.device import Tile, architecture, fits_tma
from sqe_fast.kernels.upload import upload

# By architecture alone: sizes that depended on the batch would change in which steps a row is summed.
# Registers decide: on H100 two programs share a processor at 112 a thread, on A100 three; there 128 rows would spill.
TILES = {80: Tile(64, 64, 4, 2), 120: Tile(64, 64, 4, 2), 90: Tile(128, 64, 8, 3)}


@triton.jit
def _load(
    source,
    row,
    column,
    rows,
    stride,
    TMA: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
    DIM: tl.constexpr,
):
    """[BLOCK_N, DIM] from a row and column on. `source` is an address, or for TMA a descriptor, which cannot know where
    the clip ends: then beyond `rows` come those of the next clip."""
    if TMA:
        tile = source.load([row, column])
    else:
        r = tl.arange(0, BLOCK_N)
        c = tl.arange(0, DIM)
        cells = source + row.to(tl.int64) * stride + column + (r[:, None] * stride + c[None, :])
        tile = tl.load(cells, mask=(r < rows)[:, None] & (c < HEAD_DIM)[None, :], other=0.0)
    return tile


@triton.jit
def _packed(
    q,  # [N, heads · HEAD_DIM]
    k,  # the same; where TMA its descriptor, as v
    v,
    out,
    schedule,  # [tiles, 3] int32: first row of the clip, rows of the clip, first query within it
    stride_q,
    stride_k,
    stride_v,
    stride_out,
    scale,  # log2(e) / √HEAD_DIM
    TMA: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    DIM: tl.constexpr,  # ≥ HEAD_DIM, a power of two
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    column = tl.program_id(0) * HEAD_DIM
    entry = schedule + tl.program_id(1) * 3
    start = tl.load(entry)
    length = tl.load(entry + 1)
    first = tl.load(entry + 2)
    m = tl.arange(0, BLOCK_M)
    d = tl.arange(0, DIM)
    n = tl.arange(0, BLOCK_N)
    inside = (first + m < length)[:, None] & (d < HEAD_DIM)[None, :]
    row = (start + first).to(tl.int64)
    queries = tl.load(q + row * stride_q + column + (m[:, None] * stride_q + d[None, :]), mask=inside, other=0.0)
    top = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    acc = tl.zeros((BLOCK_M, DIM), tl.float32)
    whole = length // BLOCK_N * BLOCK_N
    for key in range(0, whole, BLOCK_N):
        keys = _load(k, start + key, column, BLOCK_N, stride_k, TMA, HEAD_DIM, BLOCK_N, DIM)
        values = _load(v, start + key, column, BLOCK_N, stride_v, TMA, HEAD_DIM, BLOCK_N, DIM)
        scores = tl.dot(queries, keys.T, input_precision="ieee")
        top, total, acc = fold(scores, values, scale, top, total, acc)
    left = length - whole
    if left > 0:
        keys = _load(k, start + whole, column, left, stride_k, TMA, HEAD_DIM, BLOCK_N, DIM)
        values = _load(v, start + whole, column, left, stride_v, TMA, HEAD_DIM, BLOCK_N, DIM)
        scores = tl.dot(queries, keys.T, input_precision="ieee")
        scores = tl.where((n < left)[None, :], scores, float("-inf"))
        if TMA:  # 0 · NaN is NaN: not even an infinite value of the next clip may reach this one
            values = tl.where((n < left)[:, None], values, 0.0)
        top, total, acc = fold(scores, values, scale, top, total, acc)
    acc = acc / total[:, None]
    cells = out + row * stride_out + column + (m[:, None] * stride_out + d[None, :])
    tl.store(cells, acc.to(out.dtype.element_ty), mask=inside)


def packed_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, lengths: Sequence[int]) -> Tensor:
    assert q.shape == k.shape == v.shape
    assert sum(lengths) == len(q)
    assert all(part.stride(1) == 1 for part in (q, k, v))
    out = q.new_empty(q.shape)
    if not len(q):
        return out
    head_dim = q.shape[1] // heads
    dim = max(LEAST_DIM, triton.next_power_of_2(head_dim))
    tile = FLOAT32 if q.dtype == torch.float32 else TILES[architecture(q)]
    tma = dim == head_dim and fits_tma(k, v)
    keys, values = (TensorDescriptor.from_tensor(part, [tile.n, dim]) if tma else part for part in (k, v))
    schedule = _schedule(tuple(lengths), tile.m, q.device)
    _packed[(heads, len(schedule))](
        q, keys, values, out, schedule, q.stride(0), k.stride(0), v.stride(0), out.stride(0), scale_of(head_dim),
        TMA=tma, HEAD_DIM=head_dim, DIM=dim, BLOCK_M=tile.m, BLOCK_N=tile.n,
        num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out


@lru_cache(maxsize=8)  # every layer of a pass asks for the same
def _schedule(lengths: tuple[int, ...], block: int, device: torch.device) -> Tensor:
    """[tiles, 3] int32, tiles of long clips first: what starts last is soon done."""
    tiles, start = [], 0
    for length in lengths:
        tiles += [(start, length, first) for first in range(0, length, block)]
        start += length
    schedule = torch.tensor(sorted(tiles, key=lambda tile: -tile[1]), dtype=torch.int32)
    return upload(schedule, device)
