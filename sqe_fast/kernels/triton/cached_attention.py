"""Attention over a KV cache with rotary positions and grouped heads, on Triton kernels. Forward only.

Prefill: one kernel rotates and appends keys, one attends. Decode: one kernel does both, by chunks of positions, one
puts the chunks together. Chunks and steps begin at fixed positions, so a row is summed alike in any batch.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.triton.decode_kernels import attend_chunks, combine_chunks
from sqe_fast.kernels.triton.device import architecture, fits_tma
from sqe_fast.kernels.triton.packed_attention import FLOAT32, LEAST_DIM, Tile, scale_of
from sqe_fast.kernels.triton.prefill_kernels import append, prefill

PREFILL = {80: Tile(64, 64, 4, 2), 90: Tile(64, 64, 4, 2)}
"""64 rows, not 128: a prompt of 300 tokens and 32 heads makes 160 programs, for 108 or 132 processors."""
APPEND = 16
"""Positions that a program appends."""
CHUNK = 128
"""Positions whose keys and values a program of decode reads before it has a result: 64 KiB of a 7B model's."""
DECODE = Tile(16, 64, 4, 3)
"""Tensor cores take no fewer than 16 rows. Decode waits for memory: that most rows stay empty costs nothing."""
MOST_PROGRAMS = 4096
"""Of decode, by taking several chunks each: more than a GPU holds at a time, and most could find nothing to do."""
COMBINE_WARPS = 4


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
    _check(q, k, v, cos, sin, keys, values)
    assert past + T <= min(max_length, len(cos))
    out = q.new_empty(q.shape)
    if not T:
        return out
    half, dim = _widths(head_dim)
    append[(triton.cdiv(T, APPEND), kv_heads)](
        k, v, cos, sin, keys, values, T, past, k.stride(0), v.stride(0), keys.stride(0), values.stride(0),
        HEAD_DIM=head_dim, HALF=half, DIM=dim, BLOCK=APPEND, num_warps=4,
    )  # fmt: skip
    tile = FLOAT32 if q.dtype == torch.float32 else PREFILL[architecture(q)]
    tma = dim == head_dim == 2 * half and fits_tma(keys, values)
    sources = keys, values
    if tma:  # a descriptor that ends with the last position: zeros beyond, not what the slot held before
        held = keys[:, : past + T], values[:, : past + T]
        sources = tuple(
            TensorDescriptor.from_tensor(part, [1, tile.n, width])
            for part, width in zip(held, (half, dim), strict=True)
        )
    prefill[(triton.cdiv(T * group, tile.m), kv_heads)](
        q, cos, sin, *sources, out, T, past, q.stride(0), out.stride(0), keys.stride(0), values.stride(0),
        scale_of(head_dim), GROUP=group, TMA=tma, HEAD_DIM=head_dim, HALF=half, DIM=dim,
        BLOCK_M=tile.m, BLOCK_N=tile.n, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    return out


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
    _check(q, k, v, cos, sin, keys, values)
    out = q.new_empty(q.shape)
    if not B:
        return out
    half, dim = _widths(head_dim)
    group, chunks = heads // kv_heads, triton.cdiv(max_length, CHUNK)
    partial = q.new_empty(B, heads, chunks, head_dim, dtype=torch.float32)
    weight = q.new_empty(B, heads, chunks, dtype=torch.float32)
    # How many programs share the chunks changes no result: each chunk has its own.
    programs = min(chunks, max(1, MOST_PROGRAMS // (B * kv_heads)))
    tile = FLOAT32 if q.dtype == torch.float32 else DECODE
    attend_chunks[(kv_heads, B, programs)](
        q, k, v, cos, sin, keys, values, past, partial, weight, chunks, q.stride(0), k.stride(0), v.stride(0),
        *keys.stride()[:2], *values.stride()[:2], scale_of(head_dim),
        GROUP=group, ROWS=max(DECODE.m, triton.next_power_of_2(group)), HEAD_DIM=head_dim, HALF=half, DIM=dim,
        CHUNK=CHUNK, BLOCK_N=tile.n, num_warps=tile.warps, num_stages=tile.stages,
    )  # fmt: skip
    combine_chunks[(heads, B)](
        partial, weight, past, out, chunks,
        CHUNKS=triton.next_power_of_2(chunks), HEAD_DIM=head_dim, DIM=dim, CHUNK=CHUNK, num_warps=COMBINE_WARPS,
    )  # fmt: skip
    return out


def _check(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor) -> None:
    head_dim = keys.shape[-1]
    assert q.dtype == keys.dtype == values.dtype
    assert q.shape[1] % k.shape[1] == 0
    assert len(q) == len(k) == len(v)
    assert all(part.stride(1) == 1 for part in (q, k, v))
    assert all(memory.stride()[-2:] == (head_dim, 1) for memory in (keys, values))
    assert cos.is_contiguous()
    assert sin.is_contiguous()


def _widths(head_dim: int) -> tuple[int, int]:
    """Powers of two that hold half a head, and a head."""
    half, dim = (max(LEAST_DIM, triton.next_power_of_2(width)) for width in (head_dim // 2, head_dim))
    return half, dim
