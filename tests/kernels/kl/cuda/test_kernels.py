"""The kernels for a GPU, compiled for the CPU (compiled.py), against those for the CPU. None of it has run on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast import _native
from sqe_fast.kernels.kl.fused_kl import Direction
from tests.kernels.kl.cuda.compiled import Kernels
from tests.kernels.kl.cuda.tiles_at_random import (
    DIRECTIONS,
    Array,
    Figures,
    PlacedTile,
    accumulate_one,
    accumulate_pair,
    assert_sums_agree,
    check_sums,
    differentiate_one,
    differentiate_pair,
    logits,
    nothing,
)

WIDTHS = (1, 3, 31, 255, 1000, 4097)
ROWS = 3


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_sums_are_the_cpus(kernels: Kernels, columns: int, direction: Direction) -> None:
    """Three tiles into the same sums: a maximum that is not carried on, a row's head or tail lost or doubled."""
    check_sums(kernels, seed=columns, columns=(columns, 37, columns), direction=direction)


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("gap", [0, 1])
def test_every_alignment_of_a_row(kernels: Kernels, offset: int, gap: int) -> None:
    """An odd stride takes rows through all four; both tiles alike, and each on its own."""
    generator = np.random.default_rng(offset)
    for other in (offset, offset + 1):
        s = PlacedTile.of(logits(generator, 4, 42), offset, gap)
        t = PlacedTile.of(logits(generator, 4, 42), other, gap)
        found, right = nothing(4, 5), nothing(4, 5)
        accumulate_pair(kernels, s, t, 1.0, "forward", found)
        _native.kl_accumulate_pair(s.values, t.values, 1.0, "forward", right, 1)
        assert_sums_agree(found, right, largest=40.0)


def test_the_order_of_threads_changes_nothing(kernels: Kernels) -> None:
    generator = np.random.default_rng(0)
    s, t = (PlacedTile.of(logits(generator, ROWS, 700)) for _ in range(2))
    found = []
    for seed in range(5):
        kernels.seed(seed)
        found.append(nothing(ROWS, 5))
        accumulate_pair(kernels, s, t, 1.0, "forward", found[-1])
    assert all(np.array_equal(sums, found[0]) for sums in found)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_huge_logits(kernels: Kernels, direction: Direction) -> None:
    """Sums that overflow, and maxima so far apart that what came before is nothing."""
    generator = np.random.default_rng(1)
    found, right = nothing(ROWS, 5), nothing(ROWS, 5)
    for spread in (1.0, 1e4, 1e4, 1.0):
        s, t = (PlacedTile.of(logits(generator, ROWS, 300, spread)) for _ in range(2))
        accumulate_pair(kernels, s, t, 1.7, direction, found)
        _native.kl_accumulate_pair(s.values, t.values, 1.7, direction, right, 1)
    assert np.isfinite(found).all()
    assert_sums_agree(found, right, largest=1e5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ids_that_the_teacher_rules_out(kernels: Kernels, direction: Direction) -> None:
    """Some, and then all of a tile. Forward they add nothing; in reverse the divergence is infinite."""
    generator = np.random.default_rng(2)
    found, right = nothing(ROWS, 5), nothing(ROWS, 5)
    for ruled_out in (0.3, 1.0, 0.9):
        s, t = logits(generator, ROWS, 777), logits(generator, ROWS, 777)
        t[generator.random(t.shape) < ruled_out] = -np.inf
        accumulate_pair(kernels, PlacedTile.of(s), PlacedTile.of(t), 1.0, direction, found)
        _native.kl_accumulate_pair(s, t, 1.0, direction, right, 1)
    assert np.isfinite(found).all() == (direction == "forward")
    assert_sums_agree(found, right, largest=40.0)


def test_a_tile_that_is_ruled_out_before_anything_is_known(kernels: Kernels) -> None:
    """−∞ − −∞, on either side. Against the sums written out."""
    generator = np.random.default_rng(3)
    s, t = (logits(generator, ROWS, 600) for _ in range(2))
    t[:, :300] = -np.inf
    found, of_cpu = nothing(ROWS, 5), nothing(ROWS, 5)
    for columns in (slice(0, 150), slice(150, 300), slice(300, 600)):
        accumulate_pair(kernels, PlacedTile.of(s[:, columns]), PlacedTile.of(t[:, columns]), 1.0, "forward", found)
        _native.kl_accumulate_pair(s[:, columns], t[:, columns], 1.0, "forward", of_cpu, 1)
    weights = np.exp(t[:, 300:].astype(float) - t.max(1, keepdims=True))
    right = nothing(ROWS, 5)
    right[:, 0], right[:, 2] = s.max(1), t.max(1)
    right[:, 1], right[:, 3] = np.exp(s.astype(float) - s.max(1, keepdims=True)).sum(1), weights.sum(1)
    right[:, 4] = (weights * (t[:, 300:].astype(float) - s[:, 300:])).sum(1)
    for sums in (found, of_cpu):
        assert_sums_agree(sums, right, largest=40.0)


def test_a_nan_is_not_lost(kernels: Kernels) -> None:
    values = logits(np.random.default_rng(4), ROWS, 300)
    values[1, 77] = np.nan
    found = nothing(ROWS, 2)
    accumulate_one(kernels, PlacedTile.of(values), found)
    assert np.isnan(found[:, 1]).tolist() == [False, True, False]


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (2, 0)])
def test_an_empty_tile_adds_nothing(kernels: Kernels, rows: int, columns: int) -> None:
    found = nothing(rows, 5)
    tile = PlacedTile.of(np.zeros((rows, columns), np.float32))
    accumulate_pair(kernels, tile, tile, 1.0, "forward", found)
    np.testing.assert_array_equal(found, nothing(rows, 5))


def log_sum(x: Array) -> Figures:
    largest = x.max(1, keepdims=True).astype(float)
    return np.asarray(np.log(np.exp(x - largest).sum(1)) + largest[:, 0])


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("temperature", "full"), [(1.0, 0.0), (1.7, 0.8)], ids=["same", "other"])
def test_gradients_are_the_cpus(
    kernels: Kernels, columns: int, direction: Direction, temperature: float, full: float
) -> None:
    """To 1e-6 of the terms: the two probabilities, or a probability times a difference of logarithms."""
    generator = np.random.default_rng(columns)
    kernels.seed(columns)
    s, t = logits(generator, ROWS, columns), logits(generator, ROWS, columns)
    scales = np.empty((ROWS, 6))
    scales[:, 0], scales[:, 1] = log_sum(s / np.float32(temperature)), log_sum(t / np.float32(temperature))
    scales[:, 2], scales[:, 3] = 0.7, generator.standard_normal(ROWS)
    scales[:, 4] = scales[:, 0] + full
    scales[:, 5] = generator.standard_normal(ROWS)
    scales[1, 5] = 0.0
    found, right = PlacedTile.of(s, columns % 4, 1), s.copy()
    differentiate_pair(kernels, found, PlacedTile.of(t, columns % 4, 1), temperature, direction, scales)
    _native.kl_differentiate_pair(right, t, temperature, direction, scales, 1)
    log_p, log_q = s / temperature - scales[:, :1], t / temperature - scales[:, 1:2]
    kl = np.abs(scales[:, 3:4]) / temperature
    other = np.exp(log_p) * (np.abs(log_p - log_q) + 0.7) if direction == "reverse" else np.exp(log_p) + np.exp(log_q)
    terms = kl * other + np.abs(scales[:, 5:]) * np.exp(s - scales[:, 4:5])
    assert (np.abs(found.values - right) <= 1e-6 * terms).all()
    assert found.untouched()


@pytest.mark.parametrize("columns", WIDTHS)
def test_gradients_of_one_model_are_the_cpus(kernels: Kernels, columns: int) -> None:
    generator = np.random.default_rng(columns)
    x = logits(generator, ROWS, columns)
    scales = np.stack([log_sum(x), generator.standard_normal(ROWS)], 1)
    found, right = PlacedTile.of(x, columns % 4, 1), x.copy()
    differentiate_one(kernels, found, scales)
    _native.kl_differentiate_one(right, scales, 1)
    np.testing.assert_allclose(found.values, right, rtol=1e-6)
    assert found.untouched()
