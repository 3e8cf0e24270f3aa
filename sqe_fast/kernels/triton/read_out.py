"""From a hidden state to the probabilities of a few candidate tokens, as one Triton kernel. Forward only.

Only the candidates' rows of the head are read: 41 of Qwen2-Audio's 156,032.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sqe_fast.kernels.operators import Norm

WARPS = 8
STAGES = 3
BLOCK_K = 256
"""Elements of K at a time: 16 bytes for each thread of a warp, so that a warp has whole rows of the head."""
LEAST_CANDIDATES = 16


@triton.jit
def _read_out(
    x,  # [B, K]
    norm_weight,  # [K]
    head,  # [vocabulary, K]
    candidates,  # [B, C] int32
    probabilities,  # [B, C] float32
    K,
    C,
    eps,
    stride_x,
    stride_head,
    stride_candidates,
    BLOCK_C: tl.constexpr,  # ≥ C
    BLOCK_K: tl.constexpr,
    STAGES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x += row * stride_x
    c = tl.arange(0, BLOCK_C)
    d = tl.arange(0, BLOCK_K)
    token = tl.load(candidates + row * stride_candidates + c, mask=c < C, other=-1)
    named = token >= 0
    # 64 bit: 156,032 × 4096 is more than 2^29, and other heads are larger.
    rows = head + tl.maximum(token, 0).to(tl.int64) * stride_head
    squares = tl.zeros((BLOCK_K,), tl.float32)
    products = tl.zeros((BLOCK_C, BLOCK_K), tl.float32)
    # The norm's factor is the same for all of a row: it is applied to the sums.
    for k in tl.range(0, K, BLOCK_K, num_stages=STAGES):
        inside = k + d < K
        hidden = tl.load(x + k + d, mask=inside, other=0.0).to(tl.float32)
        weight = tl.load(norm_weight + k + d, mask=inside, other=0.0).to(tl.float32)
        part = tl.load(rows[:, None] + (k + d)[None, :], mask=named[:, None] & inside[None, :], other=0.0)
        squares += hidden * hidden
        products += part.to(tl.float32) * (hidden * weight)[None, :]
    logits = tl.sum(products, 1) / tl.sqrt(tl.sum(squares, 0) / K + eps)
    top = tl.max(tl.where(named, logits, float("-inf")), 0)
    weights = tl.where(named, tl.exp2((logits - top) * 1.4426950408889634), 0.0)  # log2(e)
    total = tl.sum(weights, 0)
    weights = weights / tl.where(total > 0, total, 1.0)  # without candidates: zeros
    tl.store(probabilities + row * C + c, weights, mask=c < C)


def read_out(x: Tensor, norm: Norm, head: Tensor, candidates: Tensor) -> Tensor:
    assert norm.bias is None
    assert all(matrix.stride(1) == 1 for matrix in (x, head, candidates))
    (B, K), C = x.shape, candidates.shape[1]
    probabilities = torch.empty(B, C, dtype=torch.float32, device=x.device)
    if B:
        block = max(LEAST_CANDIDATES, triton.next_power_of_2(C))
        _read_out[(B,)](
            x, norm.weight, head, candidates, probabilities, K, C, norm.eps,
            x.stride(0), head.stride(0), candidates.stride(0),
            BLOCK_C=block, BLOCK_K=BLOCK_K, STAGES=STAGES, num_warps=WARPS,
        )  # fmt: skip
    return probabilities
