"""KL and log-probabilities against sums written out in float64, and the cases in which such code goes wrong."""

import math

import pytest
import torch

from sqe_fast.kernels.kl.fused_kl import fused_linear_kl


def case(
    count: int = 7, ours: int = 11, theirs: int = 11, seed: int = 0, dtype: torch.dtype = torch.float64
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    targets = torch.randint(0, min(ours, theirs), (count,), generator=generator)
    return [draw(count, 5), draw(ours, 5), draw(count, 3), draw(theirs, 3), targets]


def test_a_case_worked_out_by_hand() -> None:
    """Student ½ ½, teacher ¾ ¼: reverse ½ ln(½/¾) + ½ ln(½/¼); forward ¾ ln(¾/½) + ¼ ln(¼/½)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    student, teacher = torch.zeros(2, 1, dtype=torch.float64), torch.tensor([[math.log(3.0)], [0.0]]).double()
    targets = torch.tensor([0])
    reverse = fused_linear_kl(one, student, one, teacher, targets, direction="reverse")
    forward = fused_linear_kl(one, student, one, teacher, targets, direction="forward")
    assert float(reverse.kl) == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-6)
    assert float(forward.kl) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)
    assert float(reverse.student_logprob) == pytest.approx(math.log(0.5))
    assert float(reverse.teacher_logprob) == pytest.approx(math.log(0.75), abs=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(("ours", "theirs"), [(11, 11), (13, 11), (11, 13)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sums_written_out(direction: str, ours: int, theirs: int, temperature: float) -> None:
    hidden, head, other, other_head, targets = case(ours=ours, theirs=theirs)
    found = fused_linear_kl(hidden, head, other, other_head, targets, temperature, direction)  # type: ignore[arg-type]
    for t in range(len(targets)):
        z, w = (hidden[t] @ head.T).tolist(), (other[t] @ other_head.T).tolist()
        p = [math.exp(x / temperature) for x in z[: min(ours, theirs)]]
        q = [math.exp(x / temperature) for x in w[: min(ours, theirs)]]
        p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
        a, b = (q, p) if direction == "forward" else (p, q)
        assert float(found.kl[t]) == pytest.approx(sum(x * math.log(x / y) for x, y in zip(a, b, strict=True)))
        target = int(targets[t])
        assert float(found.student_logprob[t]) == pytest.approx(z[target] - math.log(sum(map(math.exp, z))))
        assert float(found.teacher_logprob[t]) == pytest.approx(w[target] - math.log(sum(map(math.exp, w))))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_equal_models_do_not_diverge(direction: str) -> None:
    hidden, head, _, _, targets = case()
    assert fused_linear_kl(hidden, head, hidden, head, targets, direction=direction).kl.abs().max() < 1e-12  # type: ignore[arg-type]


def test_a_target_unknown_to_the_teacher() -> None:
    hidden, head, other, other_head, targets = case(ours=13, theirs=11)
    targets[2] = 12
    found = fused_linear_kl(hidden, head, other, other_head, targets)
    assert float(found.teacher_logprob[2]) == -math.inf
    assert math.isfinite(float(found.student_logprob[2]))
    assert math.isfinite(float(found.kl[2]))


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


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_score(count: int) -> None:
    hidden, head, other, other_head, targets = case(count=count)
    hidden.requires_grad_(True)
    found = fused_linear_kl(hidden, head, other, other_head, torch.full_like(targets, -100))
    assert found.kl.shape == (count,)
    found.kl.sum().backward()
    assert found.kl.abs().sum() == 0


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


def test_bfloat16_is_summed_in_float32() -> None:
    parts = case(count=5, ours=300, theirs=300, dtype=torch.bfloat16)
    exact = fused_linear_kl(*(part.double() for part in parts[:4]), parts[4])  # type: ignore[misc]
    found = fused_linear_kl(*parts)  # type: ignore[misc]
    assert found.kl.dtype == torch.float32
    assert torch.allclose(found.kl.double(), exact.kl, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="direction"):
        fused_linear_kl(*parts, direction="sideways")  # type: ignore[arg-type,misc]
