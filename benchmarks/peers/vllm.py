"""vLLM's own engine on the rating prompt. Written after its documentation; nobody has run it yet."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import SAMPLE_RATE
from tests.support.hugging_face_answers import Wave, last_token, most_tokens


class Vllm:
    """Prompts hold one audio token, which it makes as many of as the clip has."""

    def __init__(self, folder: Path, prompts: PromptBuilder, dtype: torch.dtype, *, slots: int) -> None:
        from vllm import LLM

        self._prompts = prompts
        # Ours stays on the card beside it, with its weights and memory.
        self._engine = LLM(
            model=str(folder),
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=2048,
            max_num_seqs=slots,
            gpu_memory_utilization=0.4,
            limit_mm_per_prompt={"audio": 1},
            enable_prefix_caching=False,
        )

    def answers(self, clips: Sequence[Wave], *, describe: bool) -> list[tuple[int, ...]]:
        """The greedy answer to each clip's rating prompt."""
        from vllm import SamplingParams

        prompt = list(self._prompts.rate_prompt(1))
        most, last = most_tokens(self._prompts, describe), last_token(self._prompts, describe)
        sampling = SamplingParams(temperature=0.0, max_tokens=most, stop_token_ids=[last])
        inputs = [{"prompt_token_ids": prompt, "multi_modal_data": {"audio": [(clip, SAMPLE_RATE)]}} for clip in clips]
        return [tuple(each.outputs[0].token_ids) for each in self._engine.generate(inputs, sampling, use_tqdm=False)]


def has_vllm() -> bool:
    return importlib.util.find_spec("vllm") is not None
