"""The packed model behind the Runner protocol: with Triton kernels on a GPU, with plain torch on a CPU.

On a GPU audio embeddings stay there, `encode` does not wait for it (the next clip's log-mel is computed meanwhile), and
decode steps are replayed as CUDA graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sqe_fast.checkpoint.config import Qwen2AudioConfig
from sqe_fast.checkpoint.hashes import verify_hashes
from sqe_fast.errors import UnusableError
from sqe_fast.kernels import OPERATORS, Operators, select
from sqe_fast.kernels.operators import IDLE
from sqe_fast.kernels.upload import upload
from sqe_fast.model.int8 import quantise
from sqe_fast.model.packed import PackedModel, Prompt
from sqe_fast.model.qwen2_audio import Qwen2Audio, load_checkpoint
from sqe_fast.model.weights import stored_dtype
from sqe_fast.options import DTYPES, INT8, Serving
from sqe_fast.runners.base import (
    CPU_SLOTS,
    VERIFIED,
    Answer,
    Embedding,
    FloatArray,
    IntArray,
    Questions,
    SlotStep,
    check_decode,
    check_mel,
    check_move,
    check_prefill,
    kv_bytes_per_token,
    runner_info,
)

GPU_ENCODE_FRAMES = 12_000
"""Two minutes of audio in one packed batch: 6,000 rows fill a GPU's tiles, and their embeddings are 24 MB at 7B."""
GPU_PREFILL_TOKENS = 4_096
"""A dozen prompts in one pass: their rows fill a GPU's tiles, and its launches are made once for all of them."""
GPU_MEMORY_SHARE = 0.8
"""Of what the weights leave free goes to KV memory; the rest is for activations, graphs and the encoder."""
MAX_GPU_SLOTS = 64


class TorchRunner:
    def __init__(self, folder: Path, serving: Serving, *, operators: str | None = None) -> None:
        """`serving.threads` is torch's, process-wide; None leaves it as it is. `operators` None: "triton" on a GPU,
        "torch" on a CPU. "torch" on a GPU decodes without CUDA graphs: they cannot be made of its operators.

        Raises UnusableError for a folder, adapter, device or operators that cannot be used: where a GPU is too small,
        before anything is loaded.
        """
        self._device = _device(serving)
        on_gpu = self._device.type == "cuda"
        self._operators = _operators(operators or ("triton" if on_gpu else "torch"), self._device)
        config, dtype = Qwen2AudioConfig.from_folder(folder), _dtype(serving, folder)
        if on_gpu:
            free = _free_bytes(self._device) - _bytes(_hollow(config, serving), dtype)
            slots_that_fit(free, _slot_bytes(config, serving, dtype), serving.slots)
        verify_hashes(folder)
        if serving.threads is not None:
            torch.set_num_threads(serving.threads)
        model, _ = load_checkpoint(folder, dtype, serving.adapter)
        self._serve(model, serving, folder)

    @classmethod
    def of(cls, model: Qwen2Audio, serving: Serving, *, operators: str | None = None) -> TorchRunner:
        """Serves a model that is in memory, in the precision that it has or with 8 bits in its decoder; it is changed
        to that, and moved to the device. Raises UnusableError as `TorchRunner` does, and for an exported encoder, which
        only a folder has."""
        if serving.encoder == "onnx":
            raise UnusableError("an exported encoder belongs to a folder: open that")
        runner = cls.__new__(cls)
        runner._device = _device(serving)
        name = operators or ("triton" if runner._device.type == "cuda" else "torch")
        runner._operators = _operators(name, runner._device)
        runner._serve(model, serving, None)
        return runner

    def _serve(self, model: Qwen2Audio, serving: Serving, folder: Path | None) -> None:
        """`folder`: where the exported encoder is, if that is asked for."""
        config, dtype, on_gpu = model.config, model.decoder.head.weight.dtype, self._device.type == "cuda"
        max_length, int8 = min(serving.max_length, config.text.max_positions), serving.precision == INT8
        if int8:
            quantise(model.decoder)
        with self._stage("load"):
            # Whatever takes the GPU's memory does so before its rest is given to the slots.
            self._onnx = None
            if serving.encoder == "onnx" and folder is not None:
                from sqe_fast.runners.onnx_encoder import OnnxEncoder

                beside = _bytes(model.encoder, torch.float32) + _bytes(model.projector, torch.float32)
                self._onnx = OnnxEncoder(folder, self._device, dtype, beside)
                model.decoder.to(self._device)  # of the other encoder nothing is needed there
            else:
                model.to(self._device)
            slots = serving.slots or CPU_SLOTS
            if on_gpu:
                slot = _slot_bytes(config, serving, dtype)
                slots = slots_that_fit(_free_bytes(self._device), slot, serving.slots)
            self._model = PackedModel(model, self._operators, slots=slots, max_length=max_length)
            self._decode = decode_step(self._model, slots, self._device)
        self.info = runner_info(
            f"{self._operators.NAME}-{self._device.type}",
            config,
            slots,
            max_length,
            dtype=_name(dtype),
            int8=int8,
            encode_frames=GPU_ENCODE_FRAMES if on_gpu else 1,
            prefill_tokens=GPU_PREFILL_TOKENS if on_gpu else 1,
            # No graph of several tokens is captured, and without one their launches would cost more than they save.
            verified=1 if on_gpu else VERIFIED,
        )
        self._candidates: dict[tuple[int, ...], Tensor] = {}

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        for log_mel, frames in clips:
            check_mel(self._model.config.audio, log_mel, frames)
        with self._stage("encode"):
            if self._onnx is not None:
                return list(self._onnx.encode(clips))
            return list(self._model.encode([(self._tensor(log_mel), frames) for log_mel, frames in clips]))

    def prefill(self, steps: Sequence[SlotStep], audio: Sequence[Sequence[Embedding]]) -> list[Answer]:
        check_prefill(self.info, steps, audio)
        prompts = [
            Prompt(step.tokens, [cast(Tensor, clip) for clip in clips], step.slot, step.past)
            for step, clips in zip(steps, audio, strict=True)
        ]
        with self._stage("prefill"):
            return self._answers(steps, self._model.prefill(prompts))

    def decode(self, steps: Sequence[SlotStep]) -> list[Answer]:
        check_decode(self.info, steps)
        most = max(len(step.fed) for step in steps)
        with self._stage("decode"):
            # [turn, slot]: which of its tokens each slot takes; one that has no further repeats its last.
            own = np.minimum(np.arange(most)[:, None], [len(step.fed) - 1 for step in steps])
            fed = [[step.fed[token] for step, token in zip(steps, turn, strict=True)] for turn in own]
            past = self._tensor((own + [step.past for step in steps]).astype(np.int32).ravel())
            tokens = self._tensor(np.array(fed, np.int64).ravel())
            if most == 1:
                return self._answers(steps, self._decode(tokens, past))
            places = self._tensor((own * len(steps) + np.arange(len(steps))).ravel())
            hidden = self._model.decode(tokens, past, places, most)
            asked = [token * len(steps) + place for place, token in Questions(steps).rows]
            return self._answers(steps, hidden[self._tensor(np.array(asked, np.int64))])

    def move(self, source: int, destination: int, length: int) -> None:
        check_move(self.info, source, destination, length)
        with self._stage("move"):
            for memory in (self._model.cache.keys, self._model.cache.values):
                memory[:, destination, :, :length] = memory[:, source, :, :length]

    def _answers(self, steps: Sequence[SlotStep], hidden: Tensor) -> list[Answer]:
        """`hidden` [rows, H] of `Questions(steps).rows`, before the final norm."""
        asked = Questions(steps)
        probabilities = self._read(hidden, asked) if asked.reads else []
        best = self._best(hidden, asked) if asked.writes else (np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
        return asked.answers(probabilities, *best)

    def _read(self, hidden: Tensor, asked: Questions) -> list[FloatArray]:
        candidates = torch.stack([self._uploaded(tokens) for tokens in asked.candidates])
        probabilities = self._model.read_out(self._rows(hidden, asked.reads), candidates).cpu().numpy()
        return [row[: len(tokens)] for row, tokens in zip(probabilities, asked.reads.values(), strict=True)]

    def _best(self, hidden: Tensor, asked: Questions) -> tuple[IntArray, FloatArray]:
        logprobs = self._model.logits(self._rows(hidden, asked.writes)).float().log_softmax(-1)
        best = logprobs.topk(asked.top_count)
        return best.indices.cpu().numpy(), best.values.cpu().numpy()

    def _rows(self, hidden: Tensor, places: Collection[int]) -> Tensor:
        if len(places) == len(hidden):
            return hidden
        return hidden[self._tensor(np.array(list(places), np.int64))]

    def _uploaded(self, candidates: tuple[int, ...]) -> Tensor:
        """[len(candidates)] int32, once for each of the few lists that programs read."""
        if candidates not in self._candidates:
            self._candidates[candidates] = self._tensor(np.array(candidates, np.int32))
        return self._candidates[candidates]

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Whichever thread calls: what is launched and pinned is this runner's GPU's, and nothing is differentiated.
        Profilers see it as "sqe_fast.encode" and so on, torch's and, as an NVTX range, Nsight Systems."""
        label, on_gpu = f"sqe_fast.{name}", self._device.type == "cuda"
        with (
            torch.inference_mode(),
            torch.cuda.device(self._device) if on_gpu else nullcontext(),
            torch.cuda.nvtx.range(label) if on_gpu else nullcontext(),
            torch.profiler.record_function(label),
        ):
            yield

    def _tensor(self, array: np.ndarray) -> Tensor:
        return upload(torch.from_numpy(np.ascontiguousarray(array)), self._device)


def _device(serving: Serving) -> torch.device:
    """Raises UnusableError for a GPU that is not there."""
    if not serving.on_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise UnusableError(f"CUDA was asked for, but torch {torch.__version__} ({built}) sees no GPU")
    asked = torch.device(serving.device).index
    index = torch.cuda.current_device() if asked is None else asked
    if index >= torch.cuda.device_count():
        raise UnusableError(f"{serving.device} was asked for, but there are {torch.cuda.device_count()} GPUs, from 0")
    return torch.device("cuda", index)


def _dtype(serving: Serving, folder: Path) -> torch.dtype:
    """In which the weights are loaded. Raises UnusableError for a GPU that was not asked for single precision, and a
    checkpoint that is stored in it: without tensor cores it would be many times slower than anybody expects."""
    if not serving.on_gpu:
        return torch.float32
    if serving.precision not in ("auto", INT8):
        return cast(torch.dtype, getattr(torch, DTYPES[serving.precision]))
    stored = stored_dtype(folder)
    if stored == torch.float32:
        raise UnusableError(
            f"{folder} is stored in fp32, which a GPU multiplies without its tensor cores: choose precision bf16 or "
            "fp16 (or fp32, to have it so)"
        )
    return stored


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _operators(name: str, device: torch.device) -> Operators:
    """Raises UnusableError for operators that are unknown, not installed, or not for this device."""
    if name not in OPERATORS:
        raise UnusableError(f"operators {name!r} are unknown; choose one of {', '.join(OPERATORS)}")
    try:
        operators = select(name)
    except ModuleNotFoundError as error:
        raise UnusableError(f"operators {name!r} need a package: {error}; install the extra [gpu]") from error
    try:
        operators.check_device(device)
    except RuntimeError as error:
        raise UnusableError(str(error)) from error
    return operators


def _free_bytes(device: torch.device) -> int:
    """Of a GPU."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


def _hollow(config: Qwen2AudioConfig, serving: Serving) -> Qwen2Audio:
    """The model without memory."""
    with torch.device("meta"):
        model = Qwen2Audio(config)
        if serving.precision == INT8:
            quantise(model.decoder)
        return model


def _slot_bytes(config: Qwen2AudioConfig, serving: Serving, dtype: torch.dtype) -> int:
    positions = min(serving.max_length, config.text.max_positions)
    return positions * kv_bytes_per_token(config.text, _name(dtype))


def _bytes(module: nn.Module, dtype: torch.dtype) -> int:
    """That its weights take in `dtype`, or where they are integers in their own."""
    return sum(
        tensor.numel() * (dtype if tensor.is_floating_point() else tensor.dtype).itemsize
        for tensor in module.state_dict().values()
    )


def slots_that_fit(free_bytes: int, slot_bytes: int, asked: int | None = None) -> int:
    """KV slots of `slot_bytes` for what a GPU has left beside its weights; `asked` are no fewer. Raises UnusableError
    where they, or even one, do not fit."""
    slots = int(GPU_MEMORY_SHARE * free_bytes) // slot_bytes
    wanted = asked or 1
    if slots < wanted:
        raise UnusableError(
            f"beside the weights the GPU has {max(0, free_bytes >> 20)} MiB left, and {wanted} of KV memory take "
            f"{wanted * slot_bytes >> 20} MiB of the {GPU_MEMORY_SHARE:.0%} that may be used: choose fewer slots, a "
            "smaller max_length or a larger GPU"
        )
    return asked or min(slots, MAX_GPU_SLOTS)


def decode_step(model: PackedModel, slots: int, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """`PackedModel.decode`, replayed as CUDA graphs on a GPU if its operators are CAPTURABLE."""
    if device.type == "cuda" and model.operators.CAPTURABLE:
        return DecodeGraphs(model, slots, device)
    return model.decode


def graph_sizes(slots: int) -> list[int]:
    """Rows that graphs are captured for, up to all slots: the powers of two to 8, then every eighth."""
    return sorted({*(size for size in (1, 2, 4, *range(8, slots, 8)) if size < slots), slots})


class DecodeGraphs:
    """`PackedModel.decode` on a GPU. All graphs are captured at once, for few sizes: a step takes the next that has
    room, filled up with idle rows. Their memory is one pool: replays never overlap."""

    def __init__(self, model: PackedModel, slots: int, device: torch.device) -> None:
        """Raises ValueError for operators that are not CAPTURABLE."""
        if not model.operators.CAPTURABLE:
            raise ValueError(f"no CUDA graph can be made of operators {model.operators.NAME!r}: they read on the host")
        self._model = model
        self._tokens = torch.zeros(slots, dtype=torch.int64, device=device)
        self._past = torch.full((slots,), IDLE, dtype=torch.int32, device=device)
        self._pool = torch.cuda.graph_pool_handle()
        # The largest first: the others find room in its memory.
        self._captured = {rows: self._capture(rows) for rows in reversed(graph_sizes(slots))}

    def __call__(self, tokens: Tensor, past: Tensor) -> Tensor:
        """As `PackedModel.decode`; the result is overwritten by the next call."""
        rows = len(tokens)
        size = min(size for size in self._captured if size >= rows)
        self._tokens[:rows].copy_(tokens, non_blocking=True)
        self._past[:rows].copy_(past, non_blocking=True)
        self._past[rows:size].fill_(IDLE)
        graph, hidden = self._captured[size]
        graph.replay()
        return hidden[:rows]

    def _capture(self, rows: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        tokens, past = self._tokens[:rows], self._past[:rows]
        # Once outside: kernels are compiled by their first launch, which a capture does not allow. All rows are idle.
        ahead = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        ahead.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(ahead):
            self._model.decode(tokens, past)
        torch.cuda.current_stream().wait_stream(ahead)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": what other threads ask of the driver, as memory for another model, does not end the capture.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            hidden = self._model.decode(tokens, past)
        return graph, hidden
