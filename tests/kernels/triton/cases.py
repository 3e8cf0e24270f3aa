"""Inputs of the matrix product operators, and how far a kernel's result may be from the exact one."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.support.on_gpu import GPU

DTYPES = [torch.bfloat16, torch.float16] if GPU else [torch.float32, torch.float16]
"""Triton's interpreter computes bfloat16 wrongly; a GPU is served in half precision."""

SHAPES = [(1, 40, 48), (37, 104, 72), (70, 130, 100)]
"""(rows, inputs, outputs): one row; ragged; more than a tile of rows, and weights' rows at no multiple of 16 bytes."""

MARGIN = 4.0
"""How many times the reference's own error is allowed. Both round the same number of times to the dtype (so 2 would do
for those), but the kernel sums in steps over K where torch's order varies by processor."""


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + sum(shape))
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def strided(x: Tensor) -> Tensor:
    """The same values, in rows with 8 more elements between them."""
    spread = x.new_full((x.shape[0], x.shape[1] + 8), float("nan"))
    spread[:, : x.shape[1]] = x
    return spread[:, : x.shape[1]]


def assert_close(found: Tensor, reference: Tensor, exact: Tensor) -> None:
    """`exact` is the reference's result in float64. One unit in the last place of the largest result is always allowed:
    where the reference is exact by luck, another order of summation still rounds once."""
    assert found.dtype == reference.dtype
    assert found.shape == exact.shape
    unit = torch.finfo(found.dtype).eps * float(exact.abs().max())
    allowed = max(MARGIN * float((reference.double() - exact).abs().max()), unit)
    assert float((found.double() - exact).abs().max()) <= allowed
