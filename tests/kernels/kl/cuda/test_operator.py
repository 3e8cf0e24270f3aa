"""The whole operator, tiles and all, through the kernels for a GPU, compiled for the CPU; and who is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels.kl import fused_kl, tile_ops, tiles
from sqe_fast.kernels.kl.fused_kl import Direction, TokenKL
from tests.kernels.kl import test_fused_kl
from tests.kernels.kl.cuda.compiled import Kernels
from tests.kernels.kl.test_fused_kl import DIRECTIONS, TOLERANCES, VOCABULARIES, case, close

Found = tuple[TokenKL, tuple[Tensor, Tensor]]


@pytest.fixture
def on_kernels(monkeypatch: pytest.MonkeyPatch, kernels: Kernels) -> None:
    """Tensors of the CPU go the way of a GPU's: by address, stride and stream. Tiles are small, so there are many."""

    @contextmanager
    def no_queue(tile: Tensor) -> Iterator[int]:
        yield 0

    monkeypatch.setattr(tile_ops, "on_gpu", lambda tile: True)
    monkeypatch.setattr(tile_ops, "_queue", no_queue)
    monkeypatch.setattr(tile_ops, "_native", kernels)
    monkeypatch.setattr(tiles, "SCRATCH_BYTES", 1)
    monkeypatch.setattr(tiles, "LEAST_COLUMNS", 97)
    monkeypatch.setattr(tiles, "TILE_ROWS", 4)


def assert_close(found: Found, right: Found, dtype: torch.dtype = torch.float32) -> None:
    values, slopes = TOLERANCES[dtype]
    for name in ("kl", "student_logprob"):
        close(getattr(found[0], name), getattr(right[0], name).detach(), values)
    for one, other in zip(found[1], right[1], strict=True):
        close(one, other, slopes)


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("vocabularies", VOCABULARIES)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_values_and_gradients_are_those_of_the_formula(
    vocabularies: tuple[int, int], temperature: float, direction: Direction
) -> None:
    given = case(9, vocabularies, dtype=torch.float32)
    given.targets[2] = -100
    found = test_fused_kl.fused(given, temperature, direction)
    right = test_fused_kl.expected(given, temperature, direction)
    assert_close(found, right)
    close(found[0].teacher_logprob, right[0].teacher_logprob.detach(), 5e-6)


@pytest.mark.usefixtures("on_kernels")
def test_half_precision() -> None:
    given = case(6, dtype=torch.bfloat16)
    found = test_fused_kl.fused(given, 1.0, "forward")
    assert_close(found, test_fused_kl.expected(given, 1.0, "forward"), torch.bfloat16)


@pytest.mark.usefixtures("on_kernels")
def test_double_precision_is_for_the_cpu() -> None:
    with pytest.raises(ValueError, match="float64"):
        test_fused_kl.fused(case(2), 1.0, "forward")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_tensor_is_made_on_the_device_of_its_inputs(dtype: torch.dtype) -> None:
    """One made where torch happens to make them is of no device at all here, and of another than a GPU's there."""
    given = case(dtype=dtype)
    slopes = torch.ones(2, 37)
    with torch.device("meta"):
        # The functions behind the operators: torch leaves its default device outside of operators.
        *_, kept = fused_kl._linear_kl._init_fn(*given, 1.7, "forward")
        gradients = fused_kl._linear_kl_backward._init_fn(*given, kept, *slopes, 1.7, "forward", True)
    assert all(found.device.type == "cpu" and bool(found.isfinite().all()) for found in (kept, *gradients))


def test_a_gpu_without_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not served by the CPU in silence; and told what to do."""
    monkeypatch.setattr(tile_ops, "_native", SimpleNamespace(CUDA=False))
    monkeypatch.setattr(torch.version, "hip", None)
    tile = SimpleNamespace(device=torch.device("cuda", 0))
    with pytest.raises(RuntimeError, match="SQE_CUDA=ON"):
        tile_ops.on_gpu(tile)  # type: ignore[arg-type]
    monkeypatch.setattr(tile_ops, "_native", SimpleNamespace(CUDA=True))
    assert tile_ops.on_gpu(tile)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["meta", "mps", "xpu"])
def test_other_devices_are_refused(device: str) -> None:
    tile = SimpleNamespace(device=torch.device(device))
    with pytest.raises(RuntimeError, match=device):
        tile_ops.on_gpu(tile)  # type: ignore[arg-type]
