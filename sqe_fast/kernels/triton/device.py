"""The GPU that a Triton kernel is launched on, and the size of what one of its programs computes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DRY = 90
"""Architecture whose tile sizes are used without a GPU: in Triton's interpreter, and when launches are recorded."""


class Tile(NamedTuple):
    """The part of a kernel's result that one program computes at a time."""

    m: int  # rows: of x in a product, queries in attention
    n: int  # columns: outputs of a product, keys in attention
    warps: int
    stages: int  # steps of the program's loop that shared memory holds at a time


def architecture(tensor: Tensor) -> int:
    """The architecture that tiles are chosen for: 80 (A100 and its kin), or 90 (H100 and newer).

    Raises RuntimeError for an older GPU, which has no bfloat16.
    """
    if tensor.device.type != "cuda":
        return DRY
    major, minor = torch.cuda.get_device_capability(tensor.device)
    if major < 8:
        raise RuntimeError(f"the Triton kernels need compute capability 8.0 or newer; this GPU has {major}.{minor}")
    return 90 if major >= 9 else 80


def fits_tma(*tensors: Tensor) -> bool:
    """Whether Hopper's copy engine can read them: 16-bit elements, addresses and strides at multiples of 16 bytes."""
    return architecture(tensors[0]) >= 90 and all(
        tensor.element_size() == 2
        and tensor.data_ptr() % 16 == 0
        and all(stride % 8 == 0 for stride in tensor.stride()[:-1])
        for tensor in tensors
    )
