"""Rotary positions: halves of a head turned against each other as a Triton kernel loads them."""

# mypy: disallow-untyped-decorators=False, disallow-untyped-defs=False, disallow-incomplete-defs=False
# What a kernel takes has no types that a checker knows.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def rotated(x, rows, d, cells, turns, cos, sin, HEAD_DIM: tl.constexpr):
    """Both halves of heads, rotated, in float32: their first columns at x + cells, their angles at `turns`, both
    broadcast to [rows, HALF] with columns d."""
    inside = rows & (d < HEAD_DIM // 2)[None, :]
    first = tl.load(x + cells, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(x + cells + HEAD_DIM // 2, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + turns, mask=inside, other=0.0)
    s = tl.load(sin + turns, mask=inside, other=0.0)
    return first * c - second * s, second * c + first * s
