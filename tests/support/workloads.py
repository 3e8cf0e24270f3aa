"""What GPU benchmarks and compiled kernels are about: sizes of Qwen2-Audio-7B, and a call centre's utterances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig, audio_tokens
from sqe_fast.kernels.operators import Operators
from sqe_fast.model.encoder import PackedClip
from sqe_fast.model.int8 import quantise
from sqe_fast.model.packed import PackedModel, Prompt
from sqe_fast.model.qwen2_audio import Qwen2Audio
from tests.support.shapes import AUDIO_VOCABULARY

FRAMES_PER_SECOND = 100
AUDIO_TOKEN = 7


def utterances(count: int, shortest: float = 2.0, longest: float = 12.0) -> tuple[int, ...]:
    """Mel frames of clips, evenly spread from the shortest to the longest (seconds), in mixed order."""
    seconds = np.linspace(shortest, longest, count)
    order = np.random.default_rng(0).permutation(count)
    return tuple(int(frames) for frames in (seconds[order] * FRAMES_PER_SECOND).round())


@dataclass(frozen=True)
class Workload:
    config: Qwen2AudioConfig
    frames: tuple[int, ...]
    """Of the clips that are encoded together."""
    prompt: int = 300
    """Tokens prefilled at once, the first clip's among them, behind a shared prefix of `prefix`."""
    prefix: int = 37
    prompts: tuple[int, ...] = (1, 8)
    """Sequences that are prefilled together."""
    rows: tuple[int, ...] = (8, 32)
    """Sequences that decode together."""
    held: int = 420
    """Positions that each holds by then."""
    max_length: int = 2048
    candidates: int = 41
    """Ratings 1.0 to 5.0 in steps of 0.1."""
    int8: bool = False
    """The decoder's weights in 8 bits."""


SEVEN_B = Qwen2AudioConfig(
    audio=AudioConfig(layers=1),
    text=TextConfig(vocab_size=AUDIO_VOCABULARY, layers=2, feed_forward=11_008, max_positions=8_192),
    audio_token_id=AUDIO_TOKEN,
)
"""Two layers of the decoder and one of the encoder: the others are like them.
(In the decoder's last, only one row of a prompt goes on.)"""
UTTERANCES = Workload(SEVEN_B, utterances(9))
"""About 3,100 positions of 20 ms."""
BATCH = replace(UTTERANCES, frames=utterances(32))
"""About 11,200 positions: 3.7 minutes of speech."""
IN_INT8 = replace(UTTERANCES, int8=True)
GROUPED = replace(UTTERANCES, config=replace(SEVEN_B, text=replace(SEVEN_B.text, heads=28, kv_heads=4)))
"""Seven heads share a KV head, as in Qwen2-7B and later."""
DRY = Workload(
    Qwen2AudioConfig(
        audio=AudioConfig(n_mels=16, width=64, layers=1, heads=2, feed_forward=128, max_positions=100),
        text=TextConfig(
            vocab_size=300,
            hidden_size=64,
            layers=2,
            heads=4,
            kv_heads=2,
            head_dim=32,
            feed_forward=128,
            max_positions=128,
        ),
        audio_token_id=AUDIO_TOKEN,
    ),
    frames=(61, 34),
    prompt=25,
    prefix=3,
    prompts=(1, 2),
    rows=(3,),
    held=30,
    max_length=64,
    candidates=5,
)
"""For Triton's interpreter: shows that it runs, not how fast."""


def random_model(config: Qwen2AudioConfig, dtype: torch.dtype, device: torch.device) -> Qwen2Audio:
    torch.manual_seed(0)
    with device:
        return Qwen2Audio(config).to(dtype).eval()


class Stages:
    """A model with random weights, and the same inputs for each of its stages, whatever the operators and dtype."""

    def __init__(self, load: Workload, model: Qwen2Audio, operators: Operators) -> None:
        most, hidden = max(load.rows), load.config.text.hidden_size
        if load.int8:
            quantise(model.decoder)
        self.load = load
        slots = most + max(load.prompts)
        self.packed = PackedModel(model, operators, slots=slots, max_length=load.max_length)
        self.slot = most  # of the first prompt: what those before hold stays
        like = model.decoder.head.weight
        self._device, self._dtype = like.device, like.dtype
        torch.manual_seed(1)
        self.clips: list[PackedClip] = [
            (self._normal(*load.config.audio.mel_shape(frames)), frames) for frames in load.frames
        ]
        heard = min(audio_tokens(load.frames[0]), load.prompt // 2)
        said = np.random.default_rng(1).integers(AUDIO_TOKEN + 1, load.config.text.vocab_size, load.prompt - heard)
        self.prompt = [AUDIO_TOKEN] * heard + [int(token) for token in said]
        self.audio = self._normal(heard, hidden)
        self.hidden = self._normal(most, hidden)
        for memory in (self.packed.cache.keys, self.packed.cache.values):
            for layer in memory:  # what slots hold before; one by one, to spare the GPU's memory
                layer.copy_(self._normal(*layer.shape))

    def _normal(self, *shape: int) -> Tensor:
        """Rounded to bfloat16 first: every dtype sees the same values."""
        return torch.randn(*shape, device=self._device).to(torch.bfloat16).to(self._dtype)

    def encode(self) -> Tensor:
        return torch.cat(self.packed.encode(self.clips))

    def prefill(self, count: int = 1) -> Tensor:
        """The same prompt in so many slots."""
        slots = range(self.slot, self.slot + count)
        return self.packed.prefill([Prompt(self.prompt, [self.audio], slot, past=self.load.prefix) for slot in slots])

    def step(self, rows: int) -> tuple[Tensor, Tensor]:
        """Tokens of a decode step, and positions that their slots hold."""
        tokens = torch.arange(rows, device=self._device) + AUDIO_TOKEN + 1
        return tokens, torch.full((rows,), self.load.held, device=self._device, dtype=torch.int32)

    def decode(self, rows: int) -> Tensor:
        return self.packed.decode(*self.step(rows))

    def logits(self, rows: int) -> Tensor:
        return self.packed.logits(self.hidden[:rows])

    def read_out(self, rows: int) -> Tensor:
        shape = rows, self.load.candidates
        named = torch.arange(100, 100 + shape[1], dtype=torch.int32, device=self._device).expand(shape).contiguous()
        return self.packed.read_out(self.hidden[:rows], named)
