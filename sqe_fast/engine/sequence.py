"""One request on its way: what it asks for, how far it has come, and how a step's output moves it on.

A sequence is a list of tokens of which the first `fed` are in KV memory. What the current step asks of the distribution
after the last token, it absorbs: a `Read` keeps it, a `Write` picks a token from it; a `Force` needs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from sqe_fast.answer.program import Force, Program, Read, Step, Write
from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.runners.base import Answer, Ask, Candidates, FloatArray, IntArray, Top, TopTokens


@dataclass(frozen=True)
class AudioInput:
    """One clip, by content. Equal digests are equal clips, of which one is encoded."""

    digest: str
    log_mel: LogMel

    @property
    def tokens(self) -> int:
        """Audio tokens that its embedding fills."""
        return audio_tokens(self.log_mel.frames)


@dataclass(frozen=True)
class Request:
    """A program and the clips whose embeddings fill its audio tokens, in order."""

    program: Program
    audio: tuple[AudioInput, ...]


@dataclass(frozen=True)
class ReadOut:
    """What a `Read` saw: expectation and spread of its values, the distribution, and the token it appended."""

    mean: float
    std: float
    probabilities: FloatArray
    token: int


@dataclass(frozen=True)
class Result:
    """What a program yielded. With an `error`, the reads made before it are still valid."""

    reads: Mapping[str, ReadOut] = field(default_factory=dict)
    text_tokens: tuple[int, ...] = ()
    error: ClipError | None = None


TOP_K = 8
"""How many best tokens prose is written from: enough for greedy decoding and for one resampled retry."""


@dataclass
class _Draft:
    """Prose being written. `first` was seen before its first token: a retry starts there without a pass."""

    start: int
    first: TopTokens | None
    """None where the outline gives the first token."""
    rng: np.random.Generator | None = None
    """None while greedy; the one retry samples."""
    numbers: int = 0


class Sequence:
    """A request's state. `finished` once every step is done or `error` is set."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.tokens: list[int] = list(request.program.tokens)
        self.fed = 0
        self.error: ClipError | None = None
        self._steps = request.program.steps
        self._index = 0
        self._reads: dict[str, ReadOut] = {}
        self._text: list[int] = []
        self._draft: _Draft | None = None
        self._append_forced()

    @property
    def finished(self) -> bool:
        return self.error is not None or self._index == len(self._steps)

    @property
    def pending(self) -> tuple[int, ...]:
        """Tokens not yet in KV memory."""
        return tuple(self.tokens[self.fed :])

    @property
    def asks(self) -> Ask:
        """What the current step must know of the distribution after the last token."""
        step = self._steps[self._index]
        if isinstance(step, Read):
            return Candidates(step.candidates)
        assert isinstance(step, Write), "forced tokens are appended at once"
        written = self.tokens[self._draft.start :] if self._draft else []
        return Top(TOP_K) if _outlined(step, written) is None else None

    @property
    def longest(self) -> int:
        """Positions this sequence may come to hold."""
        return len(self.tokens) + sum(_length(step) for step in self._steps[self._index :])

    def result(self) -> Result:
        return Result(self._reads, tuple(self._text), self.error)

    def absorb(self, answer: Answer) -> None:
        """Move on by the answer to `asks`; every token is fed. Afterwards `finished`, or `pending`."""
        step = self._steps[self._index]
        if isinstance(step, Read):
            self._read(step, cast(FloatArray, answer))
        elif isinstance(step, Write):
            self._write(step, cast("TopTokens | None", answer))
        self._append_forced()

    def _append_forced(self) -> None:
        while not self.finished and isinstance(step := self._steps[self._index], Force):
            self.tokens.extend(step.tokens)
            self._index += 1

    def _read(self, step: Read, probabilities: FloatArray) -> None:
        mean, std = step.expectation(probabilities)
        token = step.nearest(mean)
        self._reads[step.name] = ReadOut(mean, std, probabilities, token)
        self.tokens.append(token)
        self._index += 1

    def _write(self, step: Write, best: TopTokens | None) -> None:
        if self._draft is None:
            self._draft = _Draft(len(self.tokens), best)
        draft = self._draft
        written = len(self.tokens) - draft.start
        token = (
            _outlined(step, self.tokens[draft.start :]) if best is None else self._choose(step, draft, best, written)
        )
        if token == step.stop and written:
            self._text += self.tokens[draft.start :]
            self.tokens.append(token)
            self._index, self._draft = self._index + 1, None
        elif token not in step.prose or written + 1 == step.max_tokens:
            self._start_again(draft)
        else:
            self.tokens.append(token)

    def _choose(self, step: Write, draft: _Draft, best: TopTokens, written: int) -> int | None:
        token: int | None
        may_stop = written > 0 and not step.outline
        if draft.rng is None:
            token = greedy(best.tokens)
        else:
            fit = [int(token) in step.prose or (int(token) == step.stop and may_stop) for token in best.tokens]
            token = sample(best.tokens, best.logprobs, np.array(fit), draft.rng)
        if token == step.stop and not may_stop:
            return None
        if token not in step.number_ids or not step.numbers:
            return token
        number = step.numbers[min(draft.numbers, len(step.numbers) - 1)]
        draft.numbers += 1
        return number if isinstance(number, int) else self._reads[number].token

    def _start_again(self, draft: _Draft) -> None:
        """The prose is spoilt: write it once more by sampling, then give up."""
        if draft.rng is not None:
            self.error = ClipError(
                ErrorCode.GENERATION_FAILED,
                "the model failed twice to write a usable description: score without one (describe=False, "
                "--no-describe)",
            )
            return
        del self.tokens[draft.start :]
        self.fed = draft.start
        program = self.request.program
        rng = np.random.default_rng(content_seed(program.tokens, [clip.digest for clip in self.request.audio]))
        self._draft = _Draft(draft.start, draft.first, rng)
        step = self._steps[self._index]
        assert isinstance(step, Write)
        self._write(step, draft.first)


def _outlined(step: Write, written: list[int]) -> int | None:
    """The next token of the outline; None where the model goes on with a sentence that has begun."""
    if not step.outline:
        return None
    ends = [place + 1 for place, token in enumerate(written) if token == step.full_stop][: len(step.outline) - 1]
    beginning, begun = step.outline[len(ends)], len(written) - (ends[-1] if ends else 0)
    return beginning[begun] if begun < len(beginning) else None


def _length(step: Step) -> int:
    """Most tokens a step can append."""
    if isinstance(step, Write):
        return step.max_tokens
    return len(step.tokens) if isinstance(step, Force) else 1


RETRY_TEMPERATURE = 0.8
"""Of the one retry after greedy prose went wrong: enough to leave a loop, and still close to what the model means."""


def greedy(top_tokens: IntArray) -> int:
    """The best of `top_tokens` [k], best first."""
    return int(top_tokens[0])


def sample(
    top_tokens: IntArray,  # [k]
    top_logprobs: FloatArray,  # [k], natural log
    allowed: npt.NDArray[np.bool_],  # [k]
    rng: np.random.Generator,
) -> int | None:
    """Draw one of the allowed tokens at `RETRY_TEMPERATURE`; None where no token is allowed."""
    if not allowed.any():
        return None
    logits = top_logprobs[allowed].astype(np.float64) / RETRY_TEMPERATURE
    weights = np.exp(logits - logits.max())
    return int(rng.choice(top_tokens[allowed], p=weights / weights.sum()))


def content_seed(tokens: tuple[int, ...], digests: Iterable[str]) -> int:
    """A seed that depends on what is asked and on nothing else: not on the neighbours, the order or the clock."""
    content = hashlib.sha256(np.asarray(tokens, dtype="<i8").tobytes())
    for digest in digests:
        content.update(digest.encode())
    return int.from_bytes(content.digest()[:8], "little")
