"""Fused linear KL, forward and backward: time, scratch and gradient error beside torch, torch.compile, Liger and TRL.

    pytest benchmarks/kernels/test_fused_kl.py --benchmark-columns=min,median,rounds -s

Contenders take turns in every round. Ratios are ours / peer: below 1 we are faster, or nearer. At 2,048 positions by
152,064 ids the naive loss takes about 9 GB.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from benchmarks.peers.losses import Case, case, gradients, naive, ours, peers
from tests.support.memory import peak_bytes, reset_peak
from tests.support.shapes import LOSS_POSITIONS, LOSS_WIDTHS, VOCABULARY

THREADS = 2
PEERS = peers()


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)
    gc.collect()


@pytest.mark.parametrize("width", LOSS_WIDTHS)
@pytest.mark.parametrize("positions", LOSS_POSITIONS)
def test_time(benchmark: BenchmarkFixture, positions: int, width: int) -> None:
    given = case(positions, VOCABULARY, width)
    expected = [part.clone() if isinstance(part, Tensor) else part for part in gradients(naive, given)]
    for name, loss in {"ours": ours, **PEERS}.items():
        for found, exact in zip(gradients(loss, given), expected, strict=True):
            assert _relative_error(found, exact) < 1e-4, f"{name} computes something else"

    times: dict[str, list[float]] = {name: [] for name in PEERS}

    def take_turns() -> None:
        for name, loss in PEERS.items():
            start = time.perf_counter()
            gradients(loss, given)
            times[name].append(time.perf_counter() - start)

    benchmark.group = f"KL of {positions} × {VOCABULARY}, width {width}"
    benchmark.pedantic(lambda: gradients(ours, given), setup=take_turns, rounds=3 if positions > 1_000 else 5)
    mine = statistics.median(benchmark.stats.stats.data)
    ratios = {name: mine / statistics.median(seen) for name, seen in times.items()}
    benchmark.extra_info.update({name: round(ratio, 3) for name, ratio in ratios.items()})
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    print(f"\nT {positions}, D {width}: ours {mine:.2f} s; time of ours / peer: {shown}")


@pytest.mark.parametrize("width", LOSS_WIDTHS)
@pytest.mark.parametrize("positions", LOSS_POSITIONS)
def test_scratch(positions: int, width: int) -> None:
    """Beyond inputs and gradients, as the kernel saw the process's peak; `tests/kernels` asserts ours at one size."""
    given = case(positions, VOCABULARY, width)
    kept = 4 * (given.student_hidden.numel() + given.student_head.numel())
    gradients(ours, given)  # matrix products set up their own memory
    given.student_hidden.grad = given.student_head.grad = None
    gc.collect()
    before = reset_peak()
    gradients(ours, given)
    scratch = peak_bytes() - before - kept
    print(
        f"\nT {positions}, D {width}: scratch {scratch / 2**20:.1f} MB, logits {positions * VOCABULARY / 2**18:.0f} MB"
    )
    assert scratch <= 16 << 20


@pytest.mark.parametrize("width", LOSS_WIDTHS)
def test_gradient_error_in_bf16(width: int) -> None:
    """Against float64 on the same bf16 inputs; Frobenius norms, relative."""
    given = case(100, VOCABULARY, width, torch.bfloat16)
    exact = gradients(naive, _double(given))[1:]
    errors: dict[str, list[float]] = {}
    for name, loss in {"ours": ours, **PEERS}.items():
        found = gradients(loss, given)[1:]
        errors[name] = [_relative_error(part, whole) for part, whole in zip(found, exact, strict=True)]
    rounding = [_relative_error(whole.bfloat16(), whole) for whole in exact]
    shown = ", ".join(f"{name} {hidden:.2e} {head:.2e}" for name, (hidden, head) in errors.items())
    print(f"\nD {width}, bf16, error of the hidden states' and the head's gradient: {shown}; rounding {rounding}")
    for mine, theirs in zip(errors["ours"], errors.get("liger", errors["naive"]), strict=True):
        assert mine <= theirs / 2


def _double(given: Case) -> Case:
    student = (tensor.detach().double().requires_grad_() for tensor in given[:2])
    return Case(*student, given.teacher_hidden.double(), given.teacher_head.double(), given.targets)


def _relative_error(found: Tensor | float, exact: Tensor | float) -> float:
    ours, theirs = torch.as_tensor(found).double(), torch.as_tensor(exact).double()
    return float((ours - theirs).norm() / theirs.norm())
