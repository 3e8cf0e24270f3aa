"""ONNX Runtime on the CPU, without torch: the default runner.

All keys and values live in one block of memory that ONNX Runtime reads and writes in place. Its layout puts the slots
next to each other within a layer, so that slots 0 … B−1 are one contiguous array to decode with, and so is any single
slot to prefill. Memory is taken from the system only as positions are written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from sqe_fast.checkpoint.config import Qwen2AudioConfig, audio_tokens
from sqe_fast.checkpoint.files import DECODER_FILE, ENCODER_FILE, VERIFIER_FILE, WEIGHTS_FILE, int8_file
from sqe_fast.checkpoint.hashes import verify_hashes
from sqe_fast.checkpoint.onnx_file import check_external_data
from sqe_fast.errors import UnusableError
from sqe_fast.options import INT8, Serving
from sqe_fast.runners.base import (
    CPU_SLOTS,
    VERIFIED,
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
VERIFIED_AFTER = 128
"""Tokens of prose before the verifier is opened: two descriptions. It holds the weights once more, and takes as long
to open as it would have saved on them."""
_STEP_INPUTS = {"input_ids", "total_length", "readers", "candidates", "writers", "top_count"}
_TURN_INPUTS = ("places", "seqlens_k")
_INPUTS = {
    DECODER_FILE: _STEP_INPUTS | {"audio", "seqlens_k"},
    VERIFIER_FILE: _STEP_INPUTS | {"order", "asked"} | {f"{n}_{t}" for t in range(VERIFIED) for n in _TURN_INPUTS},
}
"""What the graphs take beside the KV memory."""

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
        int8 = serving.precision == INT8
        graphs = {name: int8_file(name) if int8 else name for name in (ENCODER_FILE, *_INPUTS)}
        for name in graphs.values():
            if not (folder / name).is_file():
                raise UnusableError(f"{folder / name}: missing: run `sqe export {folder}`")
        verify_hashes(folder, required=(WEIGHTS_FILE, *graphs.values()))
        options = _options(serving.threads or len(os.sched_getaffinity(0)))
        self._encoder = _session(folder / graphs[ENCODER_FILE], options)
        self._decoder = _decoder_session(folder, DECODER_FILE, graphs[DECODER_FILE], options)
        self._open_verifier = partial(_decoder_session, folder, VERIFIER_FILE, graphs[VERIFIER_FILE], options)
        self._verifier: onnxruntime.InferenceSession | None = None
        """Opened with the first pass that needs it: ratings alone and a description or two never do."""
        self._config = config
        slots = serving.slots or CPU_SLOTS
        self.info: RunnerInfo = runner_info(
            "onnx-cpu", config, slots, serving.max_length, int8=int8, verified_after=VERIFIED_AFTER
        )
        text = config.text
        memory = (text.layers, 2, slots + 1, text.kv_heads, self.info.max_length, text.head_dim)
        self._kv = np.empty(memory, np.float32)
        """One slot more than there are: in it the verifier's turns are spent that nobody needs."""
        self._bindings: dict[tuple[int, ...], Any] = {}
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

    def prefill(self, steps: Sequence[SlotStep], audio: Sequence[Sequence[Embedding]]) -> list[Answer]:
        """One at a time, as `encode`."""
        check_prefill(self.info, steps, audio)
        return [self._prefill(*each) for each in zip(steps, audio, strict=True)]

    def _prefill(self, step: SlotStep, audio: Sequence[Embedding]) -> Answer:
        parts = [cast(FloatArray, clip) for clip in audio if clip.shape[0]]
        embeddings = np.concatenate(parts) if parts else self._no_audio
        return self._run([step], step.slot, embeddings)[0]

    def decode(self, steps: Sequence[SlotStep]) -> list[Answer]:
        check_decode(self.info, steps)
        if max(len(step.fed) for step in steps) > 1:
            return self._verify(steps)
        return self._run(steps, 0, self._no_audio)

    def move(self, source: int, destination: int, length: int) -> None:
        check_move(self.info, source, destination, length)
        self._kv[:, :, destination, :, :length] = self._kv[:, :, source, :, :length]

    def _run(self, steps: Sequence[SlotStep], first_slot: int, audio: FloatArray) -> list[Answer]:
        """As many tokens of each step, of slots from `first_slot` on."""
        lengths = [step.past + len(step.tokens) for step in steps]
        inputs: dict[str, npt.NDArray[Any]] = {
            "input_ids": np.array([step.tokens for step in steps], np.int64),
            "audio": audio,
            "seqlens_k": np.array(lengths, np.int32) - np.int32(1),
            "total_length": np.array(max(lengths), np.int32),
        }
        return self._answers(self._decoder, self._memory(first_slot, len(steps)), inputs, Questions(steps))

    def _verify(self, steps: Sequence[SlotStep]) -> list[Answer]:
        """Several tokens of each step: see `export.decoder.verifier_graph`."""
        if self._verifier is None:
            self._verifier = self._open_verifier()
        asked = Questions(steps)
        counts = np.array([len(step.fed) for step in steps])
        starts = counts.cumsum() - counts
        turns, longest, past = np.arange(VERIFIED)[:, None], counts.max(), np.array([step.past for step in steps])
        own = np.minimum(turns, counts - 1)  # [turn, slot]: which of its tokens a slot takes
        batches = [len(steps) if turn < longest else 1 for turn in range(VERIFIED)]
        offsets = np.cumsum([0, *batches[:-1]])
        inputs: dict[str, npt.NDArray[Any]] = {
            "input_ids": np.array([token for step in steps for token in step.fed], np.int64),
            "total_length": np.array((past + counts).max(), np.int32),
            "order": np.concatenate([offsets[:count] + slot for slot, count in enumerate(counts)]).astype(np.int64),
            "asked": np.array([starts[place] + token for place, token in asked.rows], np.int64),
        }
        for turn in range(VERIFIED):
            needed = turn < longest
            places, held = (starts + own[turn], past + own[turn]) if needed else (np.zeros(1), np.zeros(1))
            inputs[f"places_{turn}"] = places[:, None].astype(np.int64)
            inputs[f"seqlens_k_{turn}"] = held.astype(np.int32)
        return self._answers(self._verifier, self._turns(len(steps), int(longest)), inputs, asked)

    def _answers(
        self, session: onnxruntime.InferenceSession, binding: Any, inputs: dict[str, npt.NDArray[Any]], asked: Questions
    ) -> list[Answer]:
        reads, writes, count = len(asked.reads), len(asked.writes), asked.top_count
        inputs |= {
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
        for name, given in inputs.items():
            _bind_input(binding, name, given)
        for name, wanted in outputs.items():
            _bind_output(binding, name, wanted)
        session.run_with_iobinding(binding)
        named = [_softmax(row[: len(read)]) for row, read in zip(logits, asked.reads.values(), strict=True)]
        return asked.answers(named, tokens, logprobs)

    def _memory(self, first_slot: int, count: int) -> Any:
        """A binding whose past and present keys and values are `count` slots from `first_slot`; made once for each."""
        key = first_slot, count
        if key not in self._bindings:
            self._bindings[key] = binding = self._decoder.io_binding()
            self._bind_memory(binding, first_slot, count, "")
        return self._bindings[key]

    def _turns(self, count: int, needed: int) -> Any:
        """The verifier's: those of `count` slots for the turns that are needed, the spare one for the others."""
        key = 0, count, needed
        if key not in self._bindings:
            assert self._verifier is not None
            self._bindings[key] = binding = self._verifier.io_binding()
            for turn in range(VERIFIED):
                self._bind_memory(binding, *((0, count) if turn < needed else (self.info.slots, 1)), f"_{turn}")
        return self._bindings[key]

    def _bind_memory(self, binding: Any, first_slot: int, count: int, suffix: str) -> None:
        for layer, pair in enumerate(self._kv[:, :, first_slot : first_slot + count]):
            for index, kind in enumerate(("key", "value")):
                _bind_input(binding, f"past_{kind}_{layer}{suffix}", pair[index])
                _bind_output(binding, f"present_{kind}_{layer}{suffix}", pair[index])


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


def _decoder_session(
    folder: Path, graph: str, file: str, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    """`graph`, in whichever precision `file` has it."""
    path = folder / file
    session = _session(path, options)
    found = {entry.name for entry in session.get_inputs() if not entry.name.startswith("past_")}
    if found != _INPUTS[graph]:
        raise UnusableError(
            f"{path}: written for another version of sqe-fast (it takes {', '.join(sorted(found))}); "
            f"run `sqe export {path.parent}` again"
        )
    return session


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
