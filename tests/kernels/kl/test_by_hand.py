"""The fused linear KL by hand, and the cases in which such code goes wrong."""

from __future__ import annotations

import math

import pytest
import torch

from sqe_fast.kernels.kl.fused_kl import Direction, fused_linear_kl


def case() -> list[torch.Tensor]:
    """Seven positions, eleven ids; widths of 5 and 3."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 11, (7,), generator=generator)
    shapes = ((7, 5), (11, 5), (7, 3), (11, 3))
    return [*(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes), targets]


@pytest.mark.parametrize(
    ("direction", "kl"),
    [("forward", 0.75 * math.log(3 / 2) + 0.25 * math.log(1 / 2)), ("reverse", (math.log(2 / 3) + math.log(2)) / 2)],
)
def test_a_case_worked_out_by_hand(direction: Direction, kl: float) -> None:
    """The student holds two ids for equally likely, the teacher three for 9 : 1 : 10. At temperature 2 the two that
    both know are ½ ½ and ¾ ¼; log-probabilities are at temperature 1, over all ids."""
    one = torch.ones(1, 1, dtype=torch.float64)
    student = torch.zeros(2, 1, dtype=torch.float64)
    teacher = torch.tensor([[9.0], [1.0], [10.0]]).double().log()
    found = fused_linear_kl(one, student, one, teacher, torch.tensor([0]), 2.0, direction)
    assert float(found.kl) == pytest.approx(kl, abs=1e-12)
    assert float(found.student_logprob) == pytest.approx(math.log(1 / 2), abs=1e-12)
    assert float(found.teacher_logprob) == pytest.approx(math.log(9 / 20), abs=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_equal_models_do_not_diverge(direction: Direction) -> None:
    hidden, head, _, _, targets = case()
    assert fused_linear_kl(hidden, head, hidden, head, targets, direction=direction).kl.abs().max() < 1e-12


def test_ignored_positions_are_zero_and_leave_no_gradient() -> None:
    hidden, head, other, other_head, targets = case()
    targets[1], targets[4] = -100, -100
    hidden[4] = math.nan  # what is masked may hold anything
    hidden.requires_grad_(True)
    found = fused_linear_kl(hidden, head, other, other_head, targets, direction="reverse")
    for part in (found.kl, found.student_logprob, found.teacher_logprob):
        assert part[[1, 4]].tolist() == [0, 0]
    (found.kl.sum() + found.student_logprob.sum()).backward()
    assert hidden.grad is not None
    assert hidden.grad[[1, 4]].abs().sum() == 0
    assert (hidden.grad[[0, 2, 3, 5, 6]].abs().sum(1) > 0).all()


def test_the_gradient_is_the_students_alone() -> None:
    hidden, head, other, other_head, targets = case()
    for tensor in (hidden, head, other, other_head):
        tensor.requires_grad_(True)

    def both(h: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = fused_linear_kl(h, w, other, other_head, targets, 1.3, "reverse")
        return found.kl, found.student_logprob

    assert torch.autograd.gradcheck(both, (hidden, head))
    sum(part.sum() for part in both(hidden, head)).backward()  # type: ignore[union-attr]
    assert other.grad is None
    assert other_head.grad is None
