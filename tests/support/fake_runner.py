"""A runner whose model is arithmetic on the whole history of a slot: any mix-up of slots, positions or audio shows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

import numpy as np

from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.engine.sequence import AudioInput
from sqe_fast.runners.base import TOP_K, Embedding, FloatArray, Row, RunnerInfo, StepOutput

VOCAB, HIDDEN, AUDIO_TOKEN = 100, 4, 99

History = tuple[float, ...]
"""What a slot holds: token ids, and for an audio token minus the first number of its embedding."""
Script = Callable[[History], tuple[int, ...]]
"""The tokens that the model wants to say after a history, the best first and the next ones close; () leaves it to the
arithmetic."""


def seed_of(history: History) -> int:
    return int.from_bytes(hashlib.sha256(np.array(history).tobytes()).digest()[:4], "little")


@dataclass
class FakeRunner:
    """Checks the protocol's promises at each call, and keeps what was asked."""

    slots: int = 4
    max_length: int = 64
    script: Script = lambda history: ()
    vocab: int = VOCAB
    audio_token: int = AUDIO_TOKEN
    encode_frames: int = 1
    before_encoding: Callable[[], None] = lambda: None
    """Called first in `encode`: a test may hold the engine here until all that it wants together has come."""
    encoded: list[list[float]] = field(default_factory=list)
    prefilled: list[Row] = field(default_factory=list)
    decoded: list[list[Row]] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory: list[list[float]] = [[] for _ in range(self.slots)]

    @property
    def info(self) -> RunnerInfo:
        return RunnerInfo(
            "fake",
            HIDDEN,
            self.vocab,
            self.audio_token,
            80,
            3000,
            self.slots,
            self.max_length,
            kv_bytes_per_token=10,
            dtype="float32",
            encode_frames=self.encode_frames,
        )

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        """The clip's mean tells it from the others; every position differs."""
        self.before_encoding()
        self.encoded.append([float(log_mel.mean()) for log_mel, _ in clips])
        return [self._embedding(*clip) for clip in clips]

    def _embedding(self, log_mel: FloatArray, frames: int) -> FloatArray:
        positions = np.arange(audio_tokens(frames), dtype=np.float32)
        return np.stack([positions * 1e-3 + log_mel.mean() + 1] * HIDDEN, 1).astype(np.float32)

    def prefill(self, row: Row, audio: Sequence[Embedding]) -> StepOutput:
        self.prefilled.append(row)
        embeddings = chain.from_iterable(cast(Sequence[FloatArray], audio))
        fed = [-float(next(embeddings)[0]) if token == self.audio_token else float(token) for token in row.tokens]
        assert next(embeddings, None) is None, "embeddings were left over"
        return self._step([row], [fed])

    def decode(self, rows: Sequence[Row]) -> StepOutput:
        self.decoded.append(list(rows))
        assert [row.slot for row in rows] == list(range(len(rows))), "rows must fill slots 0, 1, … in order"
        assert all(len(row.tokens) == 1 for row in rows)
        return self._step(rows, [[float(token) for token in row.tokens] for row in rows])

    def move(self, source: int, destination: int, length: int) -> None:
        self.moves.append((source, destination, length))
        self.memory[destination] = self.memory[source][:length]

    def _step(self, rows: Sequence[Row], fed: list[list[float]]) -> StepOutput:
        histories: list[History] = []
        for row, values in zip(rows, fed, strict=True):
            assert 0 <= row.past <= len(self.memory[row.slot]), "a position was skipped"
            assert row.past + len(values) <= self.max_length
            self.memory[row.slot] = self.memory[row.slot][: row.past] + values
            histories.append(tuple(self.memory[row.slot]))
        logits = np.stack([self.logits(history) for history in histories])
        logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        best = np.argsort(-logits, axis=1, kind="stable")[:, :TOP_K]
        return StepOutput(
            best.astype(np.int64),
            np.take_along_axis(logprobs, best, 1).astype(np.float32),
            tuple(_softmax(logits[i][list(row.candidates)]) for i, row in enumerate(rows)),
        )

    def logits(self, history: History) -> FloatArray:
        values = np.random.default_rng(seed_of(history)).normal(size=self.vocab)
        for rank, token in enumerate(self.script(history)):
            values[token] = 40.0 - 0.1 * rank
        return values.astype(np.float32)


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max()) if len(logits) else logits
    return (weights / weights.sum()).astype(np.float32) if len(logits) else weights


def clip(value: float, frames: int = 12) -> AudioInput:
    """A clip whose embedding tells `value`; 12 frames are 3 audio tokens."""
    return AudioInput(f"clip {value}", LogMel(np.full((80, frames + 2), value, np.float32), frames))
