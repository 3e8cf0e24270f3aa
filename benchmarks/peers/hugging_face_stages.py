"""The peer of each stage: Hugging Face's Qwen2-Audio on the same weights, attention by sdpa, eager and compiled.

Clips are padded to the longest that the model takes, as its encoder demands; keys are read up to what is held, from a
static cache that is no longer than that. So the peer does no work that it need not do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, StaticCache
from transformers.masking_utils import create_bidirectional_mask

from benchmarks.gpu.rows import Machine
from sqe_fast.checkpoint.config import audio_tokens, positions
from sqe_fast.model import weights
from sqe_fast.model.qwen2_audio import Qwen2Audio
from tests.support.workloads import Stages


def same_model(model: Qwen2Audio) -> Qwen2AudioForConditionalGeneration:
    """Hugging Face's, with the same weights, precision and device; by no file, which would be 17 GB of a 7B."""
    head, state = model.decoder.head.weight, model.state_dict()
    made = Qwen2AudioForConditionalGeneration.from_pretrained(
        None,
        config=Qwen2AudioConfig.from_dict(model.config.to_dict(str(head.dtype).removeprefix("torch."))),
        state_dict={theirs: state[ours] for theirs, ours in weights.table(model.config).items()},
        dtype=head.dtype,
        attn_implementation="sdpa",
    )
    return made.to(head.device).eval()


class HuggingFaceStages:
    def __init__(self, model: Qwen2Audio, stages: Stages, machine: Machine) -> None:
        whole = same_model(model)
        self._tower, self._projector = whole.model.audio_tower, whole.model.multi_modal_projector
        self._decoder, self._head = whole.model.language_model, whole.lm_head
        self._stages, self._machine = stages, machine
        audio = stages.load.config.audio
        frames = [frames for _, frames in stages.clips]
        self._tokens = [audio_tokens(count) for count in frames]
        self._features = torch.zeros(
            len(frames), audio.n_mels, audio.max_frames, device=machine.device, dtype=machine.dtype
        )
        for row, (mel, _) in zip(self._features, stages.clips, strict=True):
            row[:, : mel.shape[1]] = mel
        reach = torch.tensor([positions(count) for count in frames], device=machine.device)
        heard = torch.arange(audio.max_positions, device=machine.device) < reach[:, None]
        shaped = torch.zeros(*heard.shape, 1, device=machine.device, dtype=machine.dtype)
        self._mask = create_bidirectional_mask(
            config=self._tower.config, inputs_embeds=shaped, attention_mask=heard.long()
        )

    def compile(self) -> None:
        self._tower = torch.compile(self._tower, dynamic=False)
        self._decoder = torch.compile(self._decoder, dynamic=False)

    def encode(self) -> Tensor:
        """[tokens of all clips, hidden]"""
        found = self._projector(self._tower(self._features, attention_mask=self._mask).last_hidden_state)
        return torch.cat([clip[:count] for clip, count in zip(found, self._tokens, strict=True)])

    def prefill(self, count: int) -> Callable[[], Tensor]:
        """Logits after the prompt in so many slots, [count, vocabulary]; the prefix is in the cache."""
        load, slot = self._stages.load, self._stages.slot
        ids = torch.tensor([self._stages.prompt] * count, device=self._machine.device)
        places = ids[0] == load.config.audio_token_id
        run = self._forward(slice(slot, slot + count), load.prefix, load.prompt)

        def prefilled() -> Tensor:
            embeds = self._embed(ids)
            embeds[:, places] = self._stages.audio
            return run(embeds)

        return prefilled

    def decode(self, rows: int) -> Callable[[], Tensor]:
        """Logits after one more token of each row, [rows, vocabulary]."""
        tokens, _ = self._stages.step(rows)
        run = self._forward(slice(rows), self._stages.load.held, 1)
        return lambda: run(self._embed(tokens[:, None]))

    def _embed(self, ids: Tensor) -> Tensor:
        embeds: Tensor = self._decoder.get_input_embeddings()(ids)
        return embeds

    def _forward(self, slots: slice, held: int, steps: int) -> Callable[[Tensor], Tensor]:
        """Logits of the last position, behind what these slots of `stages` hold now."""
        cache = StaticCache(config=self._decoder.config, max_cache_len=held + steps)
        memory = self._stages.packed.cache
        for index, layer in enumerate(cache.layers):
            layer.update(*(part[index, slots, :, :held] for part in (memory.keys, memory.values)))

        def forward(embeds: Tensor) -> Tensor:
            for layer in cache.layers:
                layer.cumulative_length.fill_(held)
            hidden = self._decoder(inputs_embeds=embeds, past_key_values=cache, use_cache=True).last_hidden_state
            logits: Tensor = self._head(hidden[:, -1])
            return logits

        return forward
