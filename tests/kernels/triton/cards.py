"""The GPUs that the kernels are compiled for, and what one block may have of each one's shared memory."""

from __future__ import annotations

from sqe_fast.kernels.triton import device

SHARED_OF_BLOCK = {80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 100: 227 << 10, 120: 99 << 10}
"""Architecture → bytes (CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability"): A100;
RTX 30xx and A10; RTX 40xx, L4 and L40; H100 and H200; B200; RTX 50xx and RTX PRO 6000."""
ARCHITECTURES = tuple(SHARED_OF_BLOCK)


def tiles_of(architecture: int) -> int:
    return device.tiles_of(divmod(architecture, 10), SHARED_OF_BLOCK[architecture])
