"""What would be launched on a GPU, written down instead: kernel, grid, and all that Triton would compile it for.

An operator's own host code is called with tensors of the `meta` device, and Triton's own launcher works out signature,
constants and alignment; it is stopped before it compiles. So nothing about a kernel is said a second time here.

Only where TRITON_INTERPRET is unset when Triton is imported: in a process of its own, not under pytest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor

from sqe_fast.kernels.triton import device
from tests.kernels.triton.cards import tiles_of

WARP = 32


@dataclass(frozen=True)
class Shaped:
    """A tensor argument, or what a descriptor describes."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    block: tuple[int, ...] | None = None  # of a descriptor

    @property
    def bytes(self) -> int:
        """Of its elements, without the gaps between them."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


@dataclass(frozen=True)
class Launch:
    kernel: JITFunction[Any]
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    """By name: numbers, None, or Shaped."""
    architecture: int
    signature: dict[str, str]
    constants: dict[tuple[int, ...], Any]
    attributes: dict[tuple[int, ...], Any]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.kernel.fn.__module__.rpartition('.')[2]}.{self.kernel.fn.__name__}"

    @property
    def programs(self) -> int:
        return torch.Size(self.grid).numel()

    @property
    def tile(self) -> str:
        """Such as 128×256: its constants BLOCK…, but for the step along a sum."""
        blocks = (value for name, value in self.arguments.items() if name.startswith("BLOCK") and name != "BLOCK_K")
        return "×".join(map(str, blocks))

    @property
    def compiled_for(self) -> str:
        """Equal where the same machine code would run."""
        return repr((self.name, self.architecture, self.signature, self.constants, self.attributes, self.options))


class NoDriver:
    """Stands where Triton looks for a GPU."""

    def __init__(self, architecture: int) -> None:
        self._target = GPUTarget("cuda", architecture, WARP)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> tuple[str, int]:
        """One for each architecture: what a kernel's launcher has worked out is kept by device."""
        return "none", self._target.arch

    def get_current_stream(self, device: object) -> int:
        return 0


@contextmanager
def recording(architecture: int) -> Iterator[list[Launch]]:
    """The launches of the block, in their order. None runs: results are as empty as `meta` tensors are."""
    launches: list[Launch] = []
    pending: dict[str, Any] = {}
    run = JITFunction.run

    def note(self: JITFunction[Any], *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        given = {**dict(zip(self.arg_names, args, strict=False)), **kwargs}
        pending["grid"] = tuple(grid(given)) if callable(grid) else tuple(grid)
        pending["arguments"] = {name: _described(given[name]) for name in self.arg_names}
        pending["kernel"] = self
        run(self, *args, grid=grid, warmup=True, **kwargs)

    def instead_of_compiling(*, compile: dict[str, Any], **_: Any) -> bool:
        (attributes,) = compile["configs"]
        options = json.loads(compile["specialization_data"])["options"]
        launches.append(
            Launch(
                **pending,
                architecture=architecture,
                signature=compile["signature"],
                constants=compile["constants"],
                attributes=attributes,
                options={name: tuple(value) if isinstance(value, list) else value for name, value in options.items()},
            )
        )
        return True

    before = driver._active
    driver.set_active(NoDriver(architecture))  # type: ignore[arg-type]
    try:
        with (
            mock.patch.object(JITFunction, "run", note),
            mock.patch.object(triton.knobs.runtime, "jit_cache_hook", instead_of_compiling),
            mock.patch.object(device, "DRY", tiles_of(architecture)),
        ):
            yield launches
    finally:
        driver._active = before


def _described(value: Any) -> Any:
    if isinstance(value, TensorDescriptor):
        return Shaped(tuple(value.shape), tuple(value.strides), value.base.dtype, tuple(value.block_shape))
    if isinstance(value, Tensor):
        return Shaped(tuple(value.shape), tuple(value.stride()), value.dtype)
    return value
