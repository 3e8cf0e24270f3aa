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
