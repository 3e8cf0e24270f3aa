"""Runners: whatever computes a model. `open_runner` picks one by device; nothing is replaced silently by another."""

from __future__ import annotations

from pathlib import Path

from sqe_fast.errors import UnusableError
from sqe_fast.runners.base import Runner

DEVICES = ("auto", "cpu", "torch-cpu", "cuda")
CPU_SLOTS = 8
DEFAULT_MAX_LENGTH = 2048
"""Two clips of 30 s (1,500 audio tokens), their prompt and a long answer."""


def open_runner(
    folder: Path,
    *,
    device: str = "auto",
    slots: int | None = None,
    max_length: int = DEFAULT_MAX_LENGTH,
    threads: int | None = None,
    adapter: Path | None = None,
    encoder: str = "operators",
) -> Runner:
    """The runner of a checkpoint folder, with a LoRA adapter's folder merged into it (not on "cpu").

    `device`: "cpu" is ONNX Runtime, "torch-cpu" the plain torch model, "cuda" Triton kernels on a GPU; "auto" is "cpu",
    the only one that every installation has. `slots` None: 8 on a CPU, on a GPU as many as fit its memory (at most
    64). `max_length` counts tokens and is cut to what the model was made for; `threads` None takes every CPU this
    process may use. `encoder` "onnx" (on "cuda" only) runs the exported encoder with onnxruntime-gpu instead of the
    kernels. Raises UnusableError, by name, for a folder or device that cannot be used, and ValueError for a count
    below 1.
    """
    if device not in DEVICES:
        raise UnusableError(f"device {device!r} is unknown; choose one of {', '.join(DEVICES)}")
    if min(count for count in (slots, max_length, threads) if count is not None) < 1:
        raise ValueError("slots, max_length and threads must be at least 1")
    if encoder != "operators" and device != "cuda":
        raise UnusableError(f"encoder {encoder!r} is a choice on device cuda only; {device!r} has one encoder")
    if device in ("auto", "cpu"):
        if adapter is not None:
            raise UnusableError(
                f"device {device!r} runs exported graphs, which take no adapter: choose torch-cpu or cuda, "
                "or merge the adapter with peft and `sqe export` the result"
            )
        try:
            from sqe_fast.runners.onnx_cpu import OnnxRunner
        except ModuleNotFoundError as error:
            raise UnusableError(f"device {device!r} needs onnxruntime: {error}; install the extra [cpu]") from error
        return OnnxRunner(folder, slots=slots or CPU_SLOTS, max_length=max_length, threads=threads)
    try:
        from sqe_fast.runners.torch_runner import TorchRunner
    except ModuleNotFoundError as error:
        raise UnusableError(f"device {device!r} needs torch: {error}; install the extra [gpu] or [train]") from error
    on_cpu = device == "torch-cpu"
    return TorchRunner(
        folder,
        device="cpu" if on_cpu else device,
        slots=slots or (CPU_SLOTS if on_cpu else None),
        max_length=max_length,
        threads=threads,
        adapter=adapter,
        encoder=encoder,
    )
