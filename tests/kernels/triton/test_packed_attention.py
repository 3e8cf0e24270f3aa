"""Attention of packed clips as a Triton kernel, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.triton.packed_attention import packed_attention
from tests.kernels.triton.cases import DTYPES, assert_close, normal

CLIPS = [(2, 16, (33, 1, 46)), (1, 48, (70,)), (2, 64, (129, 17)), (2, 64, (1,)), (1, 32, (64, 32))]
"""(heads, head_dim, lengths): ragged; a head of no power of two; more queries than a tile; one position; no rest."""
LONGEST = 1500
"""Positions of 30 s."""


def inputs(lengths: tuple[int, ...], width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v, columns of one matrix; scores from about −3 to 3."""
    q, k, v = normal(sum(lengths), 3 * width, dtype=dtype).split(width, 1)
    return q, k, v


def check(q: Tensor, k: Tensor, v: Tensor, heads: int, lengths: tuple[int, ...]) -> None:
    exact = reference.packed_attention(q.double(), k.double(), v.double(), heads, lengths)
    expected = reference.packed_attention(q, k, v, heads, lengths)
    assert_close(packed_attention(q, k, v, heads, lengths), expected, exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "head_dim", "lengths"), CLIPS)
def test_as_the_reference(heads: int, head_dim: int, lengths: tuple[int, ...], dtype: torch.dtype) -> None:
    check(*inputs(lengths, heads * head_dim, dtype), heads, lengths)


def test_large_scores_do_not_overflow() -> None:
    """Of up to some hundreds: e to their power is no float32, so each step must subtract the largest before."""
    q, k, v = inputs((150,), 32, torch.float32)
    check(30 * q, 30 * k, v, 1, (150,))


def test_the_longest_clip() -> None:
    check(*inputs((LONGEST,), 64, torch.float16), 1, (LONGEST,))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the neighbours
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_clip_is_the_same_alone(dtype: torch.dtype) -> None:
    """Bit for bit, and though its neighbours are not numbers."""
    lengths = (20, 75, 9)
    q, k, v = inputs(lengths, 32, dtype)
    own = slice(20, 95)
    alone = packed_attention(q[own], k[own], v[own], 1, lengths[1:2])
    assert torch.equal(packed_attention(q, k, v, 1, lengths)[own], alone)
    for part in (q, k, v):
        part[:20], part[95:] = float("inf"), float("nan")
    assert torch.equal(packed_attention(q, k, v, 1, lengths)[own], alone)


def test_the_order_of_keys_is_of_no_importance() -> None:
    q, k, v = (part.contiguous() for part in inputs((60,), 32, torch.float32))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    found, shuffled = packed_attention(q, k, v, 1, (60,)), packed_attention(q, k[order], v[order], 1, (60,))
    torch.testing.assert_close(found, shuffled, rtol=0, atol=1e-6)
    assert not torch.equal(k, k[order])


def test_weights_of_a_row_sum_to_one() -> None:
    q, k, v = inputs((50, 21), 32, torch.float32)
    found = packed_attention(q, k, torch.full_like(v, 3.0), 2, (50, 21))
    torch.testing.assert_close(found, torch.full_like(found, 3.0), rtol=1e-6, atol=0)


def test_nothing_to_attend_to() -> None:
    assert packed_attention(*torch.empty(3, 0, 32), 2, ()).shape == (0, 32)
