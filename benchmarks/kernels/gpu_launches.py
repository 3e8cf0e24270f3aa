"""What the fused linear KL launches on a GPU, counted on tensors without memory, and what that takes by a model.

    python -m benchmarks.kernels.gpu_launches          for a 7B model: 2,048 positions of width 4,096, 156,032 ids

No GPU was asked. The operator's own code runs on `meta` tensors: each call of torch that computes is a launch, as is
each of our kernels. Assumed of an H200: 790 TFLOP/s of dense products in bfloat16, in tiles of 128 × 256 of which 132
are computed at a time; single precision without tensor cores at 60; 4.3 TB/s between it and its memory, where every
launch reads its arguments and writes its results; 10 µs of the host for each launch, while the GPU computes what was
launched before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sqe_fast.kernels.kl import fused_kl, tile_ops
from sqe_fast.kernels.kl.fused_kl import Direction

PROCESSORS, TILE = 132, (128, 256)
HALF_FLOPS, SINGLE_FLOPS, BYTES = 790e12, 60e12, 4.3e12  # a second
HOST_SECONDS = 10e-6
VIEWS = {
    *("view", "t", "transpose", "slice", "select", "expand", "unsqueeze", "detach", "as_strided", "alias"),
    *("empty", "empty_like", "new_empty", "empty_strided"),
}
"""Calls that launch nothing."""
PRODUCTS = {"mm", "addmm", "addmm_"}


@dataclass(frozen=True)
class Product:
    """[m, k] · [k, n]"""

    m: int
    k: int
    n: int
    half: bool

    @property
    def flops(self) -> int:
        return 2 * self.m * self.k * self.n

    @property
    def seconds(self) -> float:
        tiles = math.ceil(self.m / TILE[0]) * math.ceil(self.n / TILE[1])
        computed = math.ceil(tiles / PROCESSORS) * PROCESSORS * TILE[0] * TILE[1] * self.k * 2
        return computed / (HALF_FLOPS if self.half else SINGLE_FLOPS)


@dataclass
class Launches:
    products: list[Product] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    """By name: calls of torch and of our kernels."""
    moved: int = 0
    """Bytes that others read and write."""

    @property
    def count(self) -> int:
        return len(self.products) + self.others.total()

    @property
    def flops(self) -> int:
        return sum(product.flops for product in self.products)

    @property
    def seconds(self) -> float:
        on_gpu = sum(product.seconds for product in self.products) + self.moved / BYTES
        return max(on_gpu, HOST_SECONDS * self.count)


class _Counting(TorchDispatchMode):
    def __init__(self, launches: Launches) -> None:
        super().__init__()
        self._launches = launches

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            a, b = args[-2:] if name.startswith("addmm") else args[:2]
            self._launches.products.append(Product(*a.shape, b.shape[1], a.itemsize == 2))
        elif name not in VIEWS:
            self._launches.others[name] += 1
            touched = args[2:] if name == "scatter_add_" else (args, result)  # of the tile only what is added to
            self._launches.moved += sum(leaf.nbytes for leaf in tree_leaves(touched) if isinstance(leaf, Tensor))
        return result


class _Kernels:
    """Stands for `_native`: each call is a launch that reads its tiles, or overwrites the first."""

    CUDA = True

    def __init__(self, launches: Launches) -> None:
        self._launches = launches

    def __getattr__(self, name: str) -> Any:
        pair, written = "pair" in name, "differentiate" in name

        def launch(*given: Any) -> None:
            rows, columns = given[2:4] if pair else given[1:3]
            self._launches.others[name] += 1
            self._launches.moved += rows * columns * 4 * (1 + pair + written)

        return launch


@contextmanager
def counted() -> Iterator[Launches]:
    """What is launched within, by operators on `meta` tensors."""
    launches = Launches()

    @contextmanager
    def no_queue(_: Tensor) -> Iterator[int]:
        yield 0

    with (
        mock.patch.object(torch, "autocast", return_value=nullcontext()),  # knows no `meta` device
        mock.patch.object(tile_ops, "on_gpu", return_value=True),
        mock.patch.object(tile_ops, "_queue", no_queue),
        mock.patch.object(tile_ops, "_native", _Kernels(launches)),
        _Counting(launches),
    ):
        yield launches


@dataclass(frozen=True)
class Shape:
    positions: int = 2_048
    width: int = 4_096
    student_vocabulary: int = 156_032
    teacher_vocabulary: int = 156_032
    hidden: torch.dtype = torch.bfloat16
    head: torch.dtype = torch.bfloat16

    @property
    def least_flops(self) -> tuple[int, int]:
        """Of a forward and a backward pass that keep no logits: both models' logits in each, and two gradients."""
        one = 2 * self.positions * self.width
        logits = one * (self.student_vocabulary + self.teacher_vocabulary)
        return logits, one * (3 * self.student_vocabulary + min(self.student_vocabulary, self.teacher_vocabulary))


def launches_of(shape: Shape, temperature: float = 1.0, direction: Direction = "reverse") -> tuple[Launches, Launches]:
    """Forward and backward pass."""

    def made(*size: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(size, dtype=dtype, device="meta")

    T, D = shape.positions, shape.width
    student = made(T, D, dtype=shape.hidden), made(shape.student_vocabulary, D, dtype=shape.head)
    teacher = made(T, D, dtype=shape.hidden), made(shape.teacher_vocabulary, D, dtype=shape.head)
    models, targets = (*student, *teacher), made(T, dtype=torch.int64)
    with counted() as forward:
        *_, sums = fused_kl._linear_kl._init_fn(*models, targets, temperature, direction)
    slopes = made(T, dtype=torch.float32), made(T, dtype=torch.float32)
    with counted() as backward:
        fused_kl._linear_kl_backward._init_fn(*models, targets, sums, *slopes, temperature, direction, True)
    return forward, backward


def main() -> None:
    shape = Shape()
    print("| pass | launches | products | smallest product | TFLOP | ms by the model | roofline ms | times |")
    print("| --- |" + " ---: |" * 7)
    for name, launches, least in zip(("forward", "backward"), launches_of(shape), shape.least_flops, strict=True):
        smallest = min(launches.products, key=lambda product: product.flops)
        roofline = least / HALF_FLOPS
        print(
            f"| {name} | {launches.count} | {len(launches.products)} | {smallest.m}×{smallest.k}×{smallest.n} "
            f"| {launches.flops / 1e12:.2f} | {launches.seconds * 1e3:.1f} | {roofline * 1e3:.1f} "
            f"| {launches.seconds / roofline:.2f} |"
        )


if __name__ == "__main__":
    main()
