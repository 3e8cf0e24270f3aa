"""The watch over addresses (conftest.py) sees one element too far, before or behind, read or written."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpreterError


@triton.jit
def _copy(source, out, first, stop, shift, block: tl.constexpr):
    i = first + tl.arange(0, block)
    tl.store(out + i + shift, tl.load(source + i, mask=i < stop, other=0.0), mask=i < stop)


def copy(first: int, stop: int, shift: int) -> None:
    """In the middle of longer tensors, so that what lies about them is memory all the same."""
    source, out = torch.arange(32.0)[8:24], torch.zeros(32)[8:24]
    _copy[(1,)](source, out, first, stop, shift, block=32)
    assert torch.equal(out, source)


def test_all_of_it_may_be_used() -> None:
    copy(0, 16, 0)


@pytest.mark.parametrize(("first", "stop", "shift"), [(0, 17, -1), (-1, 16, 1), (0, 16, 1), (0, 16, -1)])
def test_one_too_far_is_seen(first: int, stop: int, shift: int) -> None:
    with pytest.raises(InterpreterError, match=r"1 of .* addresses lie in no argument"):
        copy(first, stop, shift)
