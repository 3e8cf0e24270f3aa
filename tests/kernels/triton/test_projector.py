"""Pool, layer norm and linear layer as Triton kernels, against the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.operators import Linear, Norm
from sqe_fast.kernels.triton.projector import pool_norm_linear
from tests.kernels.triton.cases import DTYPES, SHAPES, assert_close, normal, strided
from tests.support.operator_calls import in_precision

EPS = 1e-5
SLOTS = 90


def weights(inputs: int, outputs: int, dtype: torch.dtype) -> tuple[Norm, Linear]:
    norm = Norm((1 + normal(inputs, scale=0.1)).to(dtype), normal(inputs, seed=1, dtype=dtype), EPS)
    weight = normal(outputs, inputs, scale=inputs**-0.5, dtype=dtype)
    return norm, Linear(weight, normal(outputs, seed=2, dtype=dtype))


def places(count: int, limit: int) -> Tensor:
    """Different ones below limit, in no order."""
    return torch.randperm(limit, generator=torch.Generator().manual_seed(count))[:count].to(torch.int32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("pairs", "inputs", "outputs"), SHAPES)
def test_as_the_reference(pairs: int, inputs: int, outputs: int, dtype: torch.dtype) -> None:
    """Pairs at odd rows too, as after a clip of an odd number of positions; what is not written stays."""
    x, first, rows = normal(100, inputs, dtype=dtype), places(pairs, 99), places(pairs, SLOTS)
    given = weights(inputs, outputs, dtype)
    found, expected, exact = (torch.full((SLOTS, outputs), 7.0, dtype=t) for t in (dtype, dtype, torch.float64))
    pool_norm_linear(strided(x), first, *given, found, rows)
    reference.pool_norm_linear(x, first, *given, expected, rows)
    reference.pool_norm_linear(x.double(), first, *in_precision(given, torch.float64), exact, rows)
    assert_close(found, expected, exact)
    untouched = torch.ones(SLOTS, dtype=torch.bool).index_fill(0, rows.long(), False)
    assert (found[untouched] == 7).all()


@pytest.mark.usefixtures("no_launch")
def test_no_pairs_no_launch() -> None:
    none, out = torch.empty(0, dtype=torch.int32), torch.full((3, 24), 7.0)
    pool_norm_linear(normal(4, 40, dtype=torch.float32), none, *weights(40, 24, torch.float32), out, none)
    assert (out == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pair_is_the_same_alone(dtype: torch.dtype) -> None:
    """Bit for bit."""
    x, first, rows = normal(100, 72, dtype=dtype), places(70, 99), places(70, SLOTS)
    whole, alone = torch.zeros(2, SLOTS, 40, dtype=dtype)
    pool_norm_linear(x, first, *weights(72, 40, dtype), whole, rows)
    pool_norm_linear(x, first[66:67], *weights(72, 40, dtype), alone, rows[66:67])
    assert torch.equal(alone[rows[66]], whole[rows[66]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_equal_rows_is_either_of_them(dtype: torch.dtype) -> None:
    x = normal(5, 72, dtype=dtype)
    norm, linear = weights(72, 40, dtype)
    out, rows = x.new_zeros(5, 40), torch.arange(5, dtype=torch.int32)
    pool_norm_linear(x.repeat_interleave(2, 0), 2 * rows, norm, linear, out, rows)
    (expected,) = reference.norm_linear(*in_precision((x, norm, [linear]), torch.float64))
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=8 * torch.finfo(dtype).eps * expected.abs().max())
