"""What the fused linear KL would launch on a GPU, by count (benchmarks/kernels/gpu_launches.py)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.kernels.gpu_launches import HALF_FLOPS, Product, Shape, launches_of
from sqe_fast.kernels.kl import tiles
from tests.support.shapes import VOCABULARY

SEVEN_B = Shape()


@pytest.mark.parametrize(
    "shape",
    [
        SEVEN_B,
        replace(SEVEN_B, teacher_vocabulary=VOCABULARY),
        replace(SEVEN_B, head=torch.float32),
        replace(SEVEN_B, width=8_192, positions=16_384, student_vocabulary=VOCABULARY),
    ],
    ids=["7B", "a smaller teacher", "mixed precision", "large"],
)
def test_no_more_than_three_times_the_roofline(shape: Shape) -> None:
    """Tiles of a CPU's 10 MB were 512 × 64 at this width: 9,752 of them, 177,000 calls, four output tiles a product."""
    for launches, least in zip(launches_of(shape), shape.least_flops, strict=True):
        assert launches.flops == least
        assert launches.seconds <= 3 * least / HALF_FLOPS
        assert launches.count < 2_000
        assert all(product.half for product in launches.products), "a product without tensor cores"


@pytest.mark.parametrize("width", [896, 3_584, 8_192])
def test_tiles_do_not_depend_on_the_width(width: int) -> None:
    expected, found = ([len(each.products) for each in launches_of(replace(SEVEN_B, width=w))] for w in (4_096, width))
    assert found == expected


def test_a_product_fills_the_processors() -> None:
    for launches in launches_of(SEVEN_B):
        assert min(product.m * product.n for product in launches.products) >= 132 * 128 * 256


def test_single_precision_is_multiplied_in_single_precision() -> None:
    shape = replace(SEVEN_B, positions=64, hidden=torch.float32, head=torch.float32)
    for launches in launches_of(shape):
        assert not [product for product in launches.products if product.half]


def test_many_positions_are_cut_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scratch for tiles of all rows would grow with them for ever."""
    monkeypatch.setattr(tiles, "GPU_TILE_ROWS", 1_024)
    for launches, least in zip(launches_of(SEVEN_B), SEVEN_B.least_flops, strict=True):
        assert launches.flops == least
        assert max(product.m for product in launches.products if product.k == SEVEN_B.width) == 1_024


def test_seconds_of_a_product_by_hand() -> None:
    """One tile takes as long as one for each of 132 processors."""
    one, all_busy = Product(128, 64, 256, True), Product(128 * 132, 64, 256, True)
    assert one.seconds == all_busy.seconds == 2 * 132 * 128 * 256 * 64 / 790e12
