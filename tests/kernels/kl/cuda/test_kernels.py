"""The kernels for a GPU, compiled for the CPU (compiled.py), against those for the CPU. None of it has run on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast import _native
from tests.kernels.kl.cuda.compiled import Kernels
from tests.kernels.kl.cuda.tiles_at_random import (
    Array,
    Figures,
    Tile,
    add_one,
    add_pair,
    assert_sums_agree,
    check_sums,
    logits,
    nothing,
    overwrite_one,
    overwrite_pair,
)

WIDTHS = (1, 3, 31, 255, 1000, 4097)
ROWS = 3


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("reverse", [False, True])
def test_sums_are_the_cpus(kernels: Kernels, columns: int, reverse: bool) -> None:
    """Three tiles into the same sums: a maximum that is not carried on, a row's head or tail lost or doubled."""
    check_sums(kernels, seed=columns, columns=(columns, 37, columns), reverse=reverse)


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("gap", [0, 1])
def test_every_alignment_of_a_row(kernels: Kernels, offset: int, gap: int) -> None:
    """An odd stride takes rows through all four; both tiles alike, and each on its own."""
    generator = np.random.default_rng(offset)
    for other in (offset, offset + 1):
        s = Tile.of(logits(generator, 4, 42), offset, gap)
        t = Tile.of(logits(generator, 4, 42), other, gap)
        found, right = nothing(4, 5), nothing(4, 5)
        add_pair(kernels, s, t, 1.0, False, found)
        _native.kl_accumulate_pair(s.values, t.values, 1.0, False, right, 1)
        assert_sums_agree(found, right, largest=40.0)


def test_the_order_of_threads_changes_nothing(kernels: Kernels) -> None:
    generator = np.random.default_rng(0)
    s, t = (Tile.of(logits(generator, ROWS, 700)) for _ in range(2))
    found = []
    for seed in range(5):
        kernels.seed(seed)
        found.append(nothing(ROWS, 5))
        add_pair(kernels, s, t, 1.0, False, found[-1])
    assert all(np.array_equal(sums, found[0]) for sums in found)


@pytest.mark.parametrize("reverse", [False, True])
def test_huge_logits(kernels: Kernels, reverse: bool) -> None:
    """Sums that overflow, and maxima so far apart that what came before is nothing."""
    generator = np.random.default_rng(1)
    found, right = nothing(ROWS, 5), nothing(ROWS, 5)
    for spread in (1.0, 1e4, 1e4, 1.0):
        s, t = (Tile.of(logits(generator, ROWS, 300, spread)) for _ in range(2))
        add_pair(kernels, s, t, 1.7, reverse, found)
        _native.kl_accumulate_pair(s.values, t.values, 1.7, reverse, right, 1)
    assert np.isfinite(found).all()
    assert_sums_agree(found, right, largest=1e5)


@pytest.mark.parametrize("reverse", [False, True])
def test_ids_that_the_teacher_rules_out(kernels: Kernels, reverse: bool) -> None:
    """Some, and then all of a tile. Forward they add nothing; in reverse the divergence is infinite."""
    generator = np.random.default_rng(2)
    found, right = nothing(ROWS, 5), nothing(ROWS, 5)
    for ruled_out in (0.3, 1.0, 0.9):
        s, t = logits(generator, ROWS, 777), logits(generator, ROWS, 777)
        t[generator.random(t.shape) < ruled_out] = -np.inf
        add_pair(kernels, Tile.of(s), Tile.of(t), 1.0, reverse, found)
        _native.kl_accumulate_pair(s, t, 1.0, reverse, right, 1)
    assert np.isfinite(found).all() != reverse
    assert_sums_agree(found, right, largest=40.0)


def test_a_tile_that_is_ruled_out_before_anything_is_known(kernels: Kernels) -> None:
    """−∞ − −∞, on either side. Against the sums written out."""
    generator = np.random.default_rng(3)
    s, t = (logits(generator, ROWS, 600) for _ in range(2))
    t[:, :300] = -np.inf
    found, of_cpu = nothing(ROWS, 5), nothing(ROWS, 5)
    for columns in (slice(0, 150), slice(150, 300), slice(300, 600)):
        add_pair(kernels, Tile.of(s[:, columns]), Tile.of(t[:, columns]), 1.0, False, found)
        _native.kl_accumulate_pair(s[:, columns], t[:, columns], 1.0, False, of_cpu, 1)
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
    add_one(kernels, Tile.of(values), 1.0, found)
    assert np.isnan(found[:, 1]).tolist() == [False, True, False]


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (2, 0)])
def test_an_empty_tile_adds_nothing(kernels: Kernels, rows: int, columns: int) -> None:
    found = nothing(rows, 5)
    tile = Tile.of(np.zeros((rows, columns), np.float32))
    add_pair(kernels, tile, tile, 1.0, False, found)
    np.testing.assert_array_equal(found, nothing(rows, 5))


def log_sum(x: Array) -> Figures:
    largest = x.max(1, keepdims=True).astype(float)
    return np.asarray(np.log(np.exp(x - largest).sum(1)) + largest[:, 0])


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("temperature", "full"), [(1.0, 0.0), (1.7, 0.8)], ids=["same", "other"])
def test_gradients_are_the_cpus(kernels: Kernels, columns: int, reverse: bool, temperature: float, full: float) -> None:
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
    found, right = Tile.of(s, columns % 4, 1), s.copy()
    overwrite_pair(kernels, found, Tile.of(t, columns % 4, 1), temperature, reverse, scales)
    _native.kl_gradient_pair(right, t, temperature, reverse, scales, 1)
    log_p, log_q = s / temperature - scales[:, :1], t / temperature - scales[:, 1:2]
    kl = np.abs(scales[:, 3:4]) / temperature
    other = np.exp(log_p) * (np.abs(log_p - log_q) + 0.7) if reverse else np.exp(log_p) + np.exp(log_q)
    terms = kl * other + np.abs(scales[:, 5:]) * np.exp(s - scales[:, 4:5])
    assert (np.abs(found.values - right) <= 1e-6 * terms).all()
    assert found.untouched()


@pytest.mark.parametrize("columns", WIDTHS)
def test_gradients_of_one_model_are_the_cpus(kernels: Kernels, columns: int) -> None:
    generator = np.random.default_rng(columns)
    x = logits(generator, ROWS, columns)
    scales = np.stack([log_sum(x), generator.standard_normal(ROWS)], 1)
    found, right = Tile.of(x, columns % 4, 1), x.copy()
    overwrite_one(kernels, found, 1.3, scales)
    _native.kl_gradient_one(right, 1.3, scales, 1)
    np.testing.assert_allclose(found.values, right, rtol=1e-6)
    assert found.untouched()
