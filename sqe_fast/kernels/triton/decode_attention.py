"""One decode step over a KV cache, with rotary positions and grouped heads, as Triton kernels. Forward only.

One kernel rotates, appends and attends, in chunks of positions; another combines the chunks. Chunks begin at fixed
positions, so each row is summed in the same order in any batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sqe_fast.kernels.triton.attention import FLOAT32, check_cached, fold, rotated, scale_of, widths
from sqe_fast.kernels.triton.device import Tile

CHUNK = 128
"""Positions whose keys and values a program of decode reads before it has a result: 64 KiB of a 7B model's."""
TILE = Tile(16, 64, 4, 3)
"""Tensor cores take no fewer than 16 rows. Decode waits for memory: that most rows stay empty costs nothing."""
MOST_PROGRAMS = 4096
"""Of decode, by taking several chunks each: more than a GPU holds at a time, and most could find nothing to do."""
COMBINE_WARPS = 4


@triton.jit
def _remembered(memory, n, end, columns: tl.constexpr, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr):
    """[positions n, WIDTH], zeros from position `end` and from `columns` on: what lies there may be NaN.

    Not by Hopper's copy engine: where a slot ends is known on the device only, so that its tiles would have to pass
    through registers to be masked.
    """
    d = tl.arange(0, WIDTH)
    inside = (n < end)[:, None] & (d < columns)[None, :]
    return tl.load(memory + (n[:, None] * HEAD_DIM + d[None, :]), mask=inside, other=0.0)


@triton.jit
def _chunk(
    first,  # halves of rotated queries [M, HALF]
    second,
    keys,  # of one slot and head
    values,
    begin,
    end,
    scale,
    top,
    total,
    acc,
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """`fold` of positions from begin to end."""
    for start in range(begin, end, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        key = _remembered(keys, n, end, HEAD_DIM // 2, HEAD_DIM, HALF)
        scores = tl.dot(first, key.T, input_precision="ieee")
        key = _remembered(keys + HEAD_DIM // 2, n, end, HEAD_DIM // 2, HEAD_DIM, HALF)
        scores = tl.dot(second, key.T, scores, input_precision="ieee")
        scores = tl.where((n < end)[None, :], scores, float("-inf"))
        value = _remembered(values, n, end, HEAD_DIM, HEAD_DIM, DIM)
        top, total, acc = fold(scores, value, scale, top, total, acc)
    return top, total, acc


@triton.jit
def _attend_chunks(
    q,  # [B, heads · HEAD_DIM]
    k,  # [B, kv_heads · HEAD_DIM]
    v,
    cos,  # [positions, HEAD_DIM / 2]
    sin,
    keys,  # [slots, kv_heads, max_length, HEAD_DIM]
    values,
    past,  # [B] int32
    partial,  # [B, heads, chunks, HEAD_DIM] float32: each chunk's result
    weight,  # [B, heads, chunks] float32: log2 of the sum of its weights
    chunks,
    stride_q,
    stride_k,
    stride_v,
    stride_keys_slot,
    stride_keys_head,
    stride_values_slot,
    stride_values_head,
    scale,
    GROUP: tl.constexpr,  # heads to a KV head
    ROWS: tl.constexpr,  # ≥ GROUP
    HEAD_DIM: tl.constexpr,
    HALF: tl.constexpr,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Chunks program_id(2), and every num_programs(2)-th from there, of one slot and KV head."""
    head = tl.program_id(0)
    b = tl.program_id(1).to(tl.int64)
    held = tl.load(past + b)
    newest = held // CHUNK  # the chunk of the position that is appended
    if (tl.program_id(2) > newest) | (held < 0):  # IDLE
        return
    g = tl.arange(0, ROWS)
    h = tl.arange(0, HALF)
    d = tl.arange(0, DIM)
    turns = held * (HEAD_DIM // 2) + h[None, :]
    cells = (head * GROUP + g)[:, None] * HEAD_DIM + h[None, :]
    first, second = rotated(q + b * stride_q, (g < GROUP)[:, None], h, cells, turns, cos, sin, HEAD_DIM)
    first, second = first.to(keys.dtype.element_ty), second.to(keys.dtype.element_ty)
    own_cells = head * HEAD_DIM + h[None, :]
    own_first, own_second = rotated(k + b * stride_k, (h >= 0)[None, :], h, own_cells, turns, cos, sin, HEAD_DIM)
    own_first, own_second = own_first.to(keys.dtype.element_ty), own_second.to(keys.dtype.element_ty)
    own_value = tl.load(v + b * stride_v + head * HEAD_DIM + d, mask=d < HEAD_DIM, other=0.0)
    own_value = own_value.to(values.dtype.element_ty)
    keys += b * stride_keys_slot + head.to(tl.int64) * stride_keys_head
    values += b * stride_values_slot + head.to(tl.int64) * stride_values_head
    if newest % tl.num_programs(2) == tl.program_id(2):
        half = (h < HEAD_DIM // 2)[None, :]
        to = keys + held * HEAD_DIM + h[None, :]
        tl.store(to, own_first, mask=half)
        tl.store(to + HEAD_DIM // 2, own_second, mask=half)
        tl.store(values + held * HEAD_DIM + d, own_value, mask=d < HEAD_DIM)
    # The appended position is taken from registers: what other threads store is not read back.
    own_score = tl.sum(first.to(tl.float32) * own_first.to(tl.float32), 1)
    own_score += tl.sum(second.to(tl.float32) * own_second.to(tl.float32), 1)
    for chunk in range(tl.program_id(2), newest + 1, tl.num_programs(2)):
        owns = chunk == newest
        top = tl.where(owns, own_score * scale, float("-inf"))
        total = tl.where(owns, 1.0, 0.0) + tl.zeros((ROWS,), tl.float32)
        acc = tl.where(owns, own_value.to(tl.float32)[None, :], 0.0) + tl.zeros((ROWS, DIM), tl.float32)
        begin = chunk * CHUNK
        end = tl.minimum(begin + CHUNK, held)
        top, total, acc = _chunk(
            first, second, keys, values, begin, end, scale, top, total, acc, HEAD_DIM, HALF, DIM, BLOCK_N
        )
        cell = ((b * tl.num_programs(0) + head) * GROUP + g) * chunks + chunk
        tl.store(weight + cell, top + tl.log2(total), mask=g < GROUP)
        inside = (g < GROUP)[:, None] & (d < HEAD_DIM)[None, :]
        tl.store(partial + (cell[:, None] * HEAD_DIM + d[None, :]), acc / total[:, None], mask=inside)


@triton.jit
def _combine_chunks(
    partial,  # [B, heads, chunks, HEAD_DIM] float32
    weight,  # [B, heads, chunks] float32
    past,  # [B] int32
    out,  # [B, heads · HEAD_DIM]
    chunks,
    CHUNKS: tl.constexpr,  # ≥ chunks
    HEAD_DIM: tl.constexpr,
    DIM: tl.constexpr,
    CHUNK: tl.constexpr,
):
    b = tl.program_id(1).to(tl.int64)
    cell = b * tl.num_programs(0) + tl.program_id(0)
    c = tl.arange(0, CHUNKS)
    d = tl.arange(0, DIM)
    held = tl.load(past + b)
    if held < 0:  # IDLE
        return
    live = c <= held // CHUNK  # of the others nothing has been written
    weights = tl.load(weight + cell * chunks + c, mask=live, other=float("-inf"))
    weights = tl.exp2(weights - tl.max(weights, 0))
    inside = live[:, None] & (d < HEAD_DIM)[None, :]
    parts = tl.load(partial + cell * chunks * HEAD_DIM + (c[:, None] * HEAD_DIM + d[None, :]), mask=inside, other=0.0)
    result = tl.sum(parts * weights[:, None], 0) / tl.sum(weights, 0)
    tl.store(out + cell * HEAD_DIM + d, result.to(out.dtype.element_ty), mask=d < HEAD_DIM)


def decode_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    past: Tensor,
) -> Tensor:
    _, kv_heads, max_length, head_dim = keys.shape
    B, heads = len(q), q.shape[1] // head_dim
    check_cached(q, k, v, cos, sin, keys, values)
    out = q.new_empty(q.shape)
    if not B:
        return out
    half, dim = widths(head_dim)
    group, chunks = heads // kv_heads, triton.cdiv(max_length, CHUNK)
    partial = q.new_empty(B, heads, chunks, head_dim, dtype=torch.float32)
    weight = q.new_empty(B, heads, chunks, dtype=torch.float32)
    # How many programs share the chunks changes no result: each chunk has its own.
    programs = min(chunks, max(1, MOST_PROGRAMS // (B * kv_heads)))
    tile = FLOAT32 if q.dtype == torch.float32 else TILE
    _attend_chunks[(kv_heads, B, programs)](
        q, k, v, cos, sin, keys, values, past, partial, weight, chunks, q.stride(0), k.stride(0), v.stride(0),
        *keys.stride()[:2], *values.stride()[:2], scale_of(head_dim),
        GROUP=group, ROWS=max(TILE.m, triton.next_power_of_2(group)), HEAD_DIM=head_dim, HALF=half, DIM=dim,
        CHUNK=CHUNK, BLOCK_N=tile.n, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    _combine_chunks[(heads, B)](
        partial, weight, past, out, chunks,
        CHUNKS=triton.next_power_of_2(chunks), HEAD_DIM=head_dim, DIM=dim, CHUNK=CHUNK, num_warps=COMBINE_WARPS,
    )  # fmt: skip
    return out
