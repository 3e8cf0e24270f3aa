"""Distillation losses of hidden states and heads, ours and peers': the mean forward KL over all positions.

Liger-Kernel and TRL are not dependencies: `pip install --no-deps liger-kernel`, `pip install trl`; where one is not
installed its rows are missing, and say so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sqe_fast.kernels.kl.fused_kl import fused_linear_kl


class Case(NamedTuple):
    """Student (differentiated) and teacher, hidden states [T, D] and heads [V, D]; targets [T]."""

    student_hidden: Tensor
    student_head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor
    targets: Tensor


Loss = Callable[[Case], Tensor]
"""A scalar whose backward pass gives the gradients of the student's hidden states and head."""


def case(
    positions: int, vocabulary: int, width: int, dtype: torch.dtype = torch.float32, teacher_vocabulary: int = 0
) -> Case:
    """Logits of both models spread by about two, as a language model's do."""
    generator = torch.Generator().manual_seed(positions)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * (2 / width**0.5) ** 0.5).to(dtype)

    student = normal(positions, width).requires_grad_(), normal(vocabulary, width).requires_grad_()
    teacher_ids = teacher_vocabulary or vocabulary
    teacher = normal(positions, width), normal(teacher_ids, width)
    return Case(*student, *teacher, torch.randint(0, min(vocabulary, teacher_ids), (positions,), generator=generator))


def naive(given: Case) -> Tensor:
    """As a training script writes it."""
    log_p = torch.log_softmax(given.student_hidden @ given.student_head.T, -1)
    with torch.no_grad():
        log_q = torch.log_softmax(given.teacher_hidden @ given.teacher_head.T, -1)
    return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


def ours(given: Case) -> Tensor:
    return fused_linear_kl(*given).kl.mean()


def peers() -> dict[str, Loss]:
    """What is installed, by name; "naive" and "compiled" always are."""
    found: dict[str, Loss] = {"naive": naive, "compiled": torch.compile(naive, dynamic=False)}
    if importlib.util.find_spec("liger_kernel"):
        found |= {"liger": _liger(compiled=False), "liger_compiled": _liger(compiled=True)}
    if importlib.util.find_spec("trl"):
        found["trl"] = _trl()
    return found


def _liger(compiled: bool) -> Loss:
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    loss = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0, compiled=compiled)

    def of(given: Case) -> Tensor:
        found: Tensor = loss(*given)
        return found

    return of


def _trl() -> Loss:
    from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

    def of(given: Case) -> Tensor:
        student, head, teacher, teacher_head, _ = given
        each, _ = ChunkedDivergenceFunction.apply(student, head, None, teacher, teacher_head, None, 0.0, 1.0)
        return each.mean()  # type: ignore[no-any-return]

    return of


def gradients(loss: Loss, given: Case) -> tuple[float, Tensor, Tensor]:
    """The loss, and the gradients of the student's hidden states and head."""
    given.student_hidden.grad = given.student_head.grad = None
    value = loss(given)
    value.backward()  # type: ignore[no-untyped-call]
    assert given.student_hidden.grad is not None
    assert given.student_head.grad is not None
    return float(value.detach()), given.student_hidden.grad, given.student_head.grad
