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
    """Tensors of the CPU go the way of a GPU's: cut as there, by address, stride and stream. Tiles are small, so there
    are many. Products of half precision with sums in single, which torch has on a GPU only, are made of copies."""

    @contextmanager
    def no_queue(tile: Tensor) -> Iterator[int]:
        yield 0

    monkeypatch.setattr(tile_ops, "on_gpu", lambda tile: True)
    monkeypatch.setattr(tile_ops, "_queue", no_queue)
    monkeypatch.setattr(tile_ops, "_native", kernels)
    monkeypatch.setattr(tiles, "on_gpu", lambda device: True)
    monkeypatch.setattr(tiles, "GPU_COLUMNS", (97, 97))
    monkeypatch.setattr(tiles, "GPU_TILE_ROWS", 4)
    real = torch.mm

    def mm(a: Tensor, b: Tensor, *, out_dtype: torch.dtype | None = None, out: Tensor | None = None) -> Tensor:
        assert a.dtype == b.dtype, "a GPU refuses factors of two precisions"
        found = real(a.float(), b.float()).to(out_dtype or a.dtype)
        return found if out is None else out.copy_(found)

    monkeypatch.setattr(torch, "mm", mm)


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


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("rows", [4, 512])
@pytest.mark.parametrize("vocabularies", VOCABULARIES)
def test_half_precision(
    dtype: torch.dtype, rows: int, vocabularies: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients are multiplied in half precision too; the head's is added up over rows, or written at once."""
    monkeypatch.setattr(tiles, "GPU_TILE_ROWS", rows)
    given = case(9, vocabularies, dtype=dtype)
    found = test_fused_kl.fused(given, 1.7, "reverse")
    assert all(gradient.dtype == dtype for gradient in found[1])
    assert_close(found, test_fused_kl.expected(given, 1.7, "reverse"), torch.bfloat16)


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_mixed_precision(dtype: torch.dtype) -> None:
    """Hidden states in half and heads in single, as under autocast: products are of half precision, the head's gradient
    single. Every product was one of single precision, without tensor cores."""
    given = case(9, dtype=torch.float32)
    given = given._replace(
        student_hidden=given.student_hidden.to(dtype),
        teacher_hidden=given.teacher_hidden.to(dtype),
        student_head=given.student_head.to(dtype).float(),  # of values that are not rounded
        teacher_head=given.teacher_head.to(dtype).float(),
    )
    found = test_fused_kl.fused(given, 1.0, "forward")
    assert [gradient.dtype for gradient in found[1]] == [dtype, torch.float32]
    assert_close(found, test_fused_kl.expected(given, 1.0, "forward"), torch.bfloat16)


@pytest.mark.usefixtures("on_kernels")
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
def test_the_size_of_a_loss_does_not_matter(dtype: torch.dtype, scale: float) -> None:
    """A mean over thousands of positions leaves gradients that float16 has no numbers for; a loss scaler's, neither."""
    given = case(9, dtype=dtype)._replace(student_head=case(9).student_head.to(dtype).float())
    hidden, head = (tensor.clone().requires_grad_() for tensor in given[:2])
    found = fused_kl.fused_linear_kl(hidden, head, *given[2:])
    of_kl, of_logprob = test_fused_kl.upstream(9)
    _, of_head = torch.autograd.grad(
        ((found.kl * of_kl).sum() + (found.student_logprob * of_logprob).sum()) * scale, (hidden, head)
    )
    _, (_, right) = test_fused_kl.expected(given, 1.0, "forward")
    close(of_head / scale, right, TOLERANCES[torch.bfloat16][1])


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
