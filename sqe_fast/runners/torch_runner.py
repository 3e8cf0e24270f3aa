"""The plain torch model behind the Runner protocol: the reference that other runners are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sqe_fast.manifest import verify_hashes
from sqe_fast.model.decoder import CacheRows, KVCache
from sqe_fast.model.qwen2_audio import load_checkpoint
from sqe_fast.results import UnusableError
from sqe_fast.runners.base import TOP_K, FloatArray, Row, StepOutput
from sqe_fast.runners.checks import check_decode, check_mel, check_move, check_prefill, runner_info


class TorchRunner:
    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        slots: int,
        max_length: int,
        threads: int | None,
        adapter: Path | None = None,
    ) -> None:
        """Raises UnusableError for a folder, adapter or device that cannot be used. `threads` is torch's,
        process-wide; None leaves it as it is."""
        if device == "cuda" and not torch.cuda.is_available():
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise UnusableError(f"CUDA was asked for, but torch {torch.__version__} ({built}) sees no GPU")
        verify_hashes(folder)
        if threads is not None:
            torch.set_num_threads(threads)
        model, config = load_checkpoint(folder, adapter=adapter)
        self._model = model.to(device)
        self.info = runner_info(f"torch-{device}", config, slots, max_length)
        like = self._model.decoder.head.weight
        self._device = like.device
        self._cache = KVCache.allocate(config.text, slots, self.info.max_length, like=like)

    @torch.inference_mode()
    def encode(self, log_mel: FloatArray, frames: int) -> FloatArray:
        check_mel(self._model.config.audio, log_mel, frames)
        return _array(self._model.encode(self._tensor(log_mel), frames))

    @torch.inference_mode()
    def prefill(self, row: Row, audio: FloatArray) -> StepOutput:
        check_prefill(self.info, row, audio)
        return self._step([row], self._tensor(audio))

    @torch.inference_mode()
    def decode(self, rows: Sequence[Row]) -> StepOutput:
        check_decode(self.info, rows)
        return self._step(rows, self._tensor(np.empty((0, self.info.hidden_size), np.float32)))

    def move(self, source: int, destination: int, length: int) -> None:
        check_move(self.info, source, destination, length)
        for memory in (self._cache.keys, self._cache.values):
            memory[:, destination, :, :length] = memory[:, source, :, :length]

    def _step(self, rows: Sequence[Row], audio: Tensor) -> StepOutput:
        tokens = torch.tensor([row.tokens for row in rows], device=self._device)
        where = CacheRows(self._cache, [row.slot for row in rows], [row.past for row in rows])
        hidden = self._model(tokens, audio, where)[:, -1]
        logits = self._model.logits(hidden)
        best = logits.log_softmax(-1).topk(TOP_K)
        named = tuple(_array(one[list(row.candidates)].softmax(-1)) for one, row in zip(logits, rows, strict=True))
        return StepOutput(best.indices.cpu().numpy(), _array(best.values), named)

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().numpy()
    return array
