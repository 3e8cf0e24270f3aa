"""The Runner protocol: what an engine asks of a model, whatever runs it: encode, prefill, decode and move.

A runner owns the weights and the KV memory (`slots` of `max_length` positions). It knows nothing of requests, prompts
or ratings. Of the distribution after a sequence's last token it computes what the engine asks: the probabilities of
named candidates, the best tokens, or nothing; never full logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig

VERIFIED = 6
"""Most tokens of a slot in one decode pass: those that are known, and drafts behind them. More of them would raise what
is accepted by little, and each costs a turn of attention."""

CPU_SLOTS = 9
"""Eight for a batch, and the one that the engine keeps for alerts."""

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
    slots: int
    max_length: int
    """Positions of KV memory per slot."""
    kv_bytes_per_token: int
    dtype: str
    """In which it computes, e.g. "float32"."""
    int8: bool
    """Whether it holds the decoder's weights in 8 bits."""
    encode_frames: int
    """Log-mel frames that one call of `encode` should be given, if as many wait; 1: one clip at a time."""
    prefill_tokens: int
    """Tokens that one call of `prefill` should be given, if as many wait; 1: one sequence at a time."""
    verified: int = VERIFIED
    """Most tokens of a slot in one decode pass."""
    verified_after: int = 0
    """Tokens of prose that are to be written before a pass is given several: what passes save may have its price."""


class Embedding(Protocol):
    """A clip's audio embeddings, wherever its runner keeps them: an array, or a tensor on a GPU."""

    @property
    def shape(self) -> Any:
        """(audio tokens, hidden size)"""

    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class Candidates:
    """Asks for softmax(logits[tokens]), that is, renormalised over these tokens: [len(tokens)] float32."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Top:
    """Asks for the `count` best tokens of the whole vocabulary."""

    count: int


class TopTokens(NamedTuple):
    """The answer to `Top`, best first."""

    tokens: IntArray  # [count]
    logprobs: FloatArray  # [count], natural log, over the full vocabulary


@dataclass(frozen=True)
class Verify:
    """Asks for the `count` best tokens after the step's tokens, and after each of `drafts`, which are fed behind them:
    guesses of what follows. They stay in KV memory; a later step from an earlier position overwrites those that were
    wrong."""

    drafts: tuple[int, ...]
    count: int


Ask = Candidates | Top | Verify | None
"""What a sequence wants to know of the distribution after its last token. None where the next token is known."""
Answer = FloatArray | TopTokens | list[TopTokens] | None
"""A list answers `Verify`: one more than its drafts."""


@dataclass(frozen=True)
class SlotStep:
    """One sequence's share of a step: the tokens that its slot takes up, and what is asked after the last of them."""

    slot: int
    past: int
    """Positions already in this slot's KV memory."""
    tokens: tuple[int, ...]
    asks: Ask = None

    @property
    def fed(self) -> tuple[int, ...]:
        """`tokens`, and drafts behind them."""
        return self.tokens + self.asks.drafts if isinstance(self.asks, Verify) else self.tokens


NO_CANDIDATE = -1
"""Fills a list of candidates up to the longest."""


class Questions:
    """Who asks what among the steps of one pass. A pass has a row for the last of each step's tokens, and one for each
    draft behind it."""

    def __init__(self, steps: Sequence[SlotStep]) -> None:
        self._asks = [step.asks for step in steps]
        self.rows = [
            (place, token) for place, step in enumerate(steps) for token in range(len(step.tokens) - 1, len(step.fed))
        ]
        """Of each row the place of its step, and which of the tokens fed it is."""
        asks = [(row, steps[place].asks) for row, (place, _) in enumerate(self.rows)]
        self.reads = {row: ask.tokens for row, ask in asks if isinstance(ask, Candidates)}
        self.writes = {row: ask.count for row, ask in asks if isinstance(ask, Top | Verify)}

    @property
    def candidates(self) -> list[tuple[int, ...]]:
        """Those of each read, filled up to one length."""
        longest = max(map(len, self.reads.values()), default=0)
        return [tokens + (NO_CANDIDATE,) * (longest - len(tokens)) for tokens in self.reads.values()]

    @property
    def top_count(self) -> int:
        """The most that any write asks for."""
        return max(self.writes.values(), default=1)

    def answers(
        self,
        probabilities: Sequence[FloatArray],  # of each read, its candidates' alone
        top_tokens: IntArray,  # [writes, top_count]
        top_logprobs: FloatArray,  # [writes, top_count]
    ) -> list[Answer]:
        """For each step its own, in the order of the steps."""
        answers: list[Answer] = [[] if isinstance(ask, Verify) else None for ask in self._asks]
        for row, answer in zip(self.reads, probabilities, strict=True):
            answers[self.rows[row][0]] = answer
        for (row, count), tokens, logprobs in zip(self.writes.items(), top_tokens, top_logprobs, strict=True):
            place, best = self.rows[row][0], TopTokens(tokens[:count], logprobs[:count])
            verified = answers[place]
            if isinstance(verified, list):
                verified.append(best)
            else:
                answers[place] = best
        return answers


class Runner(Protocol):
    @property
    def info(self) -> RunnerInfo: ...

    def encode(self, clips: Sequence[tuple[FloatArray, int]]) -> list[Embedding]:
        """(log-mel [n_mels, frames + extra context], frames) of each clip → its audio embeddings
        [audio_tokens(frames), hidden_size], which do not depend on the other clips.

        `frames` is L = ceil(samples / 160); the columns beyond it are the zero-padded waveform's frames that the
        convolutions of the last valid output frame reach.
        """

    def prefill(self, steps: Sequence[SlotStep], audio: Sequence[Sequence[Embedding]]) -> list[Answer]:
        """Fill each step's slot, of which no two are the same, from position `past` with all of its tokens; each
        sequence at its true length. No answer depends on the other steps.

        The k-th audio token id in the tokens of a step takes the k-th row of its own `audio`: what `encode` returned of
        each of its clips, one after the other.
        """

    def decode(self, steps: Sequence[SlotStep]) -> list[Answer]:
        """For each of slots 0 … len(steps)−1, in that order, one token, or up to `info.verified` with its drafts. No
        answer depends on the other steps, on how many tokens they take, or on the drafts behind it."""

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
    int8: bool = False,
    encode_frames: int = 1,
    prefill_tokens: int = 1,
    verified: int = VERIFIED,
    verified_after: int = 0,
) -> RunnerInfo:
    """`max_length` is cut to the positions that the model was made for."""
    text = config.text
    return RunnerInfo(
        name=name,
        hidden_size=text.hidden_size,
        vocab_size=text.vocab_size,
        audio_token_id=config.audio_token_id,
        n_mels=config.audio.n_mels,
        slots=slots,
        max_length=min(max_length, text.max_positions),
        kv_bytes_per_token=kv_bytes_per_token(text, dtype),
        dtype=dtype,
        int8=int8,
        encode_frames=encode_frames,
        prefill_tokens=prefill_tokens,
        verified=verified,
        verified_after=verified_after,
    )


def check_mel(config: AudioConfig, log_mel: FloatArray, frames: int) -> None:
    expected = config.mel_shape(frames)
    if log_mel.shape != expected:
        raise ValueError(f"a log-mel of {frames} frames must be {list(expected)}, not {list(log_mel.shape)}")


def check_prefill(info: RunnerInfo, steps: Sequence[SlotStep], audio: Sequence[Sequence[Embedding]]) -> None:
    if not steps or len(steps) != len(audio):
        raise ValueError(f"{len(steps)} steps are prefilled with the audio of {len(audio)}")
    if len({step.slot for step in steps}) < len(steps):
        raise ValueError("two steps of one prefill fill the same slot")
    for step, clips in zip(steps, audio, strict=True):
        _check_prompt(info, step, clips)


def _check_prompt(info: RunnerInfo, step: SlotStep, audio: Sequence[Embedding]) -> None:
    _check_step(info, step)
    if isinstance(step.asks, Verify):
        raise ValueError("drafts are verified in decode passes")
    for clip in audio:
        if len(clip.shape) != 2 or clip.shape[1] != info.hidden_size:
            raise ValueError(f"audio embeddings must be [n, {info.hidden_size}], not {list(clip.shape)}")
    wanted, given = step.tokens.count(info.audio_token_id), sum(clip.shape[0] for clip in audio)
    if wanted != given:
        raise ValueError(f"{wanted} audio tokens, but {given} audio embeddings")


def check_decode(info: RunnerInfo, steps: Sequence[SlotStep]) -> None:
    if not steps:
        raise ValueError("a decode pass needs at least one slot")
    for slot, step in enumerate(steps):
        _check_step(info, step)
        if step.slot != slot:
            raise ValueError(f"a decode pass takes slots 0, 1, … in order, not slot {step.slot} in place {slot}")
        if len(step.fed) > info.verified or step.past < 1:
            raise ValueError(f"slot {slot} must be prefilled and take at most {info.verified} tokens")
        if info.audio_token_id in step.fed:
            raise ValueError(f"slot {slot} decodes the audio token, which needs an embedding: prefill it")


def check_move(info: RunnerInfo, source: int, destination: int, length: int) -> None:
    for slot in (source, destination):
        _check_slot(info, slot)
    if not 0 <= length <= info.max_length:
        raise ValueError(f"cannot move {length} of {info.max_length} positions")


def _check_step(info: RunnerInfo, step: SlotStep) -> None:
    _check_slot(info, step.slot)
    if not step.tokens or step.past < 0:
        raise ValueError("a step needs at least one token and a past of at least 0")
    if step.past + len(step.fed) > info.max_length:
        raise ValueError(f"{step.past} + {len(step.fed)} positions do not fit the slot's {info.max_length}")
    _check_ids(info, step.fed)
    match step.asks:
        case Candidates(()):
            raise ValueError("a read needs at least one candidate")
        case Candidates(tokens):
            _check_ids(info, tokens)
        case Top(count) | Verify(_, count) if not 1 <= count <= info.vocab_size:
            raise ValueError(f"the best 1 to {info.vocab_size} tokens can be asked for, not {count}")


def _check_ids(info: RunnerInfo, ids: tuple[int, ...]) -> None:
    if not 0 <= min(ids) <= max(ids) < info.vocab_size:
        raise ValueError(f"token ids must be 0 to {info.vocab_size - 1}")


def _check_slot(info: RunnerInfo, slot: int) -> None:
    if not 0 <= slot < info.slots:
        raise ValueError(f"slots are 0 to {info.slots - 1}, not {slot}")
