"""A runner whose model is arithmetic on the whole history of a slot: any mix-up of slots, positions or audio shows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import cast

import numpy as np

from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.engine.sequence import AudioInput
from sqe_fast.runners.base import (
    VERIFIED,
    Answer,
    Ask,
    Candidates,
    Embedding,
    FloatArray,
    RunnerInfo,
    SlotStep,
    Top,
    TopTokens,
    Verify,
    check_prefill,
)

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
    prefill_tokens: int = 1
    before_encoding: Callable[[], None] = lambda: None
    """Called first in `encode`: a test may hold the engine here until all that it wants together has come."""
    encoded: list[list[float]] = field(default_factory=list)
    prefilled: list[SlotStep] = field(default_factory=list)
    prefills: list[int] = field(default_factory=list)
    """Sequences of each call."""
    decoded: list[list[SlotStep]] = field(default_factory=list)
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
            self.slots,
            self.max_length,
            kv_bytes_per_token=10,
            dtype="float32",
            int8=False,
            encode_frames=self.encode_frames,
            prefill_tokens=self.prefill_tokens,
        )

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        """The clip's mean tells it from the others; every position differs."""
        self.before_encoding()
        self.encoded.append([float(log_mel.mean()) for log_mel, _ in clips])
        return [self._embedding(*clip) for clip in clips]

    def _embedding(self, log_mel: FloatArray, frames: int) -> FloatArray:
        positions = np.arange(audio_tokens(frames), dtype=np.float32)
        return np.stack([positions * 1e-3 + log_mel.mean() + 1] * HIDDEN, 1).astype(np.float32)

    def prefill(self, steps: Sequence[SlotStep], audio: Sequence[Sequence[Embedding]]) -> list[Answer]:
        check_prefill(self.info, steps, audio)
        self.prefills.append(len(steps))
        return [self._prefilled(*each) for each in zip(steps, audio, strict=True)]

    def _prefilled(self, step: SlotStep, audio: Sequence[Embedding]) -> Answer:
        self.prefilled.append(step)
        embeddings = chain.from_iterable(cast(Sequence[FloatArray], audio))
        fed = [-float(next(embeddings)[0]) if token == self.audio_token else float(token) for token in step.tokens]
        return self._take(step, fed)

    def decode(self, steps: Sequence[SlotStep]) -> list[Answer]:
        self.decoded.append(list(steps))
        assert [step.slot for step in steps] == list(range(len(steps))), "steps must fill slots 0, 1, … in order"
        assert all(1 <= len(step.fed) <= VERIFIED for step in steps)
        return [self._decoded(step) for step in steps]

    def _decoded(self, step: SlotStep) -> Answer:
        if not isinstance(step.asks, Verify):
            return self._take(step, [float(token) for token in step.tokens])
        asks, answers = Top(step.asks.count), list[TopTokens]()
        for number in range(len(step.asks.drafts) + 1):
            fed = [float(token) for token in step.fed[: len(step.tokens) + number]]
            answers.append(cast(TopTokens, self._take(replace(step, asks=asks), fed)))
        return answers

    def move(self, source: int, destination: int, length: int) -> None:
        self.moves.append((source, destination, length))
        self.memory[destination] = self.memory[source][:length]

    def _take(self, step: SlotStep, fed: list[float]) -> Answer:
        assert 0 <= step.past <= len(self.memory[step.slot]), "a position was skipped"
        assert step.past + len(fed) <= self.max_length
        self.memory[step.slot] = self.memory[step.slot][: step.past] + fed
        return _answer(step.asks, self.logits(tuple(self.memory[step.slot])))

    def logits(self, history: History) -> FloatArray:
        values = np.random.default_rng(seed_of(history)).normal(size=self.vocab)
        for rank, token in enumerate(self.script(history)):
            values[token] = 40.0 - 0.1 * rank
        return values.astype(np.float32)


def _answer(asks: Ask, logits: FloatArray) -> Answer:
    if asks is None:
        return None
    if isinstance(asks, Candidates):
        return np.exp(_log_softmax(logits[list(asks.tokens)]))
    best = np.argsort(-logits, kind="stable")[: asks.count]
    return TopTokens(best.astype(np.int64), _log_softmax(logits)[best])


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits - logits.max()
    out: FloatArray = (shifted - np.log(np.exp(shifted).sum())).astype(np.float32)
    return out


def clip(value: float, frames: int = 12) -> AudioInput:
    """A clip whose embedding tells `value`; 12 frames are 3 audio tokens."""
    return AudioInput(f"clip {value}", LogMel(np.full((80, frames + 2), value, np.float32), frames))
