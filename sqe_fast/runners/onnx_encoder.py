"""The exported encoder on a GPU, by ONNX Runtime's CUDA provider: an alternative to the Triton kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from sqe_fast.checkpoint.files import ENCODER_FILE, WEIGHTS_FILE
from sqe_fast.checkpoint.onnx_file import check_external_data
from sqe_fast.errors import UnusableError
from sqe_fast.runners.base import FloatArray

PROVIDER = "CUDAExecutionProvider"
WORKSPACE_BYTES = 1 << 30
"""For what a clip's layers compute: the scores of 30 s of a 7B model's are 180 MB."""


class OnnxEncoder:
    """Clips one at a time at their true length."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, weight_bytes: int) -> None:
        """`weight_bytes`: of the encoder and the projector in float32, in which ONNX Runtime keeps them; the session
        takes no more of the GPU than these and WORKSPACE_BYTES.

        Raises UnusableError where the folder holds no graph, or ONNX Runtime would not run it on the GPU: it falls
        back to the CPU by itself, with only a line in its log."""
        path = folder / ENCODER_FILE
        if not path.is_file():
            raise UnusableError(f"{path}: missing: run `sqe export` on the folder")
        available = onnxruntime.get_available_providers()
        if PROVIDER not in available:
            raise UnusableError(
                f"the ONNX encoder on a GPU needs {PROVIDER}; this onnxruntime {onnxruntime.__version__} has "
                f"{', '.join(available)}: install onnxruntime-gpu instead of onnxruntime"
            )
        check_external_data(path, WEIGHTS_FILE)
        options = {
            "device_id": device.index,
            "gpu_mem_limit": weight_bytes + WORKSPACE_BYTES,
            "arena_extend_strategy": "kSameAsRequested",  # not the double of what is needed
        }
        self._session = onnxruntime.InferenceSession(str(path), providers=[(PROVIDER, options)])
        if self._session.get_providers()[0] != PROVIDER:
            raise UnusableError(
                f"{path}: ONNX Runtime runs it on {self._session.get_providers()}: {PROVIDER} did not load"
            )
        self._device, self._dtype = device, dtype

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Tensor]:
        """As `Runner.encode`."""
        return [self._encode(*clip) for clip in clips]

    def _encode(self, log_mel: FloatArray, frames: int) -> Tensor:
        feeds = {"mel": np.ascontiguousarray(log_mel, np.float32), "frames": np.array([frames], np.int64)}
        (audio,) = self._session.run(["audio"], feeds)
        return torch.from_numpy(audio).to(self._device, self._dtype)
