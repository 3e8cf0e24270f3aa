"""The fused linear KL against the formula in plain torch: values, gradients, what it refuses and holds."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.kl import fused_kl, tiles
from sqe_fast.kernels.kl.fused_kl import Direction, TokenKL, fused_linear_kl
from tests.support.memory import peak_bytes, reset_peak

VOCABULARIES = [(301, 301), (301, 250), (250, 301)]
DIRECTIONS: list[Direction] = ["forward", "reverse"]


class Case(NamedTuple):
    student_hidden: Tensor
    student_head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor
    targets: Tensor


def case(
    positions: int = 37,
    vocabularies: tuple[int, int] = (301, 250),
    widths: tuple[int, int] = (24, 40),
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) / shape[-1] ** 0.25).to(dtype)

    (v, w), (d, e) = vocabularies, widths
    targets = torch.randint(0, min(v, w), (positions,), generator=generator)
    return Case(normal(positions, d), normal(v, d), normal(positions, e), normal(w, e), targets)


def expected(given: Case, temperature: float, direction: Direction) -> tuple[TokenKL, tuple[Tensor, Tensor]]:
    """In float64, and the gradients of student hidden states and head for the upstream gradients of `upstream`."""
    hidden, head = (tensor.double().requires_grad_() for tensor in given[:2])
    kept = given.targets >= 0
    teacher = given.teacher_hidden.double() @ given.teacher_head.double().T
    parts = reference.linear_kl((hidden @ head.T)[kept], teacher[kept], given.targets[kept], temperature, direction)
    whole = TokenKL(*(part.new_zeros(len(kept)).index_put((kept.nonzero()[:, 0],), part) for part in parts))
    return whole, gradients(whole, hidden, head)


def upstream(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    of_kl, of_logprob = torch.randn(2, count, generator=generator, dtype=torch.float64)
    return of_kl, of_logprob


def gradients(found: TokenKL, hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    of_kl, of_logprob = upstream(len(found.kl))
    loss = (found.kl * of_kl).sum() + (found.student_logprob * of_logprob).sum()
    of_hidden, of_head = torch.autograd.grad(loss, (hidden, head))
    return of_hidden, of_head


def fused(given: Case, temperature: float, direction: Direction) -> tuple[TokenKL, tuple[Tensor, Tensor]]:
    hidden, head = (tensor.clone().requires_grad_() for tensor in given[:2])
    found = fused_linear_kl(hidden, head, *given[2:], temperature, direction)
    return found, gradients(found, hidden, head)


def close(found: Tensor, right: Tensor, tolerance: float) -> None:
    scale = right[right.isfinite()].abs().max().clamp(min=1.0) if right.numel() else 1.0
    torch.testing.assert_close(found.double(), right, rtol=0, atol=tolerance * float(scale))


TOLERANCES = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (5e-6, 5e-6),
    torch.float16: (5e-6, 2e-3),
    torch.bfloat16: (5e-6, 1e-2),
}
"""Of values, and of gradients, which half precision rounds once, at the end."""


@pytest.mark.parametrize("vocabularies", VOCABULARIES)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_values_and_gradients_are_those_of_the_formula(
    vocabularies: tuple[int, int], temperature: float, direction: Direction, dtype: torch.dtype
) -> None:
    given = case(vocabularies=vocabularies, dtype=dtype)
    given.targets[[0, 5]] = -100
    right, right_gradients = expected(given, temperature, direction)
    found, found_gradients = fused(given, temperature, direction)
    values, slopes = TOLERANCES[dtype]
    for one, other in zip(vars(found).values(), vars(right).values(), strict=True):
        assert one.dtype == torch.promote_types(dtype, torch.float32)
        close(one, other.detach(), values)
    for one, other in zip(found_gradients, right_gradients, strict=True):
        assert one.dtype == dtype
        close(one, other, slopes)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_tiles_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch, direction: Direction) -> None:
    """A maximum that is not carried on, a column counted twice, a row block that overwrites the head's gradient."""
    monkeypatch.setattr(tiles, "SCRATCH_BYTES", 1)
    monkeypatch.setattr(tiles, "LEAST_COLUMNS", 29)
    monkeypatch.setattr(tiles, "TILE_ROWS", 8)
    given = case()
    right, right_gradients = expected(given, 1.3, direction)
    found, found_gradients = fused(given, 1.3, direction)
    close(found.kl, right.kl.detach(), 1e-12)
    for one, other in zip(found_gradients, right_gradients, strict=True):
        close(one, other, 1e-12)


@pytest.mark.parametrize("extreme", [80.0, 1e4])
def test_extreme_logits_stay_finite(extreme: float) -> None:
    """Sums that overflow, or 0 · ∞."""
    given = case(dtype=torch.float32)
    given.student_head[7] *= extreme
    found, found_gradients = fused(given, 1.0, "forward")
    right, _ = expected(given, 1.0, "forward")
    close(found.kl, right.kl.detach(), 1e-5)
    assert all(gradient.isfinite().all() for gradient in found_gradients)


@pytest.mark.parametrize("positions", [0, 1])
def test_none_and_one(positions: int) -> None:
    given = case(positions)
    found, (of_hidden, of_head) = fused(given, 1.0, "reverse")
    assert found.kl.shape == (positions,)
    assert of_hidden.shape == (positions, 24)
    assert of_head.abs().sum() > 0 if positions else of_head.abs().sum() == 0


def test_all_positions_may_be_ignored() -> None:
    given = case()
    found, found_gradients = fused(given._replace(targets=torch.full((37,), -100)), 1.0, "forward")
    assert all(not part.any() for part in vars(found).values())
    assert all(not gradient.any() for gradient in found_gradients)


def test_a_target_that_the_teacher_does_not_know() -> None:
    given = case()
    given.targets[:] = 300
    found, _ = fused(given, 1.0, "forward")
    assert (found.teacher_logprob == -torch.inf).all()
    assert found.student_logprob.isfinite().all()
    assert found.kl.isfinite().all()


def test_promises_are_kept_for_a_head_that_is_not_contiguous() -> None:
    """Its gradient's strides were the head's, and torch.compile had been told others."""
    given = case(5, (13, 11), (4, 3), torch.float32)
    head = given.student_head.T.contiguous().T.requires_grad_()
    assert not head.is_contiguous()
    torch.library.opcheck(
        fused_kl._linear_kl, (given.student_hidden.requires_grad_(), head, *given[2:], 1.5, "forward")
    )


def test_no_cuda_graph_is_made_of_it() -> None:
    """torch.compile(mode="reduce-overhead") failed within the operator."""
    for name in ("linear_kl", "linear_kl_backward"):
        assert torch.Tag.cudagraph_unsafe in getattr(torch.ops.sqe_fast, name).default.tags


def test_layout_does_not_matter() -> None:
    given = case()
    strided = Case(*(tensor.T.contiguous().T for tensor in given[:4]), given.targets)
    assert not strided.student_head.is_contiguous()
    for one, other in zip(fused(strided, 1.0, "forward")[1], fused(given, 1.0, "forward")[1], strict=True):
        close(one, other, 1e-12)


def test_autocast_changes_nothing() -> None:
    given = case(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = fused(given, 1.0, "forward")
    assert torch.equal(found.kl, fused(given, 1.0, "forward")[0].kl)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradcheck(direction: Direction) -> None:
    given = case(5, (13, 11), (4, 3))
    hidden, head = (tensor.requires_grad_() for tensor in given[:2])

    def all_parts(hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        found = fused_linear_kl(hidden, head, *given[2:], 1.5, direction)
        return found.kl, found.student_logprob

    assert torch.autograd.gradcheck(all_parts, (hidden, head))


@pytest.mark.parametrize("head_learns", [True, False])
def test_the_operator_keeps_its_promises_to_torch(head_learns: bool) -> None:
    given = case(5, (13, 11), (4, 3), torch.float32)
    given.student_hidden.requires_grad_()
    given.student_head.requires_grad_(head_learns)
    torch.library.opcheck(fused_kl._linear_kl, (*given, 1.5, "forward"))


def test_a_frozen_head_gets_no_gradient() -> None:
    given = case()
    hidden = given.student_hidden.requires_grad_()
    fused_linear_kl(hidden, *given[1:]).kl.sum().backward()
    assert hidden.grad is not None
    assert given.student_head.grad is None


def test_what_does_not_fit_is_refused() -> None:
    given = case()
    with pytest.raises(ValueError, match="direction"):
        fused_linear_kl(*given, direction="sideways")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="temperature"):
        fused_linear_kl(*given, temperature=0.0)
    with pytest.raises(ValueError, match="head"):
        fused_linear_kl(given.teacher_hidden, *given[1:])
    with pytest.raises(ValueError, match="as many positions"):
        fused_linear_kl(*given[:4], given.targets[1:])
    for wrong in (301, -1):
        with pytest.raises(ValueError, match="301"):
            fused_linear_kl(*given[:4], given.targets.clone().fill_(wrong))


def test_nothing_of_the_size_of_all_logits_exists() -> None:
    """256 positions by 60,000 ids are 61 MB of logits a model; the peak is read as the kernel saw it."""
    given = case(256, (60_000, 60_000), (16, 16), torch.float32)
    hidden, head = (tensor.requires_grad_() for tensor in given[:2])
    fused_linear_kl(hidden, head, *given[2:]).kl.sum().backward()  # matrix products set up their own memory
    hidden.grad = head.grad = None
    before = reset_peak()
    fused_linear_kl(hidden, head, *given[2:]).kl.sum().backward()
    kept = sum(tensor.numel() * 4 for tensor in (hidden, head))
    assert peak_bytes() - before - kept <= 16 << 20
