"""Qwen2-Audio as it is served: rows of tokens without padding, on operators chosen by name.

`qwen2_audio.Qwen2Audio` holds the weights and is the differentiable twin that training uses. This is the same model
as a sequence of operators (`kernels.operators`): clips lie end to end in the encoder, and prompts when they are
prefilled, each at its true length; a decode step takes one token of every slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sqe_fast.checkpoint.config import MEL_PER_POSITION, POSITIONS_PER_TOKEN, audio_tokens, positions
from sqe_fast.kernels.operators import Linear, Norm, Operators, Span
from sqe_fast.kernels.upload import upload
from sqe_fast.model.decoder import DecoderLayer, KVCache, rotary_frequencies
from sqe_fast.model.encoder import EncoderLayer, PackedClip, lay_out
from sqe_fast.model.int8 import Int8Linear
from sqe_fast.model.qwen2_audio import Qwen2Audio


class Prompt(NamedTuple):
    """A sequence's next tokens. The k-th audio token id among them takes the k-th row of `audio`, one clip's embeddings
    after the other."""

    tokens: Sequence[int]
    audio: Sequence[Tensor]
    slot: int
    past: int
    """Positions that the slot already holds."""


class PackedModel:
    """A model and its KV memory of `slots` × `max_length` positions, of the weights' dtype and on their device.

    Weights are the model's own, but for those of the two convolutions: they are copied, in the layout that the kernels
    read.
    """

    def __init__(self, model: Qwen2Audio, operators: Operators, *, slots: int, max_length: int) -> None:
        self.config = model.config
        self.operators = operators
        self._encoder, self._projector, self._decoder = model.encoder, model.projector, model.decoder
        self._conv1, self._conv2 = (_tap_major(conv) for conv in (model.encoder.conv1, model.encoder.conv2))
        like = model.decoder.head.weight
        self._device = like.device
        self.cache = KVCache.allocate(model.config.text, slots, max_length, like=like)
        steps = torch.arange(max_length, device=self._device)[:, None]
        angles = steps.float() * rotary_frequencies(model.config.text, self._device)
        self._cos, self._sin = angles.cos(), angles.sin()

    # --- encoder ---------------------------------------------------------------------------------------------------

    def encode(self, clips: Sequence[PackedClip]) -> list[Tensor]:
        """Clips of any lengths → audio embeddings [tokens, hidden] of each; the mels on the model's device."""
        lengths = [positions(frames) for _, frames in clips]
        x = self._convolve(clips, lengths)
        for layer in self._encoder.layers:
            x = self._encoder_layer(layer, x, lengths)  # type: ignore[arg-type]
        counts = [audio_tokens(frames) for _, frames in clips]
        starts = np.cumsum([0, *lengths[:-1]])
        pairs = [start + POSITIONS_PER_TOKEN * np.arange(count) for start, count in zip(starts, counts, strict=True)]
        norm, linear = _norm(self._encoder.norm), _linear(self._projector.linear)
        out = x.new_empty(sum(counts), self.config.text.hidden_size)
        first, rows = self._index(np.concatenate(pairs)), self._index(np.arange(len(out)))
        self.operators.pool_norm_linear(x, first, norm, linear, out, rows)
        if len(counts) == 1:
            return [out]
        return [part.clone() for part in torch.split(out, counts)]  # one that is kept keeps no other's memory

    def _convolve(self, clips: Sequence[PackedClip], lengths: Sequence[int]) -> Tensor:
        mels, valid, starts = lay_out(clips, self.config.audio.n_mels, self._conv1.weight)
        steps = [np.arange(length) for length in lengths]
        columns = [start + MEL_PER_POSITION * step for start, step in zip(starts, steps, strict=True)]
        return self.operators.conv_stem(
            mels.T.contiguous().T,  # channels next to each other, as in the weights
            self._upload(valid.numpy()),
            self._index(np.concatenate(columns)),
            self._index(np.concatenate(steps)),
            self._conv1,
            self._conv2,
            self._encoder.positions,
        )

    def _encoder_layer(self, layer: EncoderLayer, x: Tensor, lengths: Sequence[int]) -> Tensor:
        ops, linears = self.operators, [_linear(part) for part in (layer.q, layer.k, layer.v)]
        q, k, v = ops.norm_linear(x, _norm(layer.attention_norm), linears)
        attended = ops.packed_attention(q, k, v, layer.heads, lengths)
        x = ops.linear_residual(attended, _linear(layer.out), x)
        (hidden,) = ops.norm_linear(x, _norm(layer.mlp_norm), [_linear(layer.fc1)], gelu=True)
        return ops.linear_residual(hidden, _linear(layer.fc2), x)

    # --- decoder ---------------------------------------------------------------------------------------------------

    def prefill(self, prompts: Sequence[Prompt]) -> Tensor:
        """Append the next tokens of one or more sequences to their slots, which differ; the hidden state after the last
        of each, [prompts, H], before the final norm."""
        spans = [Span(prompt.slot, prompt.past, len(prompt.tokens)) for prompt in prompts]
        ids = np.concatenate([np.asarray(prompt.tokens) for prompt in prompts])
        x: Tensor = self._decoder.embed(self._upload(ids))
        audio = [clip for prompt in prompts for clip in prompt.audio]
        if audio:
            places = np.flatnonzero(ids == self.config.audio_token_id)
            x[self._upload(places)] = torch.cat(audio).to(x.dtype)
        ends = self._upload(np.cumsum([span.rows for span in spans]) - 1)
        last = len(self._decoder.layers) - 1
        for index, layer in enumerate(self._decoder.layers):
            q, k, v = self._qkv(layer, x)  # type: ignore[arg-type]
            keys, values = self.cache.keys[index], self.cache.values[index]
            attended = self.operators.prefill_attention(q, k, v, self._cos, self._sin, keys, values, spans)
            if index == last:  # nothing reads the other rows any more
                x, attended = x[ends], attended[ends]
            x = self._after_attention(layer, x, attended)  # type: ignore[arg-type]
        return x

    def decode(self, tokens: Tensor, past: Tensor, places: Tensor | None = None, turns: int = 1) -> Tensor:
        """One token of each of slots 0 … B−1: ids [B] int64 and positions held [B] int32, or IDLE, both on the model's
        device. Hidden states [B, H], before the final norm. Reads nothing on the host where the operators are
        CAPTURABLE: a CUDA graph can be made of it.

        Several `turns` come as rows [turns · B], the first tokens of all slots before the second ones; so do the
        results. Attention takes one turn after the other, and `places` [turns · B] int64 names the row of each: a slot
        that has no further token names its last one again, with its position, and writes again what is there.
        """
        x: Tensor = self._decoder.embed(tokens)
        for index, layer in enumerate(self._decoder.layers):
            q, k, v = self._qkv(layer, x)  # type: ignore[arg-type]
            if places is not None:
                q, k, v = q[places], k[places], v[places]
            keys, values = self.cache.keys[index], self.cache.values[index]
            attended = [
                self.operators.decode_attention(*qkv, self._cos, self._sin, keys, values, held)
                for qkv, held in zip(_turns(turns, q, k, v), past.chunk(turns), strict=True)
            ]
            x = self._after_attention(layer, x, attended[0] if turns == 1 else torch.cat(attended))  # type: ignore[arg-type]
        return x

    def _qkv(self, layer: DecoderLayer, x: Tensor) -> tuple[Tensor, ...]:
        linears = [_linear(part) for part in (layer.q, layer.k, layer.v)]
        return self.operators.norm_linear(x, _norm(layer.attention_norm), linears)

    def _after_attention(self, layer: DecoderLayer, x: Tensor, attended: Tensor) -> Tensor:
        x = self.operators.linear_residual(attended, _linear(layer.o), x)
        hidden = self.operators.norm_swiglu(x, _norm(layer.mlp_norm), _linear(layer.gate), _linear(layer.up))
        return self.operators.linear_residual(hidden, _linear(layer.down), x)

    # --- head ------------------------------------------------------------------------------------------------------

    def logits(self, x: Tensor) -> Tensor:
        """Hidden states [B, H] before the final norm → [B, vocabulary]"""
        return self.operators.norm_linear(x, _norm(self._decoder.norm), [_linear(self._decoder.head)])[0]

    def read_out(self, x: Tensor, candidates: Tensor) -> Tensor:
        """Hidden states [B, H] before the final norm → probabilities [B, C] of candidates [B, C] int32 (−1: none).
        Of the head only their rows are read."""
        return self.operators.read_out(x, _norm(self._decoder.norm), self._decoder.head.weight, candidates)

    def _index(self, array: np.ndarray) -> Tensor:
        return self._upload(array.astype(np.int32))

    def _upload(self, array: np.ndarray) -> Tensor:
        return upload(torch.from_numpy(array), self._device)


def _turns(turns: int, q: Tensor, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The rows of each turn."""
    return zip(q.chunk(turns), k.chunk(turns), v.chunk(turns), strict=True)


def _norm(module: nn.LayerNorm | nn.RMSNorm) -> Norm:
    assert module.eps is not None
    return Norm(module.weight, module.bias if isinstance(module, nn.LayerNorm) else None, module.eps)


def _linear(module: nn.Linear | Int8Linear) -> Linear:
    return Linear(module.weight, module.bias, module.scale if isinstance(module, Int8Linear) else None)


def _tap_major(conv: nn.Conv1d) -> Linear:
    """With its weight [out, in, 3] laid out in memory as [out, 3, in], so that a kernel reads rows of `in`."""
    return Linear(conv.weight.detach().permute(0, 2, 1).contiguous().permute(0, 2, 1), conv.bias)
