"""Peers that answer the rating prompt with the same weights: Hugging Face's `generate`, in batches, and vLLM."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from benchmarks.gpu.rows import Place
from sqe_fast.answer.program import MAX_DESCRIPTION_TOKENS
from sqe_fast.answer.scale import NUMBER_VALUES
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import SAMPLE_RATE, frame_count
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.results import RATINGS

Wave = npt.NDArray[np.float32]
"""Samples at 16 kHz."""


def most_tokens(describe: bool) -> int:
    return len(RATINGS) + (1 + MAX_DESCRIPTION_TOKENS if describe else 0)


class Peer(Protocol):
    def answers(self, clips: Sequence[Wave], *, describe: bool) -> list[tuple[int, ...]]:
        """The greedy answer to each clip's rating prompt."""


class HuggingFace:
    """Attention by sdpa; `compiled`: decode steps by torch.compile over a static cache, as `generate` offers it."""

    def __init__(self, folder: Path, prompts: PromptBuilder, place: Place, *, compiled: bool = False) -> None:
        self._prompts, self._place = prompts, place
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        loaded = Qwen2AudioForConditionalGeneration.from_pretrained(
            folder, dtype=place.dtype, attn_implementation="sdpa"
        )
        self._model = loaded.to(place.device).eval()
        self._more = {"cache_implementation": "static"} if compiled else {}

    @torch.inference_mode()
    def first_ratings(self, clips: Sequence[Wave]) -> list[float]:
        """The expectation of the first rating over its 41 number tokens, one clip at a time."""
        values = torch.tensor(NUMBER_VALUES, dtype=torch.float64)
        found = []
        for clip in clips:
            logits = self._model(**self._inputs([clip])).logits[0, -1, list(self._prompts.number_ids)]
            found.append(float(logits.double().cpu().softmax(-1) @ values))
        return found

    @torch.inference_mode()
    def answers(self, clips: Sequence[Wave], *, describe: bool) -> list[tuple[int, ...]]:
        inputs = self._inputs(clips)
        stop = self._prompts.stop
        written = self._model.generate(
            **inputs,
            max_new_tokens=most_tokens(describe),
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=stop,
            **self._more,
        )
        rows = written[:, inputs["input_ids"].shape[1] :].tolist()
        return [tuple(row[: row.index(stop) + 1] if stop in row else row) for row in rows]

    def _inputs(self, clips: Sequence[Wave]) -> dict[str, Tensor]:
        """Prompts padded on the left, clips to 30 s, as the model takes them."""
        features = self._extractor(
            list(clips), sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt"
        )
        prompts = [self._prompts.rate_prompt(audio_tokens(frame_count(len(clip)))) for clip in clips]
        longest = max(map(len, prompts))
        ids = [[self._prompts.stop] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        told = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        inputs = {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.tensor(told),
            "input_features": features["input_features"].to(self._place.dtype),
            "feature_attention_mask": features["attention_mask"],
        }
        return {name: tensor.to(self._place.device) for name, tensor in inputs.items()}


class Vllm:
    """vLLM's own engine. Prompts hold one audio token, which it makes as many of as the clip has.

    Written after its documentation; nobody has run it yet.
    """

    def __init__(self, folder: Path, prompts: PromptBuilder, place: Place, *, slots: int) -> None:
        from vllm import LLM

        self._prompts = prompts
        dtype = str(place.dtype).removeprefix("torch.")
        # Ours stays on the card beside it, with its weights and memory.
        self._engine = LLM(
            model=str(folder),
            dtype=dtype,
            max_model_len=2048,
            max_num_seqs=slots,
            gpu_memory_utilization=0.4,
            limit_mm_per_prompt={"audio": 1},
            enable_prefix_caching=False,
        )

    def answers(self, clips: Sequence[Wave], *, describe: bool) -> list[tuple[int, ...]]:
        from vllm import SamplingParams

        prompt = list(self._prompts.rate_prompt(1))
        sampling = SamplingParams(
            temperature=0.0, max_tokens=most_tokens(describe), stop_token_ids=[self._prompts.stop]
        )
        inputs = [{"prompt_token_ids": prompt, "multi_modal_data": {"audio": [(clip, SAMPLE_RATE)]}} for clip in clips]
        return [tuple(each.outputs[0].token_ids) for each in self._engine.generate(inputs, sampling, use_tqdm=False)]


def has_vllm() -> bool:
    return importlib.util.find_spec("vllm") is not None
