"""Probabilities of candidate tokens as a Triton kernel, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.operators import Norm
from sqe_fast.kernels.triton.read_out import read_out
from tests.kernels.triton.cases import DTYPES, assert_close, normal, strided
from tests.support.operator_calls import in_precision

EPS = 1e-6
SHAPES = [(3, 40, 50, 5), (2, 300, 500, 41), (1, 512, 200, 128)]
"""(rows, width, vocabulary, candidates): less than a step along the width; more than one; none left over."""

Given = tuple[Tensor, Norm, Tensor, Tensor]


def given(rows: int, width: int, vocabulary: int, count: int, dtype: torch.dtype) -> Given:
    """The first row has no second candidate."""
    generator = torch.Generator().manual_seed(count)
    candidates = torch.randint(0, vocabulary, (rows, count), generator=generator, dtype=torch.int32)
    candidates[0, 1] = -1
    norm = Norm((1 + normal(width, scale=0.1)).to(dtype), None, EPS)
    head = normal(vocabulary, width, dtype=dtype, scale=2 * width**-0.5)
    return normal(rows, width, dtype=dtype, scale=3), norm, head, candidates


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "width", "vocabulary", "count"), SHAPES)
def test_as_the_reference(rows: int, width: int, vocabulary: int, count: int, dtype: torch.dtype) -> None:
    x, norm, head, candidates = given(rows, width, vocabulary, count, dtype)
    spread = candidates.repeat(1, 2)[:, :count]  # rows at a stride of their own
    found = read_out(strided(x), norm, strided(head), spread)
    expected = reference.read_out(x, norm, head, candidates)
    exact = reference.read_out(*in_precision((x, norm, head, candidates), torch.float64))
    # Even in float64 the reference rounds logits to float32: its last unit is not exact.
    assert_close(found, expected, exact)


def test_probabilities_of_named_candidates_alone() -> None:
    x, norm, head, candidates = given(3, 40, 50, 7, torch.float32)
    probabilities = read_out(x, norm, head, candidates)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(3))
    assert probabilities[0, 1] == 0
    assert int((probabilities > 0).sum()) == 3 * 7 - 1


def test_no_other_row_of_the_head_is_read() -> None:
    """Poison in a row that nobody names, the first one that stands in for none among them."""
    x, norm, head, candidates = given(3, 40, 50, 7, torch.float32)
    candidates[candidates == 0] = 1
    poisoned = torch.full_like(head, float("nan"))
    named = candidates[candidates >= 0].long()
    poisoned[named] = head[named]
    expected = read_out(x, norm, head, candidates)
    assert torch.equal(read_out(x, norm, poisoned, candidates), expected)


def test_large_logits_do_not_overflow() -> None:
    x, norm, head, candidates = given(2, 40, 50, 7, torch.float32)
    found = read_out(x, norm, 200 * head, candidates)
    expected = reference.read_out(x, norm, 200 * head, candidates)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_row_without_candidates_gives_zeros() -> None:
    x, norm, head, candidates = given(2, 40, 50, 5, torch.float32)
    candidates[1] = -1
    probabilities = read_out(x, norm, head, candidates)
    assert (probabilities[1] == 0).all()
    assert (probabilities[0] > 0).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_is_the_same_alone(dtype: torch.dtype) -> None:
    """Bit for bit, and beside a row of more candidates."""
    x, norm, head, candidates = given(3, 300, 50, 70, dtype)
    candidates[1, 5:] = -1
    together = read_out(x, norm, head, candidates)
    alone = read_out(x[1:2], norm, head, candidates[1:2, :5].contiguous())
    assert torch.equal(together[1:2, :5], alone)


def test_no_rows() -> None:
    x, norm, head, candidates = given(1, 40, 50, 5, torch.float32)
    assert read_out(x[:0], norm, head, candidates[:0]).shape == (0, 5)
