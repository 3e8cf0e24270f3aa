"""How tests reach a GPU (tests/support/on_gpu.py): copies laid out as what they are of, and written back."""

from __future__ import annotations

import torch
from torch import Tensor

from sqe_fast.kernels.operators import Linear
from tests.support.on_gpu import Copies, on_device

CPU = torch.device("cpu")


def test_a_copy_lies_in_memory_as_the_original() -> None:
    """A dense copy would never meet the strides that a test is about."""
    whole = torch.arange(40.0).view(4, 10)
    left, right, turned = whole[:, 1:4], whole[:, 4:9], whole.T
    copies = Copies(CPU)
    first, (second, third), linear = copies.of((left, [right, turned], Linear(left, None)))
    for copy, original in ((first, left), (second, right), (third, turned), (linear.weight, left)):
        assert torch.equal(copy, original)
        assert copy.stride() == original.stride()
        assert copy.data_ptr() != original.data_ptr()
    assert first.untyped_storage().data_ptr() == third.untyped_storage().data_ptr()
    assert linear.bias is None


def test_an_operator_writes_where_it_is_told_to() -> None:
    out = torch.zeros(3, 4)

    def operator(x: Tensor, out: Tensor, *, plus: float) -> tuple[Tensor, Tensor]:
        out[:, 1] = x + plus
        return x, out

    (x, found) = on_device(operator, CPU)(torch.ones(3), out[:, :2], plus=1.0)
    assert torch.equal(out, torch.tensor([[0.0, 2, 0, 0]] * 3))
    assert torch.equal(found, out[:, :2])
    assert torch.equal(x, torch.ones(3))
