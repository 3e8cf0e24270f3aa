"""Sequences that grow together on one KV cache: prompts go in at once, then one token for each that goes on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sqe_fast.model.decoder import CacheRows, KVCache
from sqe_fast.model.qwen2_audio import Qwen2Audio


class Growing:
    """Prefills `prompts`, whose audio slots take `audio` in order; `room` is for so many further tokens of each."""

    def __init__(self, model: Qwen2Audio, prompts: Sequence[Sequence[int]], audio: Sequence[Tensor], room: int) -> None:
        self._model = model
        self._past = [len(prompt) for prompt in prompts]
        longest, like = max(self._past), model.decoder.head.weight
        padded = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=like.device)
        self._cache = KVCache.allocate(model.config.text, len(prompts), longest + room, like=like)
        rows = range(len(prompts))
        hidden = model(padded, audio, CacheRows(self._cache, rows, [0] * len(prompts)))
        self.first: Tensor = hidden[rows, [n - 1 for n in self._past]]
        """Hidden states after each prompt, [B, H]."""

    def step(self, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Appends a token to each of `rows`; hidden states after them, [rows, H]."""
        places = CacheRows(self._cache, rows, [self._past[row] for row in rows])
        fed = torch.tensor(tokens, device=self.first.device)[:, None]
        hidden: Tensor = self._model(fed, (), places)
        for row in rows:
            self._past[row] += 1
        return hidden[:, -1]
