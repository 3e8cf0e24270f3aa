"""Prefill of several sequences over a KV cache, with rotary positions and grouped heads, as Triton kernels.

Forward only. One kernel rotates and appends keys, another attends. Steps along the keys begin at fixed positions, so
each row is summed in the same order whatever is prefilled with it, or was before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.operators import Span
from sqe_fast.kernels.triton.attention import FLOAT32, check_cached, fold, rotated, scale_of, widths
from sqe_fast.kernels.triton.device import Tile, architecture, fits_tma
from sqe_fast.kernels.upload import upload

TILES = {80: Tile(64, 64, 4, 2), 120: Tile(64, 64, 4, 2), 90: Tile(64, 64, 4, 2)}
"""64 rows, not 128: a prompt of 300 tokens and 32 heads makes 160 programs, for 108 or 132 processors."""
APPEND = 16
"""Positions that a program appends."""


@triton.jit
def _append(
    k,  # [T, kv_heads · HEAD_DIM]
    v,
    cos,  # [positions, HEAD_DIM / 2]
    sin,
    keys,  # [slots, kv_heads, max_length, HEAD_DIM]
    values,
    schedule,  # [programs, 4] int32: slot, position, row, rows
    stride_k,
    stride_v,
    stride_slot,  # of keys and of values
    stride_head,
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,  # ≥ HEAD_DIM / 2
    DIM: tl.constexpr,  # ≥ HEAD_DIM
    BLOCK: tl.constexpr,
):
    entry = schedule + tl.program_id(0) * 4
    slot = tl.load(entry)
    position = tl.load(entry + 1)
    row = tl.load(entry + 2)
    count = tl.load(entry + 3)
    head = tl.program_id(1)
    t = tl.arange(0, BLOCK)
    known = (t < count)[:, None]
    h = tl.arange(0, HALF)
    d = tl.arange(0, DIM)
    memory = slot.to(tl.int64) * stride_slot + head * stride_head
    cells = (row + t)[:, None] * stride_k + head * HEAD_DIM + h[None, :]
    turns = (position + t)[:, None] * (HEAD_DIM // 2) + h[None, :]
    first, second = rotated(k, known, h, cells, turns, cos, sin, HEAD_DIM)
    inside = known & (h < HEAD_DIM // 2)[None, :]
    to = keys + memory + ((position + t)[:, None] * HEAD_DIM + h[None, :])
    tl.store(to, first.to(keys.dtype.element_ty), mask=inside)
    tl.store(to + HEAD_DIM // 2, second.to(keys.dtype.element_ty), mask=inside)
    inside = known & (d < HEAD_DIM)[None, :]
    value = tl.load(v + ((row + t)[:, None] * stride_v + head * HEAD_DIM + d[None, :]), mask=inside, other=0.0)
    to = values + memory + ((position + t)[:, None] * HEAD_DIM + d[None, :])
    tl.store(to, value.to(values.dtype.element_ty), mask=inside)


@triton.jit
def _remembered(
    memory,  # of one head's first position, and for TMA a descriptor of all heads of all slots
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
    """[BLOCK_N, WIDTH] from a position and column on; zeros from `columns` on, and from position `end`, but with TMA:
    there comes what the slot held before."""
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
    if MASKED and TMA:  # 0 · NaN is NaN: not even an infinite value of whoever had the slot before may reach this one
        value = tl.where((n + tl.arange(0, BLOCK_N) < end)[:, None], value, 0.0)
    return fold(scores, value, scale, top, total, acc)


@triton.jit
def _prefill(
    q,  # [T, heads · HEAD_DIM]
    cos,
    sin,
    keys,  # [slots, kv_heads, max_length, HEAD_DIM]; where TMA its descriptor, all heads in a row; as values
    values,
    out,  # as q
    schedule,  # [tiles, 5] int32: slot, positions held before, first row, rows, place of the tile within the sequence
    stride_q,
    stride_out,
    stride_slot,  # of keys and of values
    stride_head,
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
    entry = schedule + tl.program_id(0) * 5
    slot = tl.load(entry)
    past = tl.load(entry + 1)
    start = tl.load(entry + 2)
    T = tl.load(entry + 3)
    begin = tl.load(entry + 4)
    head = tl.program_id(1)
    row = begin + tl.arange(0, BLOCK_M)
    t = row // GROUP
    column = (head * GROUP + row % GROUP) * HEAD_DIM
    h = tl.arange(0, HALF)
    d = tl.arange(0, DIM)
    cells = ((start + t) * stride_q + column)[:, None] + h[None, :]
    turns = (past + t)[:, None] * (HEAD_DIM // 2) + h[None, :]
    first, second = rotated(q, (t < T)[:, None], h, cells, turns, cos, sin, HEAD_DIM)
    first, second = first.to(q.dtype.element_ty), second.to(q.dtype.element_ty)
    if TMA:
        head += slot * tl.num_programs(1)
    else:
        memory = slot.to(tl.int64) * stride_slot + head * stride_head
        keys += memory
        values += memory
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
    cells = ((start + t) * stride_out + column)[:, None] + d[None, :]
    tl.store(out + cells, acc.to(out.dtype.element_ty), mask=inside)


def prefill_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    spans: Sequence[Span],
) -> Tensor:
    _, kv_heads, max_length, head_dim = keys.shape
    group = q.shape[1] // (kv_heads * head_dim)
    check_cached(q, k, v, cos, sin, keys, values)
    assert keys.stride() == values.stride()
    assert sum(span.rows for span in spans) == len(q)
    assert all(span.past + span.rows <= min(max_length, len(cos)) for span in spans)
    out = q.new_empty(q.shape)
    if not len(q):
        return out
    half, dim = widths(head_dim)
    tile = FLOAT32 if q.dtype == torch.float32 else TILES[architecture(q)]
    appended, attended = _schedules(tuple(spans), tile.m, group, q.device)
    _append[(len(appended), kv_heads)](
        k, v, cos, sin, keys, values, appended, k.stride(0), v.stride(0), *keys.stride()[:2],
        HEAD_DIM=head_dim, HALF=half, DIM=dim, BLOCK=APPEND, num_warps=4,
    )  # fmt: skip
    tma = dim == head_dim == 2 * half and keys.is_contiguous() and fits_tma(keys, values)
    sources = keys, values
    if tma:
        sources = tuple(
            TensorDescriptor.from_tensor(part.flatten(0, 1), [1, tile.n, width])
            for part, width in zip(sources, (half, dim), strict=True)
        )
    _prefill[(len(attended), kv_heads)](
        q, cos, sin, *sources, out, attended, q.stride(0), out.stride(0), *keys.stride()[:2],
        scale_of(head_dim), GROUP=group, TMA=tma, HEAD_DIM=head_dim, HALF=half, DIM=dim,
        BLOCK_M=tile.m, BLOCK_N=tile.n, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out


@lru_cache(maxsize=8)  # every layer of a pass asks for the same
def _schedules(spans: tuple[Span, ...], block: int, group: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What the programs of `_append` and of `_prefill` take, [programs, 4] and [tiles, 5] int32. Tiles that see most
    come first: what starts last is soon done."""
    appended, attended, start = list[tuple[int, ...]](), list[tuple[int, ...]](), 0
    for slot, past, rows in spans:
        appended += [(slot, past + t, start + t, min(APPEND, rows - t)) for t in range(0, rows, APPEND)]
        attended += [(slot, past, start, rows, begin) for begin in range(0, rows * group, block)]
        start += rows
    attended.sort(key=lambda tile: -(tile[1] + tile[4] // group))
    first, second = (torch.tensor(entries, dtype=torch.int32) for entries in (appended, attended))
    return upload(first, device), upload(second, device)
