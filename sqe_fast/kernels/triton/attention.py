"""What the attention kernels share: a step of softmax along the keys, rotary positions, and sizes.

Softmax runs along the keys in steps (FlashAttention-2, Dao 2023, algorithm 1); scores never reach memory.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl
from torch import Tensor

from sqe_fast.kernels.triton.device import Tile

FLOAT32 = Tile(16, 32, 8, 1)
"""Without tensor cores, which would round the factors to 10 bits."""
LEAST_DIM = 16
"""Fewest columns that a tensor core multiplies."""


@triton.jit
def fold(scores, v, scale, top, total, acc):
    """One step of softmax along the keys. Folds scores [M, N], −inf where masked, and values [N, D] into the largest
    scaled score so far [M], the sum of weights relative to it [M], and the weighted sum of values [M, D]."""
    highest = tl.maximum(top, tl.max(scores, 1) * scale)
    weights = tl.exp2(scores * scale - highest[:, None])
    shrink = tl.exp2(top - highest)
    total = total * shrink + tl.sum(weights, 1)
    acc = tl.dot(weights.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
    return highest, total, acc


@triton.jit
def rotated(x, rows, d, cells, turns, cos, sin, HEAD_DIM: tl.constexpr):
    """Loads both halves of heads and rotates them, in float32, [rows, HALF] each: first halves at x + cells, angles at
    `turns`, columns d."""
    inside = rows & (d < HEAD_DIM // 2)[None, :]
    first = tl.load(x + cells, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(x + cells + HEAD_DIM // 2, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + turns, mask=inside, other=0.0)
    s = tl.load(sin + turns, mask=inside, other=0.0)
    return first * c - second * s, second * c + first * s


def scale_of(head_dim: int) -> float:
    """The factor for scores by which softmax can use powers of 2: log2(e) / √head_dim."""
    return math.log2(math.e) / math.sqrt(head_dim)


def widths(head_dim: int) -> tuple[int, int]:
    """Powers of two that hold half a head, and a head."""
    half, dim = (max(LEAST_DIM, triton.next_power_of_2(width)) for width in (head_dim // 2, head_dim))
    return half, dim


def check_cached(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor) -> None:
    """Asserts what the kernels over a KV cache rely on; shapes as in `Operators.prefill_attention` and its fellow."""
    head_dim = keys.shape[-1]
    assert q.dtype == keys.dtype == values.dtype
    assert q.shape[1] % k.shape[1] == 0
    assert len(q) == len(k) == len(v)
    assert all(part.stride(1) == 1 for part in (q, k, v))
    assert all(memory.stride()[-2:] == (head_dim, 1) for memory in (keys, values))
    assert cos.is_contiguous()
    assert sin.is_contiguous()
