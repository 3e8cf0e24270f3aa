"""Fused linear KL for a teacher of which only the likeliest ids are kept, as distillation data sets store them.

The KL is that between two distributions over K + 1 outcomes: each of the teacher's K ids, and any other id. Tiles and
gradients are those of `fused_kl`; the teacher needs no matrix product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sqe_fast.kernels import tile_ops
from sqe_fast.kernels.fused_kl import (
    Direction,
    TokenKL,
    check,
    known_targets,
    log_sums,
    spread,
    target_logits,
)
from sqe_fast.kernels.tiles import Cut, Gradients, LinearModel, within

LEAST_TAIL = 1e-12
"""Probability of "any other" below which it counts as this, so that its logarithm stays finite."""


def fused_linear_kl_top_k(
    student_hidden: Tensor,  # [T, D]
    student_head: Tensor,  # [V, D]
    teacher_ids: Tensor,  # [T, K] int64, different in each row
    teacher_logprobs: Tensor,  # [T, K], at the temperature; what they leave of 1 is the tail
    targets: Tensor,  # [T] int64
    temperature: float = 1.0,
    direction: Direction = "forward",
    ignore_index: int = -100,
    teacher_vocabulary: int | None = None,
) -> TokenKL:
    """`fused_linear_kl` from a teacher's top K. `teacher_logprob` is NaN where the target is not among the K.

    Ids that the student does not have are left out, and the teacher is renormalised over the rest; where the teacher
    has fewer ids than the student (`teacher_vocabulary`), the student is, over those. Raises ValueError as
    `fused_linear_kl`, and for ids and log-probabilities of different shapes.
    """
    if teacher_ids.shape != teacher_logprobs.shape or teacher_ids.dim() != 2:
        shapes = f"{list(teacher_ids.shape)} and {list(teacher_logprobs.shape)}"
        raise ValueError(f"ids and their log-probabilities are both [T, K], not {shapes}")
    student, teacher = LinearModel(student_hidden, student_head), LinearModel(teacher_logprobs, None)
    check(student, teacher, targets, temperature, direction)
    kept, ids = known_targets(student, targets, ignore_index)
    shared = min(student.vocabulary, teacher_vocabulary or student.vocabulary)
    own, chosen = student_hidden[kept], teacher_ids[kept]
    log_q, log_tail = renormalised(teacher_logprobs[kept].double(), chosen < shared)
    known = chosen.where(chosen < shared, -1)
    reverse = direction == "reverse"
    kl, logprob, _ = _linear_kl_top_k(own, student_head, known, log_q, log_tail, ids, temperature, reverse, shared)
    hits = chosen == ids[:, None]
    of_target = teacher_logprobs[kept].double().masked_fill(~hits, 0).sum(1).where(hits.any(1), torch.nan)
    return spread((kl, logprob, of_target.to(kl.dtype)), kept, len(targets))


def renormalised(log_q: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities [N, K] and those of the tail [N], without the ids that are not `known` [N, K] (then −∞)."""
    q = log_q.exp().masked_fill(~known, 0)
    tail = (1 - log_q.exp().sum(1)).clamp(min=LEAST_TAIL)
    whole = q.sum(1) + tail
    return (q / whole[:, None]).log(), (tail / whole).log()


@torch.library.custom_op("sqe_fast::linear_kl_top_k", mutates_args=())
def _linear_kl_top_k(
    student_hidden: Tensor,
    student_head: Tensor,
    ids: Tensor,  # [N, K], −1 where there is none
    log_q: Tensor,  # [N, K] float64
    log_tail: Tensor,  # [N] float64
    targets: Tensor,
    temperature: float,
    reverse: bool,
    shared: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """KL and the target's log-probability [N]; and, for the backward pass, [N, 3 + K]: the logarithms of the student's
    sums over the shared ids at the temperature and over all at 1, the KL's slope towards a logit outside the K in units
    of its probability, and what a logit of the K has beyond that."""
    with torch.autocast(student_hidden.device.type, enabled=False):
        model = LinearModel(student_hidden, student_head)
        cut = Cut.of(model, model)
        picked = torch.full(ids.shape, -torch.inf, dtype=torch.float64, device=cut.device)
        lse = log_sums(model, cut, 0, shared, temperature, ids, picked)
        full = lse
        if temperature != 1 or shared < model.vocabulary:
            full = log_sums(model, cut, 0, model.vocabulary, 1.0)
        log_p = picked / temperature - lse[:, None]
        p = log_p.exp()
        p_tail = (1 - p.sum(1)).clamp(min=LEAST_TAIL)
        q, q_tail = log_q.exp(), log_tail.exp()
        ratio = (log_p - log_q).masked_fill(ids < 0, 0)
        tail_ratio = p_tail.log() - log_tail
        if reverse:
            kl = (p * ratio).sum(1) + p_tail * tail_ratio
            outside = tail_ratio - kl
            inside = p * (ratio - kl[:, None])
        else:
            kl = -(q * ratio).sum(1) - q_tail * tail_ratio
            outside = 1 - q_tail / p_tail
            inside = p - q
        beyond = (inside - outside[:, None] * p).masked_fill(ids < 0, 0)
        logprob = target_logits(model, targets, cut) - full
        kept = torch.cat([lse[:, None], full[:, None], outside[:, None], beyond], 1)
        return kl.to(cut.dtype), logprob.to(cut.dtype), kept


@torch.library.custom_op("sqe_fast::linear_kl_top_k_backward", mutates_args=())
def _linear_kl_top_k_backward(
    student_hidden: Tensor,
    student_head: Tensor,
    ids: Tensor,
    targets: Tensor,
    kept: Tensor,  # [N, 3 + K], of `_linear_kl_top_k`
    kl_gradient: Tensor,  # [N]
    logprob_gradient: Tensor,  # [N]
    temperature: float,
    shared: int,
    of_head: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of the student's hidden states [N, D] and head [V, D]; the latter is empty unless `of_head`."""
    with torch.autocast(student_hidden.device.type, enabled=False):
        model = LinearModel(student_hidden, student_head)
        cut = Cut.of(model, model, gradients=True)
        of_kl, of_logprob = kl_gradient.double() / temperature, logprob_gradient.double()
        gradients = Gradients(model, cut, targets, of_logprob, of_head)
        of_shared = torch.stack([kept[:, 0], of_kl * kept[:, 2]], 1)
        of_all = torch.stack([kept[:, 1], -of_logprob], 1)
        beyond = (of_kl[:, None] * kept[:, 3:]).to(cut.dtype)
        [second] = cut.scratch(1)
        for place in gradients.walk([], 0, shared):
            rows, tile = place.rows, place.tiles[0]
            both = second[: tile.numel()].view(tile.shape).copy_(tile)
            tile_ops.gradient_one(both, temperature, of_shared[rows])
            tile_ops.gradient_one(tile, 1.0, of_all[rows])
            tile += both
            places, inside = within(ids[rows], place.columns)
            tile.scatter_add_(1, places, beyond[rows].masked_fill(~inside, 0))
        for place in gradients.walk([], shared, model.vocabulary):
            tile_ops.gradient_one(place.tiles[0], 1.0, of_all[place.rows])
        return gradients.hidden.to(student_hidden.dtype), gradients.head


@_linear_kl_top_k.register_fake
def _(
    student_hidden: Tensor,
    student_head: Tensor,
    ids: Tensor,
    log_q: Tensor,
    log_tail: Tensor,
    targets: Tensor,
    temperature: float,
    reverse: bool,
    shared: int,
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(student_hidden.dtype, torch.float32)
    kl, logprob = (targets.new_empty(targets.shape, dtype=dtype) for _ in range(2))
    return kl, logprob, log_q.new_empty((ids.shape[0], ids.shape[1] + 3))


@_linear_kl_top_k_backward.register_fake
def _(
    student_hidden: Tensor,
    student_head: Tensor,
    ids: Tensor,
    targets: Tensor,
    kept: Tensor,
    kl_gradient: Tensor,
    logprob_gradient: Tensor,
    temperature: float,
    shared: int,
    of_head: bool,
) -> tuple[Tensor, Tensor]:
    hidden = student_hidden.new_empty(student_hidden.shape)
    return hidden, student_head.new_empty(student_head.shape) if of_head else student_head.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hidden, head, ids, _, _, targets, temperature, _, shared = inputs
    ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(hidden, head, ids, targets, output[2])
    ctx.options = temperature, shared


def _backward(ctx: Any, kl: Tensor, logprob: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    of_hidden, of_head, *rest = ctx.needs_input_grad
    hidden, head = _linear_kl_top_k_backward(*ctx.saved_tensors, kl, logprob, *ctx.options, of_head)
    return hidden if of_hidden else None, head if of_head else None, *(None for _ in rest)


_linear_kl_top_k.register_autograd(_backward, setup_context=_keep)
