"""Tests of kernels on a GPU (`pytest --gpu`): their tensors stay on the CPU, each call of an operator takes copies."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

GPU = "--gpu" in sys.argv
"""Asked before Triton is imported, which then decides whether it is an interpreter."""


class Copies:
    """Tensors on another device, laid out in memory as they are: views of one storage are views of one copy."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._storages: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def of(self, value: Any) -> Any:
        """A tensor's copy, or of every tensor in a tuple, list or named tuple."""
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            _, copy = self._storages.setdefault(storage.data_ptr(), (storage, self._copy(storage)))
            empty = torch.empty(0, dtype=value.dtype, device=self._device)
            return empty.set_(copy, value.storage_offset(), value.size(), value.stride())
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.of, value))
        return type(value)(map(self.of, value)) if isinstance(value, tuple | list) else value

    def write_back(self) -> None:
        """What has been written to the copies."""
        for storage, copy in self._storages.values():
            storage.copy_(copy)

    def _copy(self, storage: torch.UntypedStorage) -> torch.UntypedStorage:
        copy = torch.UntypedStorage(storage.nbytes(), device=self._device)
        copy.copy_(storage)
        return copy


def on_device(operator: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """An operator that computes on `device` whatever its tensors are on, and writes where it is told to."""

    @functools.wraps(operator)
    def run(*given: Any, **named: Any) -> Any:
        copies = Copies(device)
        result = operator(*copies.of(given), **{name: copies.of(value) for name, value in named.items()})
        copies.write_back()
        if isinstance(result, Tensor):
            return result.cpu()
        return result if result is None else tuple(part.cpu() for part in result)

    return run
