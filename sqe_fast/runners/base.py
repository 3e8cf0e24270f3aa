"""The Runner protocol: the three things an engine asks of a model, whatever runs it.

A runner owns the weights and the KV memory (`slots` rows of `max_length` positions). It knows nothing of requests,
prompts or ratings. It returns the few best tokens and the probabilities of named candidates, never full logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig

TOP_K = 8
"""How many best tokens a step reports: enough for greedy decoding and for one resampled retry."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunnerInfo:
    """What the engine must know of the model behind a runner."""

    name: str
    """Which implementation runs, e.g. "onnx-cpu" or "torch-cpu"; named in every report."""
    hidden_size: int
    vocab_size: int
    audio_token_id: int
    n_mels: int
    max_audio_frames: int
    """Longest log-mel the encoder takes, in 10 ms frames (3,000 = 30 s)."""
    slots: int
    max_length: int
    """Positions of KV memory per slot."""
    kv_bytes_per_token: int
    dtype: str
    """In which it computes, e.g. "float32"."""
    encode_frames: int
    """Log-mel frames that one call of `encode` should be given, if as many wait; 1: one clip at a time."""


class Embedding(Protocol):
    """A clip's audio embeddings, wherever its runner keeps them: an array, or a tensor on a GPU."""

    @property
    def shape(self) -> Any:
        """(audio tokens, hidden size)"""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Row:
    """One sequence's share of a step: it reads the distribution after its last token.

    `candidates` may be empty; else the step reports softmax(logits[candidates]), that is, renormalised over them.
    """

    slot: int
    past: int
    """Positions already in this slot's KV memory."""
    tokens: tuple[int, ...]
    candidates: tuple[int, ...] = ()


@dataclass(frozen=True)
class StepOutput:
    """Row by row, in the order given."""

    top_tokens: IntArray  # [rows, TOP_K], best first
    top_logprobs: FloatArray  # [rows, TOP_K], natural log, over the full vocabulary
    probabilities: tuple[FloatArray, ...]  # rows of [len(candidates)]


class Runner(Protocol):
    @property
    def info(self) -> RunnerInfo: ...

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        """(log-mel [n_mels, frames + extra context], frames) of each clip → its audio embeddings
        [audio_tokens(frames), hidden_size], which do not depend on the other clips.

        `frames` is L = ceil(samples / 160); the columns beyond it are the zero-padded waveform's frames that the
        convolutions of the last valid output frame reach.
        """

    def prefill(self, row: Row, audio: Sequence[Embedding]) -> StepOutput:
        """Fill `row.slot` from position `row.past` with all of `row.tokens`; one sequence at its true length.

        The k-th audio token id in `row.tokens` takes the k-th row of `audio`: what `encode` returned of each clip, one
        after the other.
        """

    def decode(self, rows: Sequence[Row]) -> StepOutput:
        """One token for each row. Rows occupy slots 0 … len(rows)−1, in that order, each with one token."""

    def move(self, source: int, destination: int, length: int) -> None:
        """Copy the first `length` positions of KV memory from one slot to another."""


DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def kv_bytes_per_token(config: TextConfig, dtype: str) -> int:
    """Keys and values of one position in all layers."""
    return 2 * config.layers * config.kv_heads * config.head_dim * DTYPE_BYTES[dtype]


def runner_info(
    name: str,
    config: Qwen2AudioConfig,
    slots: int,
    max_length: int,
    *,
    dtype: str = "float32",
    encode_frames: int = 1,
) -> RunnerInfo:
    """`max_length` is cut to the positions that the model was made for."""
    text = config.text
    return RunnerInfo(
        name=name,
        hidden_size=text.hidden_size,
        vocab_size=text.vocab_size,
        audio_token_id=config.audio_token_id,
        n_mels=config.audio.n_mels,
        max_audio_frames=config.audio.max_frames,
        slots=slots,
        max_length=min(max_length, text.max_positions),
        kv_bytes_per_token=kv_bytes_per_token(text, dtype),
        dtype=dtype,
        encode_frames=encode_frames,
    )


def check_mel(config: AudioConfig, log_mel: FloatArray, frames: int) -> None:
    expected = config.mel_shape(frames)
    if log_mel.shape != expected:
        raise ValueError(f"a log-mel of {frames} frames must be {list(expected)}, not {list(log_mel.shape)}")


def check_prefill(info: RunnerInfo, row: Row, audio: Sequence[Embedding]) -> None:
    _check_row(info, row)
    for clip in audio:
        if len(clip.shape) != 2 or clip.shape[1] != info.hidden_size:
            raise ValueError(f"audio embeddings must be [n, {info.hidden_size}], not {list(clip.shape)}")
    wanted, given = row.tokens.count(info.audio_token_id), sum(clip.shape[0] for clip in audio)
    if wanted != given:
        raise ValueError(f"{wanted} audio tokens, but {given} audio embeddings")


def check_decode(info: RunnerInfo, rows: Sequence[Row]) -> None:
    if not rows:
        raise ValueError("a decode step needs at least one row")
    for index, row in enumerate(rows):
        _check_row(info, row)
        if row.slot != index:
            raise ValueError(f"decode rows must occupy slots 0, 1, …; row {index} is in slot {row.slot}")
        if len(row.tokens) != 1 or row.past < 1:
            raise ValueError(f"row {index} must add one token to a prefilled slot")
        if row.tokens[0] == info.audio_token_id:
            raise ValueError(f"row {index} decodes the audio token, which needs an embedding: prefill it")


def check_move(info: RunnerInfo, source: int, destination: int, length: int) -> None:
    for slot in (source, destination):
        _check_slot(info, slot)
    if not 0 <= length <= info.max_length:
        raise ValueError(f"cannot move {length} of {info.max_length} positions")


def _check_row(info: RunnerInfo, row: Row) -> None:
    _check_slot(info, row.slot)
    if not row.tokens or row.past < 0:
        raise ValueError("a step needs at least one token and a past of at least 0")
    if row.past + len(row.tokens) > info.max_length:
        raise ValueError(f"{row.past} + {len(row.tokens)} positions do not fit the slot's {info.max_length}")
    for ids in (row.tokens, row.candidates):
        if ids and not 0 <= min(ids) <= max(ids) < info.vocab_size:
            raise ValueError(f"token ids must be 0 to {info.vocab_size - 1}")


def _check_slot(info: RunnerInfo, slot: int) -> None:
    if not 0 <= slot < info.slots:
        raise ValueError(f"slot {slot} is none of the {info.slots}")
