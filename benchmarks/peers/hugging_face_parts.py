"""Hugging Face's Qwen2-Audio on a CPU, part by part, on a checkpoint's own weights: encoder, prefill, one decode step.

`compiled` is torch.compile. Its encoder takes clips padded to 30 s, as it demands; its decoder's cache holds no more
than there is, so that the peer does no work that it need not do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen2AudioForConditionalGeneration, StaticCache
from transformers.masking_utils import create_bidirectional_mask

from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import Qwen2AudioConfig, audio_tokens, positions


class HuggingFaceParts:
    def __init__(self, folder: Path, *, compiled: bool = False) -> None:
        loaded = Qwen2AudioForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        ).eval()
        self._frames = Qwen2AudioConfig.from_folder(folder).audio.max_frames
        self._tower, self._projector = loaded.model.audio_tower, loaded.model.multi_modal_projector
        self._decoder, self._head = loaded.model.language_model, loaded.lm_head
        if compiled:
            self._tower = torch.compile(self._tower, dynamic=False)
            self._decoder = torch.compile(self._decoder, dynamic=False)

    @torch.inference_mode()
    def encode(self, log_mel: LogMel) -> Tensor:
        """[audio tokens, hidden]; what lies beyond the clip is not looked at."""
        padded = torch.zeros(1, log_mel.data.shape[0], self._frames)
        padded[0, :, : log_mel.data.shape[1]] = torch.from_numpy(log_mel.data)
        heard = torch.arange(positions(self._frames))[None] < positions(log_mel.frames)
        mask = create_bidirectional_mask(
            config=self._tower.config, inputs_embeds=torch.zeros(*heard.shape, 1), attention_mask=heard.long()
        )
        hidden = self._tower(padded, attention_mask=mask).last_hidden_state
        found: Tensor = self._projector(hidden)[0, : audio_tokens(log_mel.frames)]
        return found

    def prefill(self, tokens: Sequence[int]) -> Callable[[], Tensor]:
        """Logits after a prompt of text, [1, vocabulary]."""
        return self._step(torch.tensor([list(tokens)]), 0)

    def decode(self, tokens: Sequence[int], held: int) -> Callable[[], Tensor]:
        """Logits after one more token of each row, behind `held` positions, [rows, vocabulary]."""
        return self._step(torch.tensor(tokens)[:, None], held)

    def _step(self, ids: Tensor, held: int) -> Callable[[], Tensor]:
        rows, steps = ids.shape
        cache = StaticCache(config=self._decoder.config, max_cache_len=held + steps)
        if held:
            zeros = torch.zeros(rows, held, dtype=torch.int64)
            with torch.inference_mode():
                self._decoder(input_ids=zeros, past_key_values=cache, use_cache=True)

        @torch.inference_mode()
        def run() -> Tensor:
            for layer in cache.layers:
                if hasattr(layer, "cumulative_length"):
                    layer.cumulative_length.fill_(held)
            positions = torch.arange(held, held + steps)
            hidden = self._decoder(
                input_ids=ids, past_key_values=cache, use_cache=True, position_ids=positions[None]
            ).last_hidden_state
            logits: Tensor = self._head(hidden[:, -1])
            return logits

        return run
