"""Prefill over a KV cache, with rotary positions and grouped heads, as Triton kernels. Forward only.

One kernel rotates and appends keys, another attends. Steps along the keys begin at fixed positions, so each row is
summed in the same order whatever is prefilled with it, or was before.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.triton.attention import FLOAT32, check_cached, fold, rotated, scale_of, widths
from sqe_fast.kernels.triton.device import Tile, architecture, fits_tma

TILES = {80: Tile(64, 64, 4, 2), 120: Tile(64, 64, 4, 2), 90: Tile(64, 64, 4, 2)}
"""64 rows, not 128: a prompt of 300 tokens and 32 heads makes 160 programs, for 108 or 132 processors."""
APPEND = 16
"""Positions that a program appends."""


@triton.jit(do_not_specialize=["T", "past"])
def _append(
    k,  # [T, kv_heads · HEAD_DIM]
    v,
    cos,  # [positions, HEAD_DIM / 2]
    sin,
    keys,  # [kv_heads, max_length, HEAD_DIM]
    values,
    T,
    past,
    stride_k,
    stride_v,
    stride_keys,  # between heads
    stride_values,
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,  # ≥ HEAD_DIM / 2
    DIM: tl.constexpr,  # ≥ HEAD_DIM
    BLOCK: tl.constexpr,
):
    head = tl.program_id(1)
    t = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = (t < T)[:, None]
    h = tl.arange(0, HALF)
    d = tl.arange(0, DIM)
    cells = t[:, None] * stride_k + head * HEAD_DIM + h[None, :]
    turns = (past + t)[:, None] * (HEAD_DIM // 2) + h[None, :]
    first, second = rotated(k, known, h, cells, turns, cos, sin, HEAD_DIM)
    inside = known & (h < HEAD_DIM // 2)[None, :]
    to = keys + head.to(tl.int64) * stride_keys + ((past + t)[:, None] * HEAD_DIM + h[None, :])
    tl.store(to, first.to(keys.dtype.element_ty), mask=inside)
    tl.store(to + HEAD_DIM // 2, second.to(keys.dtype.element_ty), mask=inside)
    inside = known & (d < HEAD_DIM)[None, :]
    value = tl.load(v + (t[:, None] * stride_v + head * HEAD_DIM + d[None, :]), mask=inside, other=0.0)
    to = values + head.to(tl.int64) * stride_values + ((past + t)[:, None] * HEAD_DIM + d[None, :])
    tl.store(to, value.to(values.dtype.element_ty), mask=inside)


@triton.jit
def _remembered(
    memory,  # of one head's first position, and for TMA a descriptor of all heads
    head,
    position,
    column,
    end,
    columns: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    TMA: tl.constexpr,
    BLOCK_N: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """[BLOCK_N, WIDTH] from a position and column on; zeros from position `end` and from `columns` on."""
    if TMA:
        tile = memory.load([head, position, column]).reshape(BLOCK_N, WIDTH)
    else:
        n = position + tl.arange(0, BLOCK_N)
        d = tl.arange(0, WIDTH)
        inside = (n < end)[:, None] & (d < columns)[None, :]
        tile = tl.load(memory + column + (n[:, None] * HEAD_DIM + d[None, :]), mask=inside, other=0.0)
    return tile


@triton.jit
def _step(
    first,  # halves of rotated queries [M, HALF]
    second,
    keys,
    values,
    head,
    n,
    last,  # [M]: the last position that each row sees
    end,
    scale,
    top,
    total,
    acc,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    TMA: tl.constexpr,
    HALF: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """`fold` of the positions from n on."""
    key = _remembered(keys, head, n, 0, end, HEAD_DIM // 2, HEAD_DIM, TMA, BLOCK_N, HALF)
    scores = tl.dot(first, key.T, input_precision="ieee")
    key = _remembered(keys, head, n, HEAD_DIM // 2, end, HEAD_DIM // 2, HEAD_DIM, TMA, BLOCK_N, HALF)
    scores = tl.dot(second, key.T, scores, input_precision="ieee")
    if MASKED:
        scores = tl.where((n + tl.arange(0, BLOCK_N))[None, :] <= last[:, None], scores, float("-inf"))
    value = _remembered(values, head, n, 0, end, HEAD_DIM, HEAD_DIM, TMA, BLOCK_N, DIM)
    return fold(scores, value, scale, top, total, acc)


@triton.jit(do_not_specialize=["T", "past"])
def _prefill(
    q,  # [T, heads · HEAD_DIM]
    cos,
    sin,
    keys,  # [kv_heads, past + T, HEAD_DIM] of a longer memory; where TMA its descriptor, as values
    values,
    out,  # as q
    T,
    past,
    stride_q,
    stride_out,
    stride_keys,
    stride_values,
    scale,
    GROUP: tl.constexpr,  # heads to a KV head
    TMA: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Rows of a tile are (position, head of the group): what the group shares is read once for all its heads, and even
    one position fills GROUP rows."""
    begin = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M  # the longest first
    head = tl.program_id(1)
    row = begin + tl.arange(0, BLOCK_M)
    t = row // GROUP
    column = (head * GROUP + row % GROUP) * HEAD_DIM
    h = tl.arange(0, HALF)
    d = tl.arange(0, DIM)
    cells = (t * stride_q + column)[:, None] + h[None, :]
    turns = (past + t)[:, None] * (HEAD_DIM // 2) + h[None, :]
    first, second = rotated(q, (t < T)[:, None], h, cells, turns, cos, sin, HEAD_DIM)
    first, second = first.to(q.dtype.element_ty), second.to(q.dtype.element_ty)
    if not TMA:
        keys += head.to(tl.int64) * stride_keys
        values += head.to(tl.int64) * stride_values
    top = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    acc = tl.zeros((BLOCK_M, DIM), tl.float32)
    seen = (past + begin // GROUP + 1) // BLOCK_N * BLOCK_N  # by every row: no mask
    end = past + T
    last = past + t
    for n in range(0, seen, BLOCK_N):
        top, total, acc = _step(
            first, second, keys, values, head, n, last, end, scale, top, total, acc,
            False, HEAD_DIM, TMA, HALF, DIM, BLOCK_N,
        )  # fmt: skip
    for n in range(seen, tl.minimum(end, past + (begin + BLOCK_M - 1) // GROUP + 1), BLOCK_N):
        top, total, acc = _step(
            first, second, keys, values, head, n, last, end, scale, top, total, acc,
            True, HEAD_DIM, TMA, HALF, DIM, BLOCK_N,
        )  # fmt: skip
    acc = acc / total[:, None]
    inside = (t < T)[:, None] & (d < HEAD_DIM)[None, :]
    cells = (t * stride_out + column)[:, None] + d[None, :]
    tl.store(out + cells, acc.to(out.dtype.element_ty), mask=inside)


def prefill_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    past: int,
) -> Tensor:
    kv_heads, max_length, head_dim = keys.shape
    T, group = len(q), q.shape[1] // (kv_heads * head_dim)
    check_cached(q, k, v, cos, sin, keys, values)
    assert past + T <= min(max_length, len(cos))
    out = q.new_empty(q.shape)
    if not T:
        return out
    half, dim = widths(head_dim)
    _append[(triton.cdiv(T, APPEND), kv_heads)](
        k, v, cos, sin, keys, values, T, past, k.stride(0), v.stride(0), keys.stride(0), values.stride(0),
        HEAD_DIM=head_dim, HALF=half, DIM=dim, BLOCK=APPEND, num_warps=4,
    )  # fmt: skip
    tile = FLOAT32 if q.dtype == torch.float32 else TILES[architecture(q)]
    tma = dim == head_dim == 2 * half and fits_tma(keys, values)
    sources = keys, values
    if tma:  # a descriptor that ends with the last position: zeros beyond, not what the slot held before
        held = keys[:, : past + T], values[:, : past + T]
        sources = tuple(
            TensorDescriptor.from_tensor(part, [1, tile.n, width])
            for part, width in zip(held, (half, dim), strict=True)
        )
    _prefill[(triton.cdiv(T * group, tile.m), kv_heads)](
        q, cos, sin, *sources, out, T, past, q.stride(0), out.stride(0), keys.stride(0), values.stride(0),
        scale_of(head_dim), GROUP=group, TMA=tma, HEAD_DIM=head_dim, HALF=half, DIM=dim,
        BLOCK_M=tile.m, BLOCK_N=tile.n, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out
