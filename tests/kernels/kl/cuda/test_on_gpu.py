"""The operator on a real GPU, where there is one and the installation has kernels for it."""

from __future__ import annotations

import pytest
import torch

from sqe_fast import _native
from sqe_fast.kernels.kl.fused_kl import Direction
from tests.kernels.kl.test_fused_kl import DIRECTIONS, TOLERANCES, VOCABULARIES, Case, case, close, expected, fused

pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and _native.CUDA), reason="no GPU, or an installation without kernels for one"
)


def moved(given: Case) -> Case:
    return Case(*(tensor.cuda() for tensor in given))


@pytest.mark.parametrize("vocabularies", VOCABULARIES)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_values_and_gradients_are_those_of_the_formula(
    vocabularies: tuple[int, int],
    temperature: float,
    direction: Direction,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Products in full single precision, so that tolerances are the CPU's."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    given = case(700, vocabularies, dtype=dtype)
    right, right_gradients = expected(given, temperature, direction)
    found, found_gradients = fused(moved(given), temperature, direction)
    values, slopes = TOLERANCES[dtype]
    for one, other in zip(vars(found).values(), vars(right).values(), strict=True):
        assert one.is_cuda
        close(one.cpu(), other.detach(), values)
    for one, other in zip(found_gradients, right_gradients, strict=True):
        assert one.dtype == dtype
        close(one.cpu(), other, slopes)
