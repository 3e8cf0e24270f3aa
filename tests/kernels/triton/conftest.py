"""Every address that a kernel reads or writes lies in one of its arguments.

No result would tell, where what was read too far is thrown away; a GPU may fault on it, or not.
"""

from __future__ import annotations

import time
from inspect import isfunction, ismodule
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from triton.runtime import interpreter
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels import triton as triton_operators
from tests.kernels.triton.survey import Survey, surveys
from tests.support.on_gpu import GPU, on_device

OPERATORS = {name for name in triton_operators.__all__ if name.islower()} - {"check_device"}
Addresses = npt.NDArray[np.uint64]


class Extents:
    """The memory of a launch's arguments, from each one's first element to its last."""

    def __init__(self, arguments: list[Any]) -> None:
        bases = (given.base if isinstance(given, TensorDescriptor) else given for given in arguments)
        spans = sorted(span(tensor) for tensor in bases if isinstance(tensor, Tensor) and tensor.numel())
        self._starts = np.array([start for start, _ in spans], np.uint64)
        # Where two overlap, what lies below the further end of both lies in one of them.
        self._stops = np.maximum.accumulate(np.array([stop for _, stop in spans], np.uint64))

    def check(self, addresses: Addresses, width: int) -> None:
        which = np.searchsorted(self._starts, addresses, side="right")
        inside = which > 0
        inside[inside] = addresses[inside] + np.uint64(width) <= self._stops[which[inside] - 1]
        assert inside.all(), f"{(~inside).sum()} of {inside.size} addresses lie in no argument"


def span(tensor: Tensor) -> tuple[int, int]:
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


@pytest.fixture(autouse=True)
def operators_compute_on_the_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --gpu: those that the test's module calls, by themselves or by their module."""
    if not GPU:
        return
    for place in (request.module, *filter(ismodule, vars(request.module).values())):
        for name, value in list(vars(place).items()):
            if isfunction(value) and name in OPERATORS and value.__module__.startswith(triton_operators.__name__):
                monkeypatch.setattr(place, name, on_device(value, torch.device("cuda")))


@pytest.fixture(autouse=True)
def addresses_lie_in_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    if GPU:  # only the interpreter can tell
        return
    launches: list[Extents] = []
    launch = interpreter.GridExecutor.__call__
    load = interpreter.InterpreterBuilder.create_masked_load
    store = interpreter.InterpreterBuilder.create_masked_store

    def noted(self: Any, *arguments: Any, **named: Any) -> None:
        launches.append(Extents([*arguments, *named.values()]))
        launch(self, *arguments, **named)

    def check(pointers: Any, mask: Any) -> None:
        width = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
        launches[-1].check(np.atleast_1d(pointers.data)[np.atleast_1d(mask.data).astype(bool)], width)

    def checked_load(self: Any, pointers: Any, mask: Any, *rest: Any, **named: Any) -> Any:
        check(pointers, mask)
        return load(self, pointers, mask, *rest, **named)

    def checked_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        check(pointers, mask)
        return store(self, pointers, value, mask, *rest)

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", noted)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_masked_load", checked_load)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_masked_store", checked_store)


@pytest.fixture(scope="session")
def surveyed() -> dict[int, Survey]:
    """Compiling takes minutes of CPU where Triton's cache is cold, and seconds where it is warm."""
    start = time.perf_counter()
    found = surveys()
    for architecture, survey in found.items():
        seconds = sum(code.seconds for code in survey.codes)
        print(f"\nsm_{architecture}: {len(survey.codes)} kernels, {seconds:.0f} s of compiling")
    print(f"{time.perf_counter() - start:.0f} s in all")
    return found


@pytest.fixture
def no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test whose operators launch a kernel. An empty grid is an error on a GPU, and not in the interpreter."""

    def refuse(self: Any, *arguments: Any, **named: Any) -> None:
        raise AssertionError(f"{self.fn.__name__} was launched")

    if not GPU:
        monkeypatch.setattr(interpreter.GridExecutor, "__call__", refuse)
