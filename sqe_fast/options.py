"""How a model is served: the one set of defaults of the Python API, the command line and the runners."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from sqe_fast.errors import UnusableError

DEVICES = ("auto", "cpu", "torch-cpu", "cuda", "cuda:N")
ENCODERS = ("operators", "onnx")
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Precisions, and the dtypes that they stand for."""
SHORT_NAMES = {dtype: precision for precision, dtype in DTYPES.items()}
INT8 = "int8"
PRECISIONS = ("auto", *DTYPES, INT8)
_ON_CPU = ("auto", "fp32", INT8)
"""Of them, those of devices that are no GPU."""
WINDOW_SECONDS, HOP_SECONDS = 5.0, 1.0
"""Of a timeline and of a live call: what a window holds, and from one to the next."""
WINDOW_DEADLINE = 2.0
"""Seconds that a window of a live call may wait."""
WORST = 100
"""Recordings whose waveforms a report draws; a few more for each rating, cause and flag."""
_DEVICE = re.compile(r"auto|cpu|torch-cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class Sandbox:
    """Child processes that decode, with limits on each. On Linux only: raises UnusableError elsewhere, and ValueError
    for what cannot be.

    A file that passes a limit, or breaks a codec, costs its own row (`decoder_memory`, `decoder_timeout`,
    `decoder_crashed`) and a child, which is replaced. Arrays are not decoded, and stay in the caller's process.
    """

    children: int | None = None
    """Processes at most, started as they are needed. None: half as many as there are CPUs, 2 to 8."""
    memory: int = 512 << 20
    """Bytes that a child may take for decoding, beside the codecs themselves."""
    cpu_seconds: float = 30.0
    """By how much the CPU time that decoding a file takes may pass the length of its audio; 4 s a MB of it come on
    top."""
    wait_seconds: float = 300.0
    """How long a child may give no answer while it uses no CPU at all."""

    def __post_init__(self) -> None:
        if sys.platform != "linux":
            raise UnusableError("a sandbox is a choice on Linux only: elsewhere decode without one")
        if self.children is not None and self.children < 1:
            raise ValueError("a sandbox needs at least one child")
        if self.memory < 64 << 20 or min(self.cpu_seconds, self.wait_seconds) <= 0:
            raise ValueError("a sandbox needs memory for at least 64 MiB and times above 0")


@dataclass(frozen=True)
class Serving:
    """Raises UnusableError for a choice that does not exist, and ValueError for a count below 1."""

    device: str = "auto"
    """"cpu" is ONNX Runtime, "torch-cpu" plain torch, "cuda" (or "cuda:1", …) Triton kernels on a GPU; "auto" is "cpu",
    the only one that every installation has."""
    slots: int | None = None
    """Sequences that are decoded together, one of them kept for alerts. None: nine on a CPU, on a GPU as many as fit
    its memory, at most 64."""
    threads: int | None = None
    """CPU threads of the runner. None: as many as the process may use."""
    adapter: Path | None = None
    """Folder of a LoRA adapter as peft saves it, merged at load; not on "cpu"."""
    encoder: str = "operators"
    """"onnx", on a GPU only, runs the exported encoder with onnxruntime-gpu instead of the kernels."""
    precision: str = "auto"
    """In which a GPU computes; "auto": as the checkpoint is stored, "int8": so too, with the decoder's weights in 8
    bits. A CPU computes in "fp32" ("auto"), or in "int8": encoder and decoder multiply in 8 bits on "cpu", while
    "torch-cpu" does as a GPU, to try what that changes."""
    max_length: int = 2048
    """Positions of a slot: two clips of 30 s (1,500 audio tokens), their prompt and a long answer. It is cut to what
    the model was made for."""
    nice: int = 0
    """By how much the priority of the threads that compute is lowered, 0 to 19, so that an event loop beside them comes
    first. On Linux, where threads have priorities of their own."""
    sandbox: Sandbox | None = None
    """Decode files in child processes with limits; None: in this process. `sqe score`, `rank` and `serve` have one."""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise UnusableError(f"device {self.device!r} is unknown; choose one of {', '.join(DEVICES)}")
        if not 0 <= self.nice <= 19:
            raise ValueError(f"nice {self.nice}: pass 0 to 19")
        if self.nice and sys.platform != "linux":
            raise UnusableError(
                f"nice {self.nice} is a choice on Linux only: elsewhere threads have no priority of their own"
            )
        if min(count for count in (self.slots, self.max_length, self.threads) if count is not None) < 1:
            raise ValueError("slots, max_length and threads must be at least 1")
        for name, value, known in (
            ("encoder", self.encoder, ENCODERS),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise UnusableError(f"{name} {value!r} is unknown; choose one of {', '.join(known)}")
        if self.encoder != "operators" and not self.on_gpu:
            raise UnusableError(f"encoder {self.encoder!r} is a choice on device cuda only; {self.device!r} has one")
        if not self.on_gpu and self.precision not in _ON_CPU:
            raise UnusableError(
                f"device {self.device!r} computes in fp32, or with weights in {INT8}; precision {self.precision!r} "
                "needs cuda"
            )
        if self.adapter is not None and self.device in ("auto", "cpu"):
            raise UnusableError(
                f"device {self.device!r} runs exported graphs, which take no adapter: choose torch-cpu or cuda, "
                "or merge the adapter with peft and `sqe export` the result"
            )

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")
