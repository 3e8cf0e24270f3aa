"""Fused linear KL: the divergence between two language models, computed from their hidden states.

For each of N response positions it returns the KL divergence and both models' log-probabilities of the target,
differentiable with respect to the student's hidden states and head, without ever holding anything of size
[N, vocabulary]. It walks through the vocabulary in tiles: a matrix product makes a tile of each model's logits,
`_native` folds the tile into a few sums per row, and the next tile overwrites it. The backward pass makes the tiles
again. Matrix products are torch's: on a CPU in single precision at least, on a GPU in the hidden states' own, summed in
single. With a head in single precision and hidden states in half (mixed precision) the products are of half precision,
and the head's gradient is single.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sqe_fast.kernels.kl import tile_ops
from sqe_fast.kernels.kl.tiles import TILE_ROWS, Cut, Gradients, LinearModel, slices, walk

Direction = Literal["forward", "reverse"]
"""forward: KL(teacher ‖ student). reverse: KL(student ‖ teacher), as ALLD has it."""


NO_GRAPH = (torch.Tag.cudagraph_unsafe,)
"""How it is cut rests on the memory that is free when it runs."""


@dataclass(frozen=True)
class TokenKL:
    """Values per position, 0 where the target is ignored; float32, or float64 for inputs in float64.

    The first two are differentiable with respect to the student's hidden states and head.
    """

    kl: Tensor  # [T]
    student_logprob: Tensor  # [T]
    teacher_logprob: Tensor  # [T]


def fused_linear_kl(
    student_hidden: Tensor,  # [T, D]
    student_head: Tensor,  # [V, D]
    teacher_hidden: Tensor,  # [T, E]
    teacher_head: Tensor,  # [W, E]
    targets: Tensor,  # [T] int64
    temperature: float = 1.0,
    direction: Direction = "forward",
    ignore_index: int = -100,
) -> TokenKL:
    """KL divergence of student and teacher at each position, and each model's log-probability of the target.

    If V and W differ, the KL compares both distributions renormalised over the shared ids 0 … min(V, W) − 1; each
    log-probability is over its model's full vocabulary, −inf for a target beyond the teacher's.

    `temperature` divides the logits in the KL alone, and nothing is rescaled by its square. Raises ValueError for
    shapes that do not fit, and for a target beyond the student's vocabulary.
    """
    student, teacher = LinearModel(student_hidden, student_head), LinearModel(teacher_hidden, teacher_head)
    _check(student, teacher, targets, temperature, direction)
    kept, ids = _known_targets(student, targets, ignore_index)
    whole = len(ids) == len(targets)
    if not whole:
        student, teacher = student.at(kept), teacher.at(kept)
    models = student.hidden, student.head, teacher.hidden, teacher.head
    *found, _ = _linear_kl(*models, ids, temperature, direction)
    return TokenKL(*found) if whole else _spread(found, kept, len(targets))


def _known_targets(student: LinearModel, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Of targets [T], the N positions that are not ignored [N] int64, and their targets [N].

    Raises ValueError for a target beyond the student's vocabulary.
    """
    kept = (targets != ignore_index).nonzero()[:, 0]
    ids = targets[kept]
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < student.vocabulary:
        raise ValueError(f"targets must be {ignore_index} or an id of the student's {student.vocabulary}")
    return kept, ids


def _spread(parts: Sequence[Tensor], kept: Tensor, length: int) -> TokenKL:
    """Each of `parts` [N] at its positions `kept` [N] of `length`, 0 elsewhere: [length]."""
    return TokenKL(*(part.new_zeros(length).index_put((kept,), part) for part in parts))


def _check(student: LinearModel, teacher: LinearModel, targets: Tensor, temperature: float, direction: str) -> None:
    if direction not in ("forward", "reverse"):
        raise ValueError(f"direction must be 'forward' or 'reverse', not {direction!r}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    for hidden, head in ((student.hidden, student.head), (teacher.hidden, teacher.head)):
        if hidden.dim() != 2:
            raise ValueError(f"hidden states must be [T, D], not {list(hidden.shape)}")
        if head.dim() != 2 or head.shape[1] != hidden.shape[1]:
            raise ValueError(f"the head of hidden states {list(hidden.shape)} must be [V, D], not {list(head.shape)}")
    lengths = {len(student.hidden), len(teacher.hidden), len(targets)}
    if targets.dim() != 1 or len(lengths) > 1:
        raise ValueError(f"targets and both models must have as many positions, not {sorted(lengths)}")


# --- forward ----------------------------------------------------------------------------------------------------------


@torch.library.custom_op("sqe_fast::linear_kl", mutates_args=(), tags=NO_GRAPH)
def _linear_kl(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor,
    teacher_head: Tensor,
    targets: Tensor,
    temperature: float,
    direction: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """KL and both log-probabilities, [N] each; and for the backward pass [N, 4]: log-sum-exp of the student's and the
    teacher's logits over the shared ids, the KL, and log-sum-exp of the student's over all ids at temperature 1."""
    with torch.autocast(student_hidden.device.type, enabled=False):
        student, teacher = LinearModel(student_hidden, student_head), LinearModel(teacher_hidden, teacher_head)
        cut, shared = Cut.of(student, teacher), min(student.vocabulary, teacher.vocabulary)
        pair, ones = _sum_up(student, teacher, cut, temperature, direction)
        student_lse, teacher_lse = pair[:, 0] + pair[:, 1].log(), pair[:, 2] + pair[:, 3].log()
        if direction == "forward":
            kl = pair[:, 4] / pair[:, 3] - teacher_lse + student_lse
        else:
            kl = pair[:, 4] / pair[:, 1] - student_lse + teacher_lse
        student_full, teacher_full = (
            torch.logaddexp(one[:, 0] + one[:, 1].log(), _log_sums(model, cut, shared, model.vocabulary))
            for one, model in ((ones[:, :2], student), (ones[:, 2:], teacher))
        )
        logprob = _target_logits(student, targets, cut) - student_full
        teacher_logprob = _target_logits(teacher, targets, cut) - teacher_full
        kept = torch.stack([student_lse, teacher_lse, kl, student_full], 1)
        return kl.to(cut.dtype), logprob.to(cut.dtype), teacher_logprob.to(cut.dtype), kept


def _sum_up(
    student: LinearModel, teacher: LinearModel, cut: Cut, temperature: float, direction: str
) -> tuple[Tensor, Tensor]:
    """Sums of each row over the shared ids: both models' at the temperature, [N, 5] as `tile_ops.pair_sums`, and each
    model's at temperature 1, [N, 2 · 2] as `tile_ops.one_sums`."""
    count, shared = len(student.hidden), min(student.vocabulary, teacher.vocabulary)
    pair = tile_ops.pair_sums(count, cut.device)
    ones = [tile_ops.one_sums(count, cut.device) for _ in range(2)]
    for tile in walk((student, teacher), cut, 0, shared):
        s, t = tile.logits
        tile_ops.accumulate_pair(s, t, temperature, direction, pair[tile.rows])
        if temperature != 1:
            for logits, sums in zip((s, t), ones, strict=True):
                tile_ops.accumulate_one(logits, sums[tile.rows])
    return pair, pair[:, :4] if temperature == 1 else torch.cat(ones, 1)


def _log_sums(model: LinearModel, cut: Cut, start: int, stop: int) -> Tensor:
    """ln Σ e^logit over the ids from `start` to `stop`, [N] float64."""
    sums = tile_ops.one_sums(len(model.hidden), cut.device)
    for tile in walk([model], cut, start, stop):
        tile_ops.accumulate_one(tile.logits[0], sums[tile.rows])
    return sums[:, 0] + sums[:, 1].log()


def _target_logits(model: LinearModel, targets: Tensor, cut: Cut) -> Tensor:
    """Logits of the targets [N]: [N] float64, −inf for a target beyond the model's vocabulary."""
    known = targets < model.vocabulary
    ids = targets.where(known, 0)
    found = torch.empty(len(targets), dtype=torch.float64, device=cut.device)
    factors = model.factors(cut.dtype)
    for rows in slices(0, len(targets), TILE_ROWS):
        head = model.head[ids[rows]].to(factors)
        found[rows] = (model.hidden[rows].to(cut.dtype) * head.to(cut.dtype)).sum(1).double()
    return found.where(known, float("-inf"))


# --- backward ---------------------------------------------------------------------------------------------------------


@torch.library.custom_op("sqe_fast::linear_kl_backward", mutates_args=(), tags=NO_GRAPH)
def _linear_kl_backward(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor,
    teacher_head: Tensor,
    targets: Tensor,
    sums: Tensor,  # [N, 4], of `_linear_kl`
    kl_gradient: Tensor,  # [N]
    logprob_gradient: Tensor,  # [N]
    temperature: float,
    direction: str,
    of_head: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of the student's hidden states [N, D] and head [V, D]; the latter is empty unless `of_head`."""
    with torch.autocast(student_hidden.device.type, enabled=False):
        student, teacher = LinearModel(student_hidden, student_head), LinearModel(teacher_hidden, teacher_head)
        cut = Cut.of(student, teacher, gradients=True)
        shared = min(student.vocabulary, teacher.vocabulary)
        of_kl, of_logprob = kl_gradient.double(), logprob_gradient.double()
        unit = None
        if student.factors(cut.dtype) == torch.float16:
            unit = _unit(of_kl / temperature, of_logprob)
            of_kl, of_logprob = of_kl * unit, of_logprob * unit
        gradients = Gradients(student, cut, targets, of_logprob, of_head)
        pair_scales = torch.cat([sums[:, :3], of_kl[:, None], sums[:, 3:], of_logprob[:, None]], 1).contiguous()
        one_scales = torch.stack([sums[:, 3], -of_logprob], 1)
        for tile in walk((student, teacher), cut, 0, shared):
            s, t = tile.logits
            tile_ops.differentiate_pair(s, t, temperature, direction, pair_scales[tile.rows])
            gradients.add(tile, unit)
        for tile in walk([student], cut, shared, student.vocabulary):
            tile_ops.differentiate_one(tile.logits[0], one_scales[tile.rows])
            gradients.add(tile, unit)
        hidden = gradients.hidden if unit is None else gradients.hidden / unit
        return hidden.to(student_hidden.dtype), gradients.head


def _unit(of_kl: Tensor, of_logprob: Tensor) -> Tensor:
    """A power of two [] that brings the largest of gradients to 256: a logit's is below 64 times that, float16 ends at
    65,504, and what 1 of a million ids adds is then far from its smallest."""
    largest = torch.cat([of_kl, of_logprob, of_kl.new_zeros(1)]).abs().max().float()
    return torch.where(largest > 0, torch.exp2(8 - largest.log2().ceil()), 1.0)


@_linear_kl.register_fake
def _(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor,
    teacher_head: Tensor,
    targets: Tensor,
    temperature: float,
    direction: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(student_hidden.dtype, teacher_hidden.dtype), torch.float32)
    kl, logprob, teacher_logprob = (targets.new_empty(targets.shape, dtype=dtype) for _ in range(3))
    return kl, logprob, teacher_logprob, targets.new_empty((len(targets), 4), dtype=torch.float64)


@_linear_kl_backward.register_fake
def _(
    student_hidden: Tensor,
    student_head: Tensor,
    teacher_hidden: Tensor,
    teacher_head: Tensor,
    targets: Tensor,
    sums: Tensor,
    kl_gradient: Tensor,
    logprob_gradient: Tensor,
    temperature: float,
    direction: str,
    of_head: bool,
) -> tuple[Tensor, Tensor]:
    hidden = student_hidden.new_empty(student_hidden.shape)
    return hidden, student_head.new_empty(student_head.shape) if of_head else student_head.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, temperature, direction = inputs
    ctx.mark_non_differentiable(output[2], output[3])
    ctx.save_for_backward(*tensors, output[3])
    ctx.options = temperature, direction


def _backward(ctx: Any, kl: Tensor, logprob: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    of_hidden, of_head, *rest = ctx.needs_input_grad
    hidden, head = _linear_kl_backward(*ctx.saved_tensors, kl, logprob, *ctx.options, of_head)
    return hidden if of_hidden else None, head if of_head else None, *(None for _ in rest)


_linear_kl.register_autograd(_backward, setup_context=_keep)
