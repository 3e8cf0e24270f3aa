"""Runners: whatever computes a model. `open_runner` picks one by device; nothing is replaced silently by another."""

from __future__ import annotations

from pathlib import Path

from sqe_fast.results import UnusableError
from sqe_fast.runners.base import Runner

DEVICES = ("auto", "cpu", "torch-cpu", "cuda")
DEFAULT_SLOTS = 8
DEFAULT_MAX_LENGTH = 2048
"""Two clips of 30 s (1,500 audio tokens), their prompt and a long answer."""


def open_runner(
    folder: Path,
    *,
    device: str = "auto",
    slots: int = DEFAULT_SLOTS,
    max_length: int = DEFAULT_MAX_LENGTH,
    threads: int | None = None,
    adapter: Path | None = None,
) -> Runner:
    """The runner of a checkpoint folder, with a LoRA adapter's folder merged into it (not on "cpu").

    `device`: "cpu" is ONNX Runtime, "torch-cpu" the plain torch model, "cuda" torch on a GPU; "auto" is "cpu", the
    only one that every installation has. `max_length` counts tokens and is cut to what the model was made for;
    `threads` None takes every CPU this process may use. Raises UnusableError, by name, for a folder or device that
    cannot be used, and ValueError for a count below 1.
    """
    if device not in DEVICES:
        raise UnusableError(f"device {device!r} is unknown; choose one of {', '.join(DEVICES)}")
    if min(slots, max_length, 1 if threads is None else threads) < 1:
        raise ValueError("slots, max_length and threads must be at least 1")
    if device in ("auto", "cpu"):
        if adapter is not None:
            raise UnusableError(
                f"device {device!r} runs exported graphs, which take no adapter: choose torch-cpu or cuda, "
                "or merge the adapter with peft and `sqe export` the result"
            )
        try:
            from sqe_fast.runners.onnx_runner import OnnxRunner
        except ModuleNotFoundError as error:
            raise UnusableError(f"device {device!r} needs onnxruntime: {error}; install the extra [cpu]") from error
        return OnnxRunner(folder, slots=slots, max_length=max_length, threads=threads)
    try:
        from sqe_fast.runners.torch_runner import TorchRunner
    except ModuleNotFoundError as error:
        raise UnusableError(f"device {device!r} needs torch: {error}; install the extra [gpu] or [train]") from error
    return TorchRunner(
        folder,
        device="cpu" if device == "torch-cpu" else device,
        slots=slots,
        max_length=max_length,
        threads=threads,
        adapter=adapter,
    )
