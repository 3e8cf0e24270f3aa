"""Runners: whatever computes a model. `open_runner` picks one by device; nothing is replaced silently by another."""

from __future__ import annotations

from pathlib import Path

from sqe_fast.errors import UnusableError
from sqe_fast.options import Serving
from sqe_fast.runners.base import Runner


def open_runner(folder: Path, serving: Serving) -> Runner:
    """The runner of a checkpoint folder. Raises UnusableError, by name, for a folder or device that cannot be used."""
    if serving.device in ("auto", "cpu"):
        try:
            from sqe_fast.runners.onnx_cpu import OnnxRunner
        except ModuleNotFoundError as error:
            raise _missing(serving.device, "onnxruntime", "[cpu]", error) from error
        return OnnxRunner(folder, serving)
    try:
        from sqe_fast.runners.torch_runner import TorchRunner
    except ModuleNotFoundError as error:
        raise _missing(serving.device, "torch", "[gpu] or [train]", error) from error
    return TorchRunner(folder, serving)


def _missing(device: str, package: str, extra: str, error: ModuleNotFoundError) -> UnusableError:
    return UnusableError(f"device {device!r} needs {package}: {error}; install the extra {extra}")
