"""The peer: Hugging Face's own Qwen2-Audio with the same weights, extractor and `generate`, one clip at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from sqe_fast.answer.program import MAX_DESCRIPTION_TOKENS
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import SAMPLE_RATE, frame_count
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.results import RATINGS


class HuggingFace:
    def __init__(self, folder: Path, prompts: PromptBuilder) -> None:
        self._prompts = prompts
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        self._model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(self, samples: np.ndarray, *, describe: bool, given: Sequence[int] = ()) -> tuple[int, ...]:
        """The greedy answer to the rating prompt, after the tokens `given`: numbers and, where asked, prose."""
        features = self._extractor(samples, sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt")
        prompt = (*self._prompts.rate_prompt(audio_tokens(frame_count(len(samples)))), *given)
        written = self._model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            input_features=features["input_features"],
            feature_attention_mask=features["attention_mask"],
            max_new_tokens=len(RATINGS) + (1 + MAX_DESCRIPTION_TOKENS if describe else 0) - len(given),
            do_sample=False,
            eos_token_id=self._prompts.stop,
            pad_token_id=self._prompts.stop,
        )
        return tuple(written[0, len(prompt) :].tolist())
