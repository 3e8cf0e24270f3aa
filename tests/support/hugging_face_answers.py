"""The answers of Hugging Face's own Qwen2-Audio to the rating prompt, with the same weights, by its extractor and
`generate`: ours are compared with them, and timed beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from sqe_fast.answer.program import Draft
from sqe_fast.answer.scale import NUMBER_VALUES
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import SAMPLE_RATE, frame_count
from sqe_fast.checkpoint.config import audio_tokens

Wave = npt.NDArray[np.float32]
"""Samples at 16 kHz."""


def most_tokens(prompts: PromptBuilder, describe: bool) -> int:
    """Of an answer to the rating prompt."""
    program = prompts.rate(1, describe=describe)
    return Draft(program).longest - len(program.tokens)


def last_token(prompts: PromptBuilder, describe: bool) -> int:
    """What ends such an answer: the stop, or without prose the list's own end."""
    return prompts.stop if describe or prompts.stock is None else prompts.listing()[-1]


class HuggingFace:
    """Attention by sdpa; `compiled`: decode steps by torch.compile over a static cache, as `generate` offers it."""

    def __init__(
        self,
        folder: Path,
        prompts: PromptBuilder,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        compiled: bool = False,
    ) -> None:
        self._prompts, self._device, self._dtype = prompts, device, dtype
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        loaded = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
        self._model = loaded.to(device).eval()
        self._more = {"cache_implementation": "static"} if compiled else {}

    @torch.inference_mode()
    def first_ratings(self, clips: Sequence[Wave]) -> list[float]:
        """The expectation of the first rating over its 41 number tokens, one clip at a time."""
        values = torch.tensor(NUMBER_VALUES, dtype=torch.float64)
        return [float(self.chances(clip, (), self._prompts.number_ids) @ values) for clip in clips]

    @torch.inference_mode()
    def chances(self, clip: Wave, given: Sequence[int], candidates: Sequence[int]) -> Tensor:
        """Softmax over the candidates of what follows the rating prompt and `given`: [len(candidates)] float64."""
        logits = self._model(**self._inputs([clip], given)).logits[0, -1, list(candidates)]
        return logits.double().cpu().softmax(-1)

    @torch.inference_mode()
    def answers(self, clips: Sequence[Wave], *, describe: bool, given: Sequence[int] = ()) -> list[tuple[int, ...]]:
        """The greedy answer to each clip's rating prompt, after the tokens `given`: numbers, causes and, where asked,
        prose, up to what ends it. All clips are one batch."""
        inputs = self._inputs(clips, given)
        stop = last_token(self._prompts, describe)
        written = self._model.generate(
            **inputs,
            max_new_tokens=most_tokens(self._prompts, describe) - len(given),
            do_sample=False,
            eos_token_id=stop,
            pad_token_id=stop,
            **self._more,
        )
        rows = written[:, inputs["input_ids"].shape[1] :].tolist()
        return [tuple(row[: row.index(stop) + 1] if stop in row else row) for row in rows]

    def _inputs(self, clips: Sequence[Wave], given: Sequence[int]) -> dict[str, Tensor]:
        """Prompts padded on the left, clips to 30 s, as the model takes them."""
        features = self._extractor(
            list(clips), sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt"
        )
        prompts = [(*self._prompts.rate_prompt(audio_tokens(frame_count(len(clip)))), *given) for clip in clips]
        longest = max(map(len, prompts))
        ids = [[self._prompts.stop] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        told = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        inputs = {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.tensor(told),
            "input_features": features["input_features"].to(self._dtype),
            "feature_attention_mask": features["attention_mask"],
        }
        return {name: tensor.to(self._device) for name, tensor in inputs.items()}
