"""Tiles of logits anywhere in memory, and what the kernels for the CPU make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqe_fast import _native
from sqe_fast.kernels.kl.fused_kl import Direction
from tests.kernels.kl.cuda.compiled import Kernels

Array = npt.NDArray[np.float32]
Figures = npt.NDArray[np.float64]

DIRECTIONS: list[Direction] = ["forward", "reverse"]
GAP = np.float32(-12345.0)
"""What stands around a tile's rows, and must go on standing there."""


@dataclass
class PlacedTile:
    """`values` [rows, columns] within `memory`, which is aligned to 16 bytes."""

    memory: Array
    values: Array

    @classmethod
    def of(cls, values: Array, offset: int = 0, gap: int = 0) -> PlacedTile:
        """Starts `offset` values after a 16-byte boundary; `gap` values lie between two rows."""
        rows, columns = values.shape
        memory = np.full(4 + offset + rows * (columns + gap), GAP)
        start = offset - (memory.ctypes.data % 16) // 4 % 4 + 4
        placed = memory[start : start + rows * (columns + gap)].reshape(rows, columns + gap)[:, :columns]
        placed[:] = values
        return cls(memory, placed)

    @property
    def address(self) -> int:
        return int(self.values.ctypes.data)

    @property
    def stride(self) -> int:
        return self.values.strides[0] // self.values.itemsize

    def untouched(self) -> bool:
        """Whether all is as it was, but for the tile itself."""
        inside = int((self.values == GAP).sum())
        return int((self.memory == GAP).sum()) - inside == self.memory.size - self.values.size


def nothing(rows: int, figures: int) -> Figures:
    """Sums of nothing, of one model (2 figures) or both (5)."""
    return np.tile([-np.inf, 0.0, -np.inf, 0.0, 0.0][:figures], (rows, 1))


def accumulate_pair(
    kernels: Kernels, s: PlacedTile, t: PlacedTile, temperature: float, direction: Direction, sums: Figures
) -> None:
    shape = (*s.values.shape, s.stride, t.stride)
    kernels.kl_cuda_accumulate_pair(s.address, t.address, *shape, temperature, direction, sums.ctypes.data, None)


def accumulate_one(kernels: Kernels, x: PlacedTile, sums: Figures) -> None:
    kernels.kl_cuda_accumulate_one(x.address, *x.values.shape, x.stride, sums.ctypes.data, None)


def differentiate_pair(
    kernels: Kernels, s: PlacedTile, t: PlacedTile, temperature: float, direction: Direction, scales: Figures
) -> None:
    shape = (*s.values.shape, s.stride, t.stride)
    kernels.kl_cuda_differentiate_pair(s.address, t.address, *shape, temperature, direction, scales.ctypes.data, None)


def differentiate_one(kernels: Kernels, x: PlacedTile, scales: Figures) -> None:
    kernels.kl_cuda_differentiate_one(x.address, *x.values.shape, x.stride, scales.ctypes.data, None)


def logits(generator: np.random.Generator, rows: int, columns: int, spread: float = 4.0) -> Array:
    return (generator.standard_normal((rows, columns)) * spread).astype(np.float32)


def assert_sums_agree(found: Figures, right: Figures, largest: float) -> None:
    """Maxima are the same; sums to 1e-6, and the cross term to 1e-6 of its terms, of which none is over `largest`."""
    np.testing.assert_array_equal(found[:, 0:4:2], right[:, 0:4:2])
    np.testing.assert_allclose(found[:, 1:4:2], right[:, 1:4:2], rtol=1e-6)
    if found.shape[1] > 2:
        weight = np.maximum(right[:, 1], right[:, 3])
        finite = np.isfinite(right[:, 4])
        np.testing.assert_array_equal(found[~finite, 4], right[~finite, 4])
        off = np.abs(found[finite, 4] - right[finite, 4]) / (weight * largest)[finite]
        np.testing.assert_array_less(off, 1e-6)


def check_sums(
    kernels: Kernels, seed: int, columns: tuple[int, ...] = (1000, 255), direction: Direction = "forward"
) -> None:
    """Tiles of some widths, one after another, into the same sums; each anywhere in memory."""
    generator = np.random.default_rng(seed)
    kernels.seed(seed)
    rows, temperature = 3, float(generator.choice([1.0, 1.7]))
    found, right = nothing(rows, 5), nothing(rows, 5)
    found_one, right_one = nothing(rows, 2), nothing(rows, 2)
    for width in columns:
        offset, gap, other_gap = (int(x) for x in generator.integers(0, 4, 3))
        alike = generator.random() < 0.7  # mostly the layouts that allow for loads of four
        s = PlacedTile.of(logits(generator, rows, width), offset, gap)
        t = PlacedTile.of(logits(generator, rows, width), offset, gap if alike else other_gap)
        accumulate_pair(kernels, s, t, temperature, direction, found)
        _native.kl_accumulate_pair(s.values, t.values, temperature, direction, right, 1)
        accumulate_one(kernels, s, found_one)
        _native.kl_accumulate_one(s.values, right_one, 1)
        assert s.untouched()
        assert t.untouched()
    assert_sums_agree(found, right, largest=40.0)
    assert_sums_agree(found_one, right_one, largest=40.0)
