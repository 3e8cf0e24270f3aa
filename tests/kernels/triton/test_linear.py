"""Norm, linear layers, GELU, residual and SwiGLU as Triton kernels, against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.operators import Linear, Norm
from sqe_fast.kernels.triton import device, linear
from sqe_fast.kernels.triton.device import Tile
from sqe_fast.kernels.triton.linear import A100, H100, RTX_50
from sqe_fast.model.int8 import quantised
from tests.kernels.triton.cases import DTYPES, SHAPES, assert_close, normal, strided
from tests.support.on_gpu import GPU
from tests.support.operator_calls import in_precision

EPS = 1e-5


Case = tuple[str, list[Any]]
"""An operator and its arguments, in float64."""


def layer_normed(rows: int, inputs: int, outputs: list[int], *, gelu: bool = False, bias: bool = True) -> Case:
    norm = Norm(1 + normal(inputs, scale=0.1), normal(inputs, seed=3), EPS)
    biases = [normal(count, seed=i) if bias else None for i, count in enumerate(outputs)]
    return "norm_linear", [normal(rows, inputs, seed=7) + 3, norm, linears(inputs, outputs, biases), gelu]


def rms_normed(rows: int, inputs: int, outputs: list[int]) -> Case:
    biases = [normal(count, seed=i) if i % 2 == 0 else None for i, count in enumerate(outputs)]
    return "norm_linear", [normal(rows, inputs, seed=7), rms_norm(inputs), linears(inputs, outputs, biases)]


def residual(rows: int, inputs: int, outputs: int, *, bias: bool = True) -> Case:
    (layer,) = linears(inputs, [outputs], [normal(outputs, seed=1) if bias else None])
    return "linear_residual", [normal(rows, inputs), layer, normal(rows, outputs, seed=2)]


def swiglu(rows: int, inputs: int, outputs: int) -> Case:
    layers = linears(inputs, [outputs, outputs], [None, None])
    return "norm_swiglu", [normal(rows, inputs, seed=7), rms_norm(inputs), *layers]


def in_int8(case: Case) -> Case:
    """With weights of 8 bits and their scales."""
    return case[0], [_in_int8(part) for part in case[1]]


def _in_int8(part: Any) -> Any:
    if isinstance(part, Linear):
        weight, scale = quantised(part.weight)
        return Linear(weight, part.bias, scale)
    return [_in_int8(each) for each in part] if isinstance(part, list) else part


def rms_norm(inputs: int) -> Norm:
    return Norm(1 + normal(inputs, scale=0.1), None, EPS)


def weights(inputs: int, outputs: list[int]) -> list[Tensor]:
    return [normal(count, inputs, seed=i, scale=inputs**-0.5) for i, count in enumerate(outputs)]


def linears(inputs: int, outputs: list[int], biases: list[Tensor | None]) -> list[Linear]:
    return [Linear(*pair) for pair in zip(weights(inputs, outputs), biases, strict=True)]


def name_of(case: Case) -> str:
    """Its operator, of what kind its norm is, and whether its weights are of 8 bits."""
    kinds = ["rms_" if part.bias is None else "layer_" for part in case[1] if isinstance(part, Norm)]
    parts = [each for part in case[1] for each in (part if isinstance(part, list) else [part])]
    int8 = any(isinstance(part, Linear) and part.scale is not None for part in parts)
    return "".join(kinds) + case[0] + ("_int8" if int8 else "")


def results(module: Any, name: str, arguments: list[Any]) -> tuple[Tensor, ...]:
    found = getattr(module, name)(*arguments)
    return (found,) if isinstance(found, Tensor) else found


def check(case: Case, dtype: torch.dtype, rearrange: Callable[[Tensor], Tensor] | None = None) -> None:
    name, arguments = case[0], in_precision(case[1], dtype)
    expected = results(reference, name, arguments)
    exact = results(reference, name, in_precision(arguments, torch.float64))
    if rearrange is not None:
        arguments[0] = rearrange(arguments[0])
    found = results(linear, name, arguments)
    for triple in zip(found, expected, exact, strict=True):
        assert_close(*triple)


CASES = [
    *(layer_normed(rows, inputs, [outputs]) for rows, inputs, outputs in SHAPES),
    rms_normed(37, 104, [72]),
    *(residual(*shape) for shape in SHAPES),
    *(swiglu(*shape) for shape in SHAPES),
    layer_normed(5, 72, [40, 88, 56]),
    layer_normed(37, 72, [40], gelu=True, bias=False),
    rms_normed(5, 72, [40, 88]),
    rms_normed(5, 72, [40, 88, 200]),
    residual(5, 72, 40, bias=False),
]
CASES += [in_int8(case) for case in (CASES[1], CASES[2], rms_normed(5, 72, [40, 88, 200]), CASES[5], CASES[8])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_as_the_reference(case: Case, dtype: torch.dtype) -> None:
    check(case, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[5], CASES[8]], ids=name_of)
def test_rows_may_lie_apart(case: Case, dtype: torch.dtype) -> None:
    check(case, dtype, strided)


def test_the_last_rows_and_their_residual_may_be_views() -> None:
    """As after prefill, where only the last row goes on."""
    x, layer, added = in_precision(residual(9, 72, 40)[1], torch.float32)
    x, added = strided(x)[-3:], strided(added)[-3:]
    torch.testing.assert_close(linear.linear_residual(x, layer, added), reference.linear_residual(x, layer, added))


@pytest.mark.parametrize(
    "case",
    [layer_normed(0, 40, [24, 16]), rms_normed(0, 40, [8]), residual(0, 40, 8), swiglu(0, 40, 8)],
    ids=name_of,
)
@pytest.mark.usefixtures("no_launch")
def test_no_rows_and_no_launch(case: Case) -> None:
    found = results(linear, case[0], case[1])
    assert [out.shape for out in found] == [out.shape for out in results(reference, case[0], case[1])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "case",
    [
        layer_normed(150, 136, [40, 72], gelu=True),
        residual(150, 136, 40),
        swiglu(150, 136, 40),
        in_int8(rms_normed(150, 136, [40, 72])),
        in_int8(residual(150, 136, 40)),
        in_int8(swiglu(150, 136, 40)),
    ],
    ids=name_of,
)
def test_a_row_is_the_same_alone(case: Case, dtype: torch.dtype) -> None:
    """Bit for bit: of a batch of several tiles, of a few rows, and alone."""
    name, arguments = case[0], in_precision(case[1], dtype)
    whole = results(linear, name, arguments)
    for rows in (slice(69, 70), slice(60, 67)):
        few = [*arguments]
        few[0] = arguments[0][rows]
        if name == "linear_residual":
            few[2] = arguments[2][rows]
        for part, out in zip(results(linear, name, few), whole, strict=True):
            assert torch.equal(part, out[rows])


@pytest.mark.parametrize(("architecture", "tiles"), [(80, A100.tiles), (90, H100.tiles), (120, RTX_50.tiles)])
@pytest.mark.parametrize(
    "case", [rms_normed(18, 72, [40, 24]), swiglu(18, 72, 40), in_int8(swiglu(18, 72, 40))], ids=name_of
)
def test_all_tiles_of_a_gpu_agree(
    case: Case, architecture: int, tiles: tuple[Tile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: which tile is taken depends on the batch, what a row gives does not."""
    if GPU and architecture != device.architecture(torch.empty(0, device="cuda")):
        pytest.skip("tiles of another GPU, which multiplies by other instructions")
    name, arguments = case[0], in_precision(case[1], torch.float16)
    monkeypatch.setattr(device, "DRY", architecture)
    expected = results(linear, name, arguments)
    for tile in tiles:
        monkeypatch.setattr(linear, "choose", lambda *_, tile=tile, **__: tile)
        for found, out in zip(results(linear, name, arguments), expected, strict=True):
            assert torch.equal(found, out)


def test_layer_norm_does_not_see_a_shift() -> None:
    """By 300 deviations: the difference of two sums of squares would lose 17 bits of 24."""
    x, *more = in_precision(layer_normed(9, 104, [40])[1], torch.float32)
    x = x.round(decimals=1).mul(64).round().div(64)  # so that adding 300 is exact
    (plain,), (shifted,) = linear.norm_linear(x, *more), linear.norm_linear(x + 300, *more)
    torch.testing.assert_close(shifted, plain, rtol=0, atol=1e-4)


def test_rms_norm_does_not_see_a_scale_and_large_values_do_not_overflow() -> None:
    """Squares of 60,000 are beyond float16."""
    x, norm, layers = rms_normed(9, 104, [40])[1]
    x, norm, layers = in_precision([x / x.abs().max(), norm._replace(eps=0.0), layers], torch.float16)
    (small,), (large,) = linear.norm_linear(x, norm, layers), linear.norm_linear(x * 32768, norm, layers)
    assert torch.equal(small, large)


def test_without_weights_the_residual_remains() -> None:
    x, added = normal(9, 40, dtype=torch.float16), normal(9, 24, dtype=torch.float16)
    assert torch.equal(linear.linear_residual(x, Linear(torch.zeros(24, 40).half(), None), added), added)


def test_swiglu_is_linear_in_up_and_closed_where_gate_is_zero() -> None:
    x, norm, gate, up = in_precision(swiglu(9, 40, 24)[1], torch.float32)
    found = linear.norm_swiglu(x, norm, gate, up)
    torch.testing.assert_close(linear.norm_swiglu(x, norm, gate, up._replace(weight=-2 * up.weight)), -2 * found)
    assert not linear.norm_swiglu(x, norm, gate._replace(weight=0 * gate.weight), up).any()


@pytest.mark.parametrize(
    ("rows", "outputs", "architecture", "tile"),
    [
        (1, (4096,), 90, H100.tiles[3]),  # 128 programs
        (1, (4096, 4096, 4096), 90, H100.tiles[2]),
        (1, (156032,), 80, A100.tiles[3]),
        (12000, (1280,), 90, H100.tiles[0]),
        (1500, (5120,), 90, H100.tiles[0]),
        (1, (48,), 80, A100.tiles[4]),
        (12000, (1280,), 120, A100.tiles[1]),
    ],
)
def test_tiles_fill_the_gpu(rows: int, outputs: tuple[int, ...], architecture: int, tile: Tile) -> None:
    assert linear.choose(rows, outputs, torch.float16, architecture) == tile
