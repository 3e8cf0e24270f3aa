"""Which GPU a Triton kernel is about to be launched on."""

from __future__ import annotations

import torch
from torch import Tensor

DRY = 90
"""Architecture whose tile sizes are taken where no GPU is: in Triton's interpreter, and when launches are recorded."""


def architecture(tensor: Tensor) -> int:
    """Compute capability of the tensor's GPU: 80 for A100, 90 for H100."""
    if tensor.device.type != "cuda":
        return DRY
    major, minor = torch.cuda.get_device_capability(tensor.device)
    return 10 * major + minor
