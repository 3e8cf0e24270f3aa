"""KL divergence between two language models and log-probabilities of the targets, in one pass over the positions.

The plain torch version: it holds logits of all positions at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Direction = Literal["forward", "reverse"]
"""forward: KL(teacher ‖ student). reverse: KL(student ‖ teacher), as the paper has it."""


@dataclass(frozen=True)
class TokenKL:
    """Per position, float32 (float64 of float64); 0 where the target is ignored. Differentiable towards the student."""

    kl: Tensor  # [T]
    student_logprob: Tensor  # [T]
    teacher_logprob: Tensor  # [T]


def linear_kl(
    student_hidden: Tensor,  # [T, D]
    student_head: Tensor,  # [V, D]
    teacher_hidden: Tensor,  # [T, E]
    teacher_head: Tensor,  # [W, E]
    targets: Tensor,  # [T] int64
    temperature: float = 1.0,
    direction: Direction = "forward",
    ignore_index: int = -100,
) -> TokenKL:
    """Where V and W differ, the KL is between the distributions over the shared ids 0 … min(V, W) − 1, renormalised;
    each log-probability is over its model's full vocabulary, −inf for a target that the teacher does not know.

    `temperature` divides the logits of the KL alone; nothing is rescaled by its square.
    """
    kept = (targets != ignore_index).nonzero()[:, 0]
    ids = targets[kept]
    student = _logits(student_hidden[kept], student_head)
    with torch.no_grad():
        teacher = _logits(teacher_hidden[kept], teacher_head)
        known = ids < teacher.shape[1]
        picked = torch.log_softmax(teacher, -1).gather(1, ids.where(known, 0)[:, None])[:, 0]
        teacher_logprob = picked.where(known, float("-inf"))
    shared = min(student.shape[1], teacher.shape[1])
    log_p = torch.log_softmax(student[:, :shared] / temperature, -1)
    log_q = torch.log_softmax(teacher[:, :shared] / temperature, -1)
    if direction == "forward":
        kl = (log_q.exp() * (log_q - log_p)).sum(-1)
    elif direction == "reverse":
        kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    else:
        raise ValueError(f"direction is 'forward' or 'reverse', not {direction!r}")
    student_logprob = torch.log_softmax(student, -1).gather(1, ids[:, None])[:, 0]
    return TokenKL(*(_spread(part, kept, len(targets)) for part in (kl, student_logprob, teacher_logprob)))


def _logits(hidden: Tensor, head: Tensor) -> Tensor:
    """[N, D], [V, D] → [N, V] in at least float32, whatever autocast says."""
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, head.dtype), torch.float32)
    with torch.autocast(hidden.device.type, enabled=False):
        return hidden.to(dtype) @ head.to(dtype).T


def _spread(values: Tensor, kept: Tensor, length: int) -> Tensor:
    """`values` at the positions `kept`, 0 elsewhere: [length]."""
    return values.new_zeros(length).index_put((kept,), values)
