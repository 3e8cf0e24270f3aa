"""Each operator in plain torch, as directly as its formula: the oracle for the fast ones.

`operators.Operators` says what goes in and comes out; `linear_kl` is what the fused KL computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sqe_fast.kernels.operators import IDLE, Linear, Norm, Span

NAME = "torch"
CAPTURABLE = False  # decode_attention reads on the host how far each slot is filled


def check_device(device: torch.device) -> None:
    """There is none that torch has and these do not."""


# --- encoder ----------------------------------------------------------------------------------------------------------


def conv_stem(
    mel: Tensor,
    valid: Tensor,
    columns: Tensor,
    steps: Tensor,
    conv1: Linear,
    conv2: Linear,
    table: Tensor,
) -> Tensor:
    x = F.gelu(F.conv1d(mel[None], conv1.weight, conv1.bias, padding=1)) * valid
    x = F.gelu(F.conv1d(x, conv2.weight, conv2.bias, stride=2, padding=1))[0].T
    return x[columns // 2] + table[steps]


def norm_linear(x: Tensor, norm: Norm, linears: Sequence[Linear], gelu: bool = False) -> tuple[Tensor, ...]:
    normed = _normalise(x, norm)
    outputs = (_product(normed, linear) for linear in linears)
    return tuple(F.gelu(out) if gelu else out for out in outputs)


def linear_residual(x: Tensor, linear: Linear, residual: Tensor) -> Tensor:
    return residual + _product(x, linear)


def packed_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, lengths: Sequence[int]) -> Tensor:
    clips = zip(*(torch.split(part, list(lengths)) for part in (q, k, v)), strict=True)
    return torch.cat([_attend(*(_heads(part, heads) for part in clip)) for clip in clips])


def pool_norm_linear(x: Tensor, first: Tensor, norm: Norm, linear: Linear, out: Tensor, rows: Tensor) -> None:
    pooled = torch.stack([x[first], x[first + 1]]).mean(0)
    out[rows] = _product(_normalise(pooled, norm), linear)


# --- decoder ----------------------------------------------------------------------------------------------------------


def norm_swiglu(x: Tensor, norm: Norm, gate: Linear, up: Linear) -> Tensor:
    normed = _normalise(x, norm)
    return F.silu(_product(normed, gate)) * _product(normed, up)


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
    lengths = [span.rows for span in spans]
    parts = zip(*(torch.split(part, lengths) for part in (q, k, v)), spans, strict=True)
    return torch.cat(
        [_continued(q, k, v, cos, sin, keys[span.slot], values[span.slot], span.past) for q, k, v, span in parts]
    )


def _continued(
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, past: int
) -> Tensor:
    """One sequence; keys and values [kv_heads, max_length, head_dim]."""
    kv_heads, _, head_dim = keys.shape
    end = past + len(q)
    turn = cos[past:end], sin[past:end]
    keys[:, past:end] = rotate(_heads(k, kv_heads), *turn)
    values[:, past:end] = _heads(v, kv_heads)
    causal = torch.ones(len(q), end, dtype=torch.bool, device=q.device).tril(past)
    return _attend(rotate(_heads(q, q.shape[1] // head_dim), *turn), keys[:, :end], values[:, :end], causal)


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
    rows = [
        torch.zeros_like(q[b : b + 1])
        if held == IDLE
        else _continued(q[b : b + 1], k[b : b + 1], v[b : b + 1], cos, sin, keys[b], values[b], held)
        for b, held in enumerate(past.tolist())
    ]
    return torch.cat(rows)


def read_out(x: Tensor, norm: Norm, head: Tensor, candidates: Tensor) -> Tensor:
    normed = _normalise(x, norm)
    named = candidates >= 0
    # Not as a matrix product, whose order of summation depends on how many rows and candidates there are.
    logits = (head[candidates.clamp(min=0)].float() * normed[:, None, :].float()).sum(-1)
    return logits.masked_fill(~named, float("-inf")).softmax(-1).where(named, 0.0)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the halves of each head [first, second] against each other: x [heads, T, head_dim], the others
    [T, head_dim / 2] float32. Sines are rounded to x's dtype first, as Hugging Face rounds them."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _product(x: Tensor, linear: Linear) -> Tensor:
    if linear.scale is None:
        return F.linear(x, linear.weight, linear.bias)
    product = (F.linear(x, linear.weight.to(x.dtype)) * linear.scale).to(x.dtype)
    return product if linear.bias is None else product + linear.bias


def _normalise(x: Tensor, norm: Norm) -> Tensor:
    if norm.bias is None:
        return F.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)
    return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps)


def _heads(x: Tensor, heads: int) -> Tensor:
    """[N, heads · head_dim] → [heads, N, head_dim]"""
    return x.view(len(x), heads, -1).transpose(0, 1)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """q [heads, N, head_dim], k and v [kv_heads, S, head_dim] → [N, heads · head_dim]"""
    grouped = len(q) != len(k)
    out = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, enable_gqa=grouped)[0]
    return out.transpose(0, 1).flatten(1)


# --- fused KL ---------------------------------------------------------------------------------------------------------


def linear_kl(
    student_logits: Tensor,  # [N, V]
    teacher_logits: Tensor,  # [N, W]
    targets: Tensor,  # [N] int64
    temperature: float = 1.0,
    direction: str = "forward",
) -> tuple[Tensor, Tensor, Tensor]:
    """(KL, student's and teacher's log-probability of the target), [N] each; see `fused_kl.fused_linear_kl`."""
    shared = min(student_logits.shape[1], teacher_logits.shape[1])
    log_p = torch.log_softmax(student_logits[:, :shared] / temperature, -1)
    log_q = torch.log_softmax(teacher_logits[:, :shared] / temperature, -1)
    first, second = (log_q, log_p) if direction == "forward" else (log_p, log_q)
    kl = (first.exp() * (first - second)).sum(-1)
    return kl, target_logprob(student_logits, targets), target_logprob(teacher_logits, targets)


def target_logprob(logits: Tensor, targets: Tensor) -> Tensor:
    """Over the whole vocabulary; −inf for a target beyond it."""
    known = targets < logits.shape[1]
    picked = torch.log_softmax(logits, -1).gather(1, targets.where(known, 0)[:, None])[:, 0]
    return picked.where(known, float("-inf"))
