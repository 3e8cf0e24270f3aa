"""Where a distillation loss errs, fails or lacks what a real run needs: ours and peers' on the same small cases.

    pytest benchmarks/kernels/test_peer_cases.py -s

Each case has one right answer: the loss and its gradient in float64, by the plain formula. The table says what each
contender makes of it; the test asserts that ours is right everywhere.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.losses import Case, case
from sqe_fast.kernels import reference
from sqe_fast.kernels.kl.fused_kl import Direction, fused_linear_kl

POSITIONS, VOCABULARY, WIDTH = 24, 1_000, 32
IGNORED = -100
TOLERANCE = 1e-3
LOGPROB_SHARE = 0.1


class LacksError(Exception):
    """There is no such option."""


@dataclass(frozen=True)
class Question:
    """The mean KL over the positions that are not ignored; 0 where all are."""

    title: str
    given: Case
    temperature: float = 1.0
    direction: Direction = "forward"
    logprob: bool = False
    """Less the target's log-probability, times LOGPROB_SHARE: a loss of more than the KL's mean."""


def questions() -> list[Question]:
    plain = case(POSITIONS, VOCABULARY, WIDTH)
    some = torch.where(torch.arange(POSITIONS) % 3 == 0, IGNORED, plain.targets)
    none = torch.full_like(some, IGNORED)
    loud = plain._replace(student_hidden=(plain.student_hidden.detach() * 1e3).requires_grad_())
    return [
        Question("as it comes", plain),
        Question("reverse KL", plain, direction="reverse"),
        Question("temperature 2", plain, temperature=2.0),
        Question("some positions ignored", plain._replace(targets=some)),
        Question("all positions ignored", plain._replace(targets=none)),
        Question("no position", _first(plain, 0)),
        Question("one position", _first(plain, 1)),
        Question("logits in the thousands", loud),
        Question("the student knows more ids", case(POSITIONS, VOCABULARY, WIDTH, teacher_vocabulary=960)),
        Question("the teacher knows more ids", case(POSITIONS, 960, WIDTH, teacher_vocabulary=VOCABULARY)),
        Question("KL and log-probability at once", plain, logprob=True),
    ]


def _first(given: Case, count: int) -> Case:
    student = given.student_hidden.detach()[:count].requires_grad_()
    return given._replace(
        student_hidden=student, teacher_hidden=given.teacher_hidden[:count], targets=given.targets[:count]
    )


def right(asked: Question) -> Tensor:
    hidden, head, teacher_hidden, teacher_head, targets = (
        tensor.double() if tensor.is_floating_point() else tensor for tensor in asked.given
    )
    kept = targets != IGNORED
    student, teacher = (hidden @ head.T)[kept], (teacher_hidden @ teacher_head.T)[kept]
    kl, logprob, _ = reference.linear_kl(student, teacher, targets[kept], asked.temperature, asked.direction)
    each = kl - LOGPROB_SHARE * logprob if asked.logprob else kl
    return each.sum() / max(1, len(each))


# --- contenders -------------------------------------------------------------------------------------------------------


def of_ours(asked: Question) -> Tensor:
    given, count = asked.given, max(1, int((asked.given.targets != IGNORED).sum()))
    found = fused_linear_kl(*given, temperature=asked.temperature, direction=asked.direction)
    total = found.kl.sum()
    if asked.logprob:
        total = total - LOGPROB_SHARE * found.student_logprob.sum()
    return total / count


def of_torch(asked: Question) -> Tensor:
    """log_softmax and kl_div."""
    given, kept = asked.given, asked.given.targets != IGNORED
    student, teacher = given.student_hidden @ given.student_head.T, given.teacher_hidden @ given.teacher_head.T
    log_p, log_q = (torch.log_softmax(logits[kept] / asked.temperature, -1) for logits in (student, teacher))
    first, second = (log_p, log_q) if asked.direction == "forward" else (log_q, log_p)
    kl = F.kl_div(first, second, reduction="batchmean", log_target=True)
    if asked.logprob:
        kl = kl + LOGPROB_SHARE * F.cross_entropy(student[kept], given.targets[kept])
    return kl


def of_liger(asked: Question) -> Tensor:
    """LigerFusedLinearJSDLoss; its hard loss is the log-probability's."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    loss: Tensor = LigerFusedLinearJSDLoss(
        weight_hard_loss=LOGPROB_SHARE if asked.logprob else 0.0,
        weight_soft_loss=1.0,
        beta=0.0 if asked.direction == "forward" else 1.0,
        temperature=asked.temperature,
        compiled=False,
    )(*asked.given)
    return loss


def of_trl(asked: Question) -> Tensor:
    """The loss of its DistillationTrainer."""
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    if asked.logprob:
        raise LacksError
    hidden, head, teacher_hidden, teacher_head, targets = asked.given
    loss, *_ = _chunked_divergence_loss(
        hidden[None],
        teacher_hidden[None],
        head,
        teacher_head,
        (targets != IGNORED)[None],
        beta=0.0 if asked.direction == "forward" else 1.0,
        temperature=asked.temperature,
    )
    return loss  # type: ignore[no-any-return]


def contenders() -> dict[str, Callable[[Question], Tensor]]:
    found: dict[str, Callable[[Question], Tensor]] = {"ours": of_ours, "torch": of_torch}
    for package, loss in {"liger_kernel": of_liger, "trl": of_trl}.items():
        if importlib.util.find_spec(package):
            found[package] = loss
    return found


# --- the table --------------------------------------------------------------------------------------------------------


def gradient(loss: Tensor, asked: Question) -> Tensor:
    hidden = asked.given.student_hidden
    hidden.grad = asked.given.student_head.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    return torch.zeros_like(hidden) if hidden.grad is None else hidden.grad


def judge(contender: Callable[[Question], Tensor], asked: Question) -> str:
    """ "right"; or what is wrong."""
    exact = right(asked)
    expected = gradient(exact, asked)
    try:
        loss = contender(asked)
        found = gradient(loss, asked)
    except LacksError:
        return "no such option"
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return f"raises {type(error).__name__}"
    if not (loss.isfinite() and found.isfinite().all()):
        return "not finite"
    value = abs(float(loss) - float(exact)) / max(1e-6, abs(float(exact)))
    slope = float((found - expected).norm() / expected.norm().clamp(min=1e-6))
    return "right" if max(value, slope) < TOLERANCE else f"off by {value:.0%}, gradient by {slope:.0%}"


def test_cases() -> None:
    table = contenders()
    asked = questions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdicts = {name: [judge(contender, one) for one in asked] for name, contender in table.items()}
    print(f"\n| case | {' | '.join(table)} |\n|{' --- |' * (len(table) + 1)}")
    for index, one in enumerate(asked):
        print(f"| {one.title} | {' | '.join(verdicts[name][index] for name in table)} |")
    assert set(verdicts["ours"]) == {"right"}
