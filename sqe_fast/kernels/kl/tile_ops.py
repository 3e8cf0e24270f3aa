"""What is done to a tile of logits between two matrix products, on the tile's device; see csrc/kl/fused_kl.h.

On the CPU tiles are float32 or float64, on a GPU float32. There is no other device, and no fallback to one. A
`direction` is one of `fused_kl.Direction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sqe_fast import _native


def pair_sums(rows: int, device: torch.device) -> Tensor:
    """What `accumulate_pair` adds to, [rows, 5] float64: largest logit and sum of either, and the cross term."""
    sums = torch.zeros(rows, 5, dtype=torch.float64, device=device)
    sums[:, 0:4:2] = -torch.inf
    return sums


def one_sums(rows: int, device: torch.device) -> Tensor:
    """What `accumulate_one` adds to, [rows, 2] float64: the largest logit, and Σ e^(logit − largest)."""
    sums = torch.zeros(rows, 2, dtype=torch.float64, device=device)
    sums[:, 0] = -torch.inf
    return sums


def accumulate_pair(student: Tensor, teacher: Tensor, temperature: float, direction: str, sums: Tensor) -> None:
    """Adds tiles of both models' logits to the sums of their rows, [rows, 5] float64."""
    if on_gpu(student):
        with _queue(student) as stream:
            tiles = _tiles(student, teacher)
            _native.kl_cuda_accumulate_pair(*tiles, temperature, direction, _figures(sums), stream)
    else:
        figures, threads = _array(sums), torch.get_num_threads()
        _native.kl_accumulate_pair(_array(student), _array(teacher), temperature, direction, figures, threads)


def accumulate_one(logits: Tensor, sums: Tensor) -> None:
    """Adds a tile of one model's logits to the sums of its rows, [rows, 2] float64."""
    if on_gpu(logits):
        with _queue(logits) as stream:
            _native.kl_cuda_accumulate_one(*_tile(logits), _figures(sums), stream)
    else:
        _native.kl_accumulate_one(_array(logits), _array(sums), torch.get_num_threads())


def differentiate_pair(student: Tensor, teacher: Tensor, temperature: float, direction: str, scales: Tensor) -> None:
    """Overwrites a tile of student logits with the gradient towards them, for scales [rows, 6] float64."""
    if on_gpu(student):
        with _queue(student) as stream:
            tiles = _tiles(student, teacher)
            _native.kl_cuda_differentiate_pair(*tiles, temperature, direction, _figures(scales), stream)
    else:
        figures, threads = _array(scales), torch.get_num_threads()
        _native.kl_differentiate_pair(_array(student), _array(teacher), temperature, direction, figures, threads)


def differentiate_one(logits: Tensor, scales: Tensor) -> None:
    """Overwrites a tile of logits with the gradient of a log-sum, for scales [rows, 2] float64."""
    if on_gpu(logits):
        with _queue(logits) as stream:
            _native.kl_cuda_differentiate_one(*_tile(logits), _figures(scales), stream)
    else:
        _native.kl_differentiate_one(_array(logits), _array(scales), torch.get_num_threads())


def on_gpu(tile: Tensor) -> bool:
    """Whether the kernels for a GPU are needed. Raises RuntimeError where there are none for the tile's device."""
    device = tile.device.type
    if device == "cpu":
        return False
    if device != "cuda" or torch.version.hip is not None:
        raise RuntimeError(f"the fused KL runs on a CPU or an NVIDIA GPU, not on {tile.device}")
    if not _native.CUDA:
        raise RuntimeError(
            "this installation of sqe-fast has no kernels for GPUs: install it from source on a machine with nvcc, by "
            "pip install . -C cmake.define.SQE_CUDA=ON"
        )
    return True


def _tile(tile: Tensor) -> tuple[int, int, int, int]:
    """Address, rows, columns and stride, as `_native` takes a tile on a GPU."""
    if tile.dtype != torch.float32:
        raise ValueError(f"on a GPU the fused KL takes float32 and half precision, not {tile.dtype}")
    rows, columns = tile.shape
    assert tile.stride(1) == 1
    return tile.data_ptr(), rows, columns, tile.stride(0)


def _tiles(student: Tensor, teacher: Tensor) -> tuple[int, int, int, int, int, int]:
    """Both addresses, rows, columns and both strides."""
    address, rows, columns, stride = _tile(student)
    other, *shape, other_stride = _tile(teacher)
    assert shape == [rows, columns]
    return address, other, rows, columns, stride, other_stride


def _figures(per_row: Tensor) -> int:
    """The address of sums or scales."""
    assert per_row.dtype == torch.float64
    assert per_row.is_contiguous()
    return per_row.data_ptr()


@contextmanager
def _queue(tile: Tensor) -> Iterator[int]:
    """Makes the tile's GPU the current one, and gives the stream that its products are queued on."""
    with torch.cuda.device(tile.device):
        yield int(torch.cuda.current_stream().cuda_stream)


def _array(tensor: Tensor) -> Any:
    """The same memory as `_native` takes it."""
    return tensor.detach().numpy()
