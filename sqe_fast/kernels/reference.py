"""What each operator computes, in plain torch and as directly as its formula: what the fast ones are judged by."""

from __future__ import annotations

import torch
from torch import Tensor


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


def top_k_kl(
    student_logits: Tensor,  # [N, V]
    teacher_ids: Tensor,  # [N, K] int64, different in each row
    teacher_logprobs: Tensor,  # [N, K]
    temperature: float = 1.0,
    direction: str = "forward",
) -> Tensor:
    """KL between the two distributions over K ids and "any other", [N]; see `fused_kl.fused_linear_kl_top_k`."""
    log_p = torch.log_softmax(student_logits / temperature, -1)
    others = torch.ones_like(log_p, dtype=torch.bool).scatter(1, teacher_ids, False)
    tail_p = log_p.masked_fill(~others, float("-inf")).logsumexp(-1, keepdim=True)
    log_p = torch.cat([log_p.gather(1, teacher_ids), tail_p], 1)
    tail_q = torch.log1p(-teacher_logprobs.exp().sum(-1, keepdim=True).clamp(max=1.0))
    log_q = torch.cat([teacher_logprobs, tail_q], 1)
    first, second = (log_q, log_p) if direction == "forward" else (log_p, log_q)
    terms = torch.where(first == float("-inf"), 0.0, first.exp() * (first - second))
    return terms.sum(-1)


def target_logprob(logits: Tensor, targets: Tensor) -> Tensor:
    """Over the whole vocabulary; −inf for a target beyond it."""
    known = targets < logits.shape[1]
    picked = torch.log_softmax(logits, -1).gather(1, targets.where(known, 0)[:, None])[:, 0]
    return picked.where(known, float("-inf"))
