"""ONNX Runtime on the CPU, without torch: the default runner.

All keys and values live in one block of memory that ONNX Runtime reads and writes in place. Its layout puts the slots
next to each other within a layer, so that slots 0 … B−1 are one contiguous array to decode with, and so is any single
slot to prefill. Memory is taken from the system only as positions are written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from sqe_fast.checkpoint.config import Qwen2AudioConfig, audio_tokens
from sqe_fast.checkpoint.files import DECODER_FILE, ENCODER_FILE, WEIGHTS_FILE
from sqe_fast.checkpoint.hashes import verify_hashes
from sqe_fast.checkpoint.onnx_file import check_external_data
from sqe_fast.errors import UnusableError
from sqe_fast.options import Serving
from sqe_fast.runners.base import (
    CPU_SLOTS,
    Answer,
    Embedding,
    FloatArray,
    Questions,
    RunnerInfo,
    SlotStep,
    check_decode,
    check_mel,
    check_move,
    check_prefill,
    runner_info,
)

PROVIDER = "CPUExecutionProvider"
_STEP_INPUTS = {
    "input_ids", "audio", "seqlens_k", "total_length", "readers", "candidates", "writers", "top_count",
}  # fmt: skip
"""What decoder.onnx takes beside the KV memory."""

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxRunner:
    def __init__(self, folder: Path, serving: Serving) -> None:
        """Raises UnusableError for a folder without graphs, or whose files are not those that sqe_fast.json lists."""
        config = Qwen2AudioConfig.from_folder(folder)
        for name in (ENCODER_FILE, DECODER_FILE):
            if not (folder / name).is_file():
                raise UnusableError(f"{folder / name}: missing: run `sqe export {folder}`")
        verify_hashes(folder, required=(WEIGHTS_FILE, ENCODER_FILE, DECODER_FILE))
        options = _options(serving.threads or len(os.sched_getaffinity(0)))
        self._encoder = _session(folder / ENCODER_FILE, options)
        self._decoder = _session(folder / DECODER_FILE, options)
        _check_inputs(folder, self._decoder)
        self._config = config
        slots = serving.slots or CPU_SLOTS
        self.info: RunnerInfo = runner_info("onnx-cpu", config, slots, serving.max_length)
        text = config.text
        self._kv = np.empty((text.layers, 2, slots, text.kv_heads, self.info.max_length, text.head_dim), np.float32)
        self._bindings: dict[tuple[int, int], Any] = {}
        self._no_audio = np.zeros((1, text.hidden_size), np.float32)  # the graph wants a row, and uses none

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        """One at a time: on a CPU a batch of clips is no faster, and so none can touch another."""
        for log_mel, frames in clips:
            check_mel(self._config.audio, log_mel, frames)
        return [self._encode(*clip) for clip in clips]

    def _encode(self, log_mel: FloatArray, frames: int) -> FloatArray:
        binding = self._encoder.io_binding()
        audio = np.empty((audio_tokens(frames), self.info.hidden_size), np.float32)
        mel, count = np.ascontiguousarray(log_mel, np.float32), np.array([frames], np.int64)
        _bind_input(binding, "mel", mel)
        _bind_input(binding, "frames", count)
        _bind_output(binding, "audio", audio)
        self._encoder.run_with_iobinding(binding)
        return audio

    def prefill(self, step: SlotStep, audio: Sequence[Embedding]) -> Answer:
        check_prefill(self.info, step, audio)
        parts = [cast(FloatArray, clip) for clip in audio if clip.shape[0]]
        embeddings = np.concatenate(parts) if parts else self._no_audio
        return self._run([step], step.slot, embeddings)[0]

    def decode(self, steps: Sequence[SlotStep]) -> list[Answer]:
        check_decode(self.info, steps)
        return self._run(steps, 0, self._no_audio)

    def move(self, source: int, destination: int, length: int) -> None:
        check_move(self.info, source, destination, length)
        self._kv[:, :, destination, :, :length] = self._kv[:, :, source, :, :length]

    def _run(self, steps: Sequence[SlotStep], first_slot: int, audio: FloatArray) -> list[Answer]:
        asked = Questions(steps)
        lengths = [step.past + len(step.tokens) for step in steps]
        reads, writes, count = len(asked.reads), len(asked.writes), asked.top_count
        inputs: dict[str, npt.NDArray[Any]] = {
            "input_ids": np.array([step.tokens for step in steps], np.int64),
            "audio": audio,
            "seqlens_k": np.array(lengths, np.int32) - np.int32(1),
            "total_length": np.array(max(lengths), np.int32),
            "readers": np.array(list(asked.reads), np.int64),
            "candidates": np.array(asked.candidates, np.int64).reshape(reads, -1 if reads else 0),
            "writers": np.array(list(asked.writes), np.int64),
            "top_count": np.array([count], np.int64),
        }
        logits = np.empty(inputs["candidates"].shape, np.float32)
        tokens = np.empty((writes, count), np.int64)
        logprobs = np.empty((writes, count), np.float32)
        outputs: dict[str, npt.NDArray[Any]] = {
            "candidate_logits": logits,
            "top_tokens": tokens,
            "top_logprobs": logprobs,
        }
        binding = self._memory(first_slot, len(steps))
        for name, given in inputs.items():
            _bind_input(binding, name, given)
        for name, wanted in outputs.items():
            _bind_output(binding, name, wanted)
        self._decoder.run_with_iobinding(binding)
        named = [_softmax(row[: len(read)]) for row, read in zip(logits, asked.reads.values(), strict=True)]
        return asked.answers(named, tokens, logprobs)

    def _memory(self, first_slot: int, count: int) -> Any:
        """A binding whose past and present keys and values are `count` slots from `first_slot`; made once for each."""
        key = first_slot, count
        if key not in self._bindings:
            binding = self._decoder.io_binding()
            for layer, pair in enumerate(self._kv[:, :, first_slot : first_slot + count]):
                for index, kind in enumerate(("key", "value")):
                    _bind_input(binding, f"past_{kind}_{layer}", pair[index])
                    _bind_output(binding, f"present_{kind}_{layer}", pair[index])
            self._bindings[key] = binding
        return self._bindings[key]


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # two sessions take turns: the threads of one must not spin while the other works
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    check_external_data(path, WEIGHTS_FILE)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
    except _LOAD_ERRORS as error:
        raise UnusableError(f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: {error}") from error
    if session.get_providers() != [PROVIDER]:
        raise UnusableError(f"{path}: ONNX Runtime runs it on {session.get_providers()}, not on the CPU as asked")
    return session


def _check_inputs(folder: Path, decoder: onnxruntime.InferenceSession) -> None:
    found = {entry.name for entry in decoder.get_inputs() if not entry.name.startswith("past_")}
    if found != _STEP_INPUTS:
        raise UnusableError(
            f"{folder / DECODER_FILE}: written for another version of sqe-fast (it takes {', '.join(sorted(found))}); "
            f"run `sqe export {folder}` again"
        )


def _softmax(logits: FloatArray) -> FloatArray:
    """[n] → [n]. Here and not in the graph, where rows are filled up to the longest of the pass: the order of a sum,
    and with it the last bit, would depend on the other steps."""
    weights = np.exp(logits - logits.max())
    probabilities: FloatArray = weights / weights.sum()
    return probabilities


def _bind_input(binding: Any, name: str, array: npt.NDArray[Any]) -> None:
    """`array` must outlive the run: the binding holds its address."""
    binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _bind_output(binding: Any, name: str, array: npt.NDArray[Any]) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
