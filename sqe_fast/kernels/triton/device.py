"""The GPU that a Triton kernel is launched on, and the size of what one of its programs computes."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import triton
from torch import Tensor

DRY = 90
"""Architecture whose tile sizes are used without a GPU: in Triton's interpreter, and when launches are recorded."""
LEAST_CAPABILITY = (8, 0)
"""Of a GPU: older ones have no bfloat16."""
HOPPER_SHARED = 193 << 10
"""Bytes of shared memory that one block of the largest tile for an H100 takes, rounded up."""


class Tile(NamedTuple):
    """The part of a kernel's result that one program computes at a time."""

    m: int  # rows: of x in a product, queries in attention
    n: int  # columns: outputs of a product, keys in attention
    warps: int
    stages: int  # steps of the program's loop that shared memory holds at a time


def architecture(tensor: Tensor) -> int:
    """The architecture that tiles are chosen for: see `tiles_of`. Raises RuntimeError for a GPU that is too old."""
    return DRY if tensor.device.type != "cuda" else _of_gpu(tensor.device)


@cache
def _of_gpu(device: torch.device) -> int:
    properties = torch.cuda.get_device_properties(device)
    shared: int = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]  # which torch's stub lacks
    return tiles_of((properties.major, properties.minor), shared)


def tiles_of(capability: tuple[int, int], shared: int) -> int:
    """The architecture whose tiles a GPU takes, by what one block may have of its shared memory (bytes): 80 (A100, and
    the 99 KiB of RTX 30xx and 40xx, A10, L4), 90 (H100, B200), or 120 (what is newer than both and has less: RTX 50xx).

    Raises RuntimeError for a GPU older than LEAST_CAPABILITY.
    """
    if capability < LEAST_CAPABILITY:
        least, found = (".".join(map(str, numbers)) for numbers in (LEAST_CAPABILITY, capability))
        raise RuntimeError(f"the Triton kernels need compute capability {least} or newer; this GPU has {found}")
    if capability < (9, 0):
        return 80
    return 90 if shared >= HOPPER_SHARED else 120


def check_device(device: torch.device) -> None:
    """Raises RuntimeError for a device on which the kernels do not run: a CPU, but for Triton's interpreter, or a GPU
    older than LEAST_CAPABILITY."""
    if device.type == "cuda":
        _of_gpu(device)
    elif not triton.knobs.runtime.interpret:
        raise RuntimeError("Triton kernels need a GPU: choose device cuda (or TRITON_INTERPRET=1, to debug them)")


def fits_tma(*tensors: Tensor) -> bool:
    """Whether Hopper's copy engine can read them: 16-bit elements, addresses and strides at multiples of 16 bytes."""
    return architecture(tensors[0]) == 90 and all(
        tensor.element_size() == 2
        and tensor.data_ptr() % 16 == 0
        and all(stride % 8 == 0 for stride in tensor.stride()[:-1])
        for tensor in tensors
    )
