"""The fused linear KL from a teacher's top K, against the formula over K ids and "any other"."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import fused_kl_top_k, reference, tiles
from sqe_fast.kernels.fused_kl import Direction, TokenKL, fused_linear_kl
from sqe_fast.kernels.fused_kl_top_k import fused_linear_kl_top_k
from tests.kernels.test_fused_kl import DIRECTIONS, Case, case, close, gradients

KEPT = 5


def top_k(given: Case, temperature: float, count: int = KEPT) -> tuple[Tensor, Tensor]:
    """The teacher's likeliest ids and their log-probabilities at the temperature."""
    log_q = torch.log_softmax(given.teacher_hidden.double() @ given.teacher_head.double().T / temperature, -1)
    logprobs, ids = log_q.topk(count)
    return ids, logprobs


def fused(
    given: Case, temperature: float, direction: Direction, vocabulary: int | None = None
) -> tuple[TokenKL, tuple[Tensor, Tensor]]:
    hidden, head = (tensor.clone().requires_grad_() for tensor in given[:2])
    ids, logprobs = top_k(given, temperature)
    found = fused_linear_kl_top_k(
        hidden, head, ids, logprobs, given.targets, temperature, direction, teacher_vocabulary=vocabulary
    )
    return found, gradients(found, hidden, head)


def expected(
    given: Case, temperature: float, direction: Direction, vocabulary: int | None = None
) -> tuple[TokenKL, tuple[Tensor, Tensor]]:
    hidden, head = (tensor.double().requires_grad_() for tensor in given[:2])
    logits = hidden @ head.T
    ids, logprobs = top_k(given, temperature)
    kl = reference.top_k_kl(logits[:, :vocabulary], ids, logprobs, temperature, direction)
    found = TokenKL(kl, reference.target_logprob(logits, given.targets), torch.zeros(len(kl)))
    return found, gradients(found, hidden, head)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("vocabulary", [None, 250])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_values_and_gradients_are_those_of_the_formula(
    temperature: float, direction: Direction, vocabulary: int | None, dtype: torch.dtype, tolerance: float
) -> None:
    given = case(dtype=dtype)
    right, right_gradients = expected(given, temperature, direction, vocabulary)
    found, found_gradients = fused(given, temperature, direction, vocabulary)
    close(found.kl, right.kl.detach(), tolerance)
    close(found.student_logprob, right.student_logprob.detach(), tolerance)
    for one, other in zip(found_gradients, right_gradients, strict=True):
        close(one, other, tolerance)


def test_tiles_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id of the K that falls between two tiles, or is counted in both."""
    whole = fused(case(), 1.3, "reverse", 250)
    monkeypatch.setattr(tiles, "SCRATCH_BYTES", 1)
    monkeypatch.setattr(tiles, "LEAST_COLUMNS", 29)
    monkeypatch.setattr(tiles, "TILE_ROWS", 8)
    cut = fused(case(), 1.3, "reverse", 250)
    close(cut[0].kl, whole[0].kl.detach(), 1e-12)
    for one, other in zip(cut[1], whole[1], strict=True):
        close(one, other, 1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_of_a_small_vocabulary_is_the_whole_divergence(direction: Direction) -> None:
    given = case(9, (12, 12))
    ids, logprobs = top_k(given, 1.0, 12)
    found = fused_linear_kl_top_k(*given[:2], ids, logprobs, given.targets, 1.0, direction)
    close(found.kl, fused_linear_kl(*given, 1.0, direction).kl, 1e-9)


def test_ids_that_the_student_lacks_leave_their_share_to_the_others() -> None:
    given = case(9, (40, 60))
    ids, logprobs = top_k(given, 1.0, 20)
    assert bool((ids >= 40).any())
    found = fused_linear_kl_top_k(*given[:2], ids, logprobs, given.targets)
    for row in range(9):
        known = [(int(i), float(q.exp())) for i, q in zip(ids[row], logprobs[row], strict=True) if i < 40]
        tail = 1 - float(logprobs[row].exp().sum())
        whole = sum(q for _, q in known) + tail
        one = [torch.tensor([[i for i, _ in known]]), torch.tensor([[q / whole for _, q in known]]).double().log()]
        logits = given.student_hidden[row : row + 1] @ given.student_head.T
        assert float(found.kl[row]) == pytest.approx(float(reference.top_k_kl(logits, *one)[0]), abs=1e-7)


def test_what_the_teacher_thinks_of_a_target_is_known_for_its_top_k_alone() -> None:
    given = case()
    ids, logprobs = top_k(given, 1.0)
    targets = ids[:, 2].clone()
    found = fused_linear_kl_top_k(*given[:2], ids, logprobs, targets)
    close(found.teacher_logprob, logprobs[:, 2], 1e-12)
    targets[0] = int(next(i for i in range(250) if i not in ids[0]))
    assert fused_linear_kl_top_k(*given[:2], ids, logprobs, targets).teacher_logprob[0].isnan()


def test_ignored_positions_are_zero() -> None:
    given = case()
    given.targets[3:] = -100
    found, (of_hidden, _) = fused(given, 1.0, "forward")
    assert not found.kl[3:].any()
    assert not of_hidden[3:].any()
    assert of_hidden[:3].any()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradcheck(direction: Direction) -> None:
    given = case(4, (13, 13), (4, 3))
    ids, logprobs = top_k(given, 1.5, 3)
    hidden, head = (tensor.requires_grad_() for tensor in given[:2])

    def all_parts(hidden: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        found = fused_linear_kl_top_k(hidden, head, ids, logprobs, given.targets, 1.5, direction, teacher_vocabulary=11)
        return found.kl, found.student_logprob

    assert torch.autograd.gradcheck(all_parts, (hidden, head))


def test_the_operator_keeps_its_promises_to_torch() -> None:
    given = case(4, (13, 13), (4, 3), torch.float32)
    ids, logprobs = top_k(given, 1.0, 3)
    log_q, log_tail = fused_kl_top_k.renormalised(logprobs, ids < 13)
    hidden, head = (tensor.requires_grad_() for tensor in given[:2])
    arguments = (hidden, head, ids, log_q, log_tail, given.targets, 1.0, True, 13)
    torch.library.opcheck(fused_kl_top_k._linear_kl_top_k, arguments)


def test_what_does_not_fit_is_refused() -> None:
    given = case()
    ids, logprobs = top_k(given, 1.0)
    with pytest.raises(ValueError, match=r"\[T, K\]"):
        fused_linear_kl_top_k(*given[:2], ids[:, 1:], logprobs, given.targets)
