"""One request on its way: what it asks for, how far it has come, and how a step's output moves it on.

A sequence is a list of tokens of which the first `fed` are in KV memory. What the current step asks of the distribution
after the last token, it absorbs: a `Read` keeps it, a `List` decides by it, a `Write` picks a token from it. What
follows by itself is appended at once (`Draft`), and needs no distribution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from sqe_fast.answer.causes import END
from sqe_fast.answer.program import Draft, List, Program, Read, Spell
from sqe_fast.audio.features import LogMel
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import Cause
from sqe_fast.runners.base import Answer, Ask, Candidates, FloatArray, IntArray, Top, TopTokens, Verify


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
class Sampling:
    """Draw an answer instead of taking what is most likely. Its generator is its own: the answer does not depend on
    those beside it. Raises ValueError for a temperature or a share that is none."""

    seed: int
    temperature: float = 1.0
    """Divides logits: below 1 the likely becomes likelier."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that hold this share of the probability."""
    top: int = 256
    """Of how many best tokens prose is drawn, at most the vocabulary; what lies beyond is lost. With `tiny` at a
    temperature of 0.9 that is 0.05 % of the probability on average (of 8 tokens 1.5 %, of 32 0.3 %, of 64 0.2 %), and
    one draw in 2,600 has a larger nucleus of 0.95 (of 64 tokens one in 66)."""

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self.top_p <= 1 and self.top > 0):
            raise ValueError(f"temperature {self.temperature}, top_p {self.top_p} and top {self.top} allow no draw")


@dataclass(frozen=True)
class Request:
    """A program and the clips whose embeddings fill its audio tokens, in order."""

    program: Program
    audio: tuple[AudioInput, ...]
    sampling: Sampling | None = None
    """None: ratings by their expectation, prose greedily."""


@dataclass(frozen=True)
class ReadOut:
    """What a `Read` or a `Spell` saw: expectation and spread of its values, the distribution, both with what the model
    is known to err by, and the token it appended, of several the last."""

    mean: float
    std: float
    probabilities: FloatArray
    token: int


@dataclass(frozen=True)
class ListRead:
    """What a `List` saw before one of its entries: of each name that might follow, and of the end, the probability of
    coming next; and what was written, None for the end."""

    chances: Mapping[str, float]
    named: Cause | None


@dataclass(frozen=True)
class Result:
    """What a program yielded. With an `error`, the reads made before it are still valid."""

    reads: Mapping[str, ReadOut] = field(default_factory=dict)
    list_reads: tuple[ListRead, ...] = ()
    """An end that followed by itself was not read."""
    text_tokens: tuple[int, ...] = ()
    error: ClipError | None = None
    tokens: tuple[int, ...] = ()
    """The whole answer, forced tokens and stops among them; with an `error`, as far as it came."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Those listed."""
        return tuple(read.named for read in self.list_reads if read.named is not None)


class Walk:
    """The branches of a `Spell`, and what was seen of them."""

    def __init__(self, spell: Spell) -> None:
        self._spell = spell
        self._shares = {spell.completed(()): 1.0}
        """Of each branch and each whole spelling, as far as they were come by."""
        self._left: list[tuple[int, ...]] = []

    def saw(self, branch: tuple[int, ...], probabilities: FloatArray) -> None:
        """Those of the tokens that may follow a branch."""
        for child, probability in zip(self._spell.children(branch), probabilities, strict=True):
            further = self._spell.completed((*branch, child))
            self._shares[further] = self._shares[branch] * float(probability)
            if further not in self._spell.spellings:
                self._left.append(further)

    def next(self) -> tuple[int, ...] | None:
        """A branch that was not seen yet; None: there is none."""
        return self._left.pop(0) if self._left else None

    @property
    def probabilities(self) -> FloatArray:
        """Of every spelling, once all branches were seen."""
        return np.array([self._shares[spelling] for spelling in self._spell.spellings], np.float32)


TOP_K = 8
"""How many best tokens prose is written from: enough for greedy decoding and for one resampled retry."""


class Sequence:
    """A request's state. `finished` once every step is done or `error` is set."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.fed = 0
        self.error: ClipError | None = None
        self._draft = Draft(request.program)
        self._reads: dict[str, ReadOut] = {}
        self._walk: Walk | None = None
        self._list_reads: list[ListRead] = []
        self._first: TopTokens | None = None
        """What was seen at the prose's first choice: a retry starts there without a pass."""
        self._sampling = request.sampling
        """None while greedy; the one retry samples."""
        self._rng = np.random.default_rng(self._sampling.seed) if self._sampling else None

    @property
    def tokens(self) -> list[int]:
        """The program's, and the answer so far."""
        return self._draft.tokens

    @property
    def finished(self) -> bool:
        return self.error is not None or self._draft.step is None

    @property
    def pending(self) -> tuple[int, ...]:
        """Tokens not yet in KV memory."""
        return tuple(self.tokens[self.fed :])

    @property
    def asks(self) -> Candidates | Top:
        """What the current step must know of the distribution after the last token."""
        if isinstance(self._draft.step, Read | Spell | List):
            return Candidates(self._draft.candidates)
        return Top(TOP_K if self._sampling is None else self._sampling.top)

    def asks_ahead(self, most: int) -> Ask:
        """As `asks`, where prose is written greedily with up to `most` drafts of what follows."""
        drafts = self._draft.ahead(most) if self._sampling is None else ()
        return Verify(drafts, TOP_K) if drafts else self.asks

    @property
    def longest(self) -> int:
        """Positions this sequence may come to hold."""
        return self._draft.longest

    def result(self) -> Result:
        answer = self.tokens[len(self.request.program.tokens) :]
        return Result(self._reads, tuple(self._list_reads), tuple(self._draft.text), self.error, tuple(answer))

    def absorb(self, answer: Answer) -> None:
        """Move on by the answer to `asks`; every token is fed. Afterwards `finished`, or `pending`."""
        step = self._draft.step
        if isinstance(step, Read):
            self._read(step, cast(FloatArray, answer))
        elif isinstance(step, Spell):
            self._spell(step, cast(FloatArray, answer))
        elif isinstance(step, List):
            self._list(step, cast(FloatArray, answer))
        else:
            self._write(cast(TopTokens, answer))

    def verify(self, drafts: tuple[int, ...], answers: list[TopTokens]) -> None:
        """As `absorb`, by the answers behind the last token and behind each draft, as far as the drafts are what is
        written: then the next answer is that of a pass of its own."""
        start, begun = len(self.tokens), self._draft.begun
        at = 0
        while at <= len(drafts):
            self._write(answers[at])
            if self.finished or self._sampling is not None or self._draft.begun != begun:
                break
            written = tuple(self.tokens[start:])
            if written != drafts[: len(written)]:
                break
            at = len(written)
        if self._sampling is None:  # else it starts again from what was fed before
            self.fed = start + _agreeing(self.tokens[start:], drafts)

    def _read(self, step: Read, probabilities: FloatArray) -> None:
        place = self._keep(step, probabilities, step.candidates)
        self._draft.take(step.candidates[place])

    def _spell(self, step: Spell, probabilities: FloatArray) -> None:
        """Go on to the next branch, from where the spelling began; after the last one, decide."""
        walk = self._walk = self._walk or Walk(step)
        before = [*self.tokens]
        walk.saw(tuple(before[self._draft.begun :]), probabilities)
        branch = walk.next()
        if branch is None:
            place = self._keep(step, walk.probabilities, tuple(spelling[-1] for spelling in step.spellings))
            branch = step.spellings[place]
            self._walk = None
        self._draft.spell(branch)
        self.fed = min(self.fed, _agreeing(before, tuple(self.tokens)))

    def _keep(self, step: Read | Spell, probabilities: FloatArray, tokens: tuple[int, ...]) -> int:
        """What was read; the place of the candidate that is appended, of each of which `tokens` has the last token."""
        mean, std = step.expectation(probabilities)
        place = step.nearest(mean) if self._sampling is None else self._drawn_of(probabilities)
        self._reads[step.name] = ReadOut(mean, std, step.blurred(probabilities), tokens[place])
        return place

    def _list(self, step: List, probabilities: FloatArray) -> None:
        candidates = self._draft.candidates
        chances = dict(zip((step.name[token] for token in candidates), map(float, probabilities), strict=True))
        if self._sampling is None:
            named = step.causes.decide(chances)
        else:
            name = step.name[candidates[self._drawn_of(probabilities)]]
            named = None if name == END else step.causes.cause(name, chances)
        self._list_reads.append(ListRead(chances, named))
        self._draft.take(step.token[END if named is None else named.name])

    def _drawn_of(self, probabilities: FloatArray) -> int:
        """The place of one of the candidates, all of which are allowed."""
        assert self._sampling is not None
        assert self._rng is not None
        logprobs = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
        places, allowed = np.arange(len(probabilities)), np.ones(len(probabilities), bool)
        place = draw(places, logprobs, allowed, self._sampling, self._rng)
        assert place is not None
        return place

    def _drawn(self, tokens: IntArray, logprobs: FloatArray) -> int | None:
        assert self._sampling is not None
        assert self._rng is not None
        allowed = np.array([self._draft.allows(int(token)) for token in tokens])
        return draw(tokens, logprobs, allowed, self._sampling, self._rng)

    def _write(self, best: TopTokens) -> None:
        draft, begun = self._draft, self._draft.begun
        if self._first is None:
            self._first = best
        token = greedy(best.tokens) if self._sampling is None else self._drawn(*best)
        if token is None or not draft.allows(token):
            self._start_again()
            return
        draft.take(token)
        if draft.full:
            self._start_again()
        elif draft.begun != begun:
            self._first, self._sampling = None, self.request.sampling

    def _start_again(self) -> None:
        """The prose is spoilt: write it once more by sampling, then give up."""
        if self._sampling is not None:
            self.error = ClipError(ErrorCode.GENERATION_FAILED, NO_END if self.request.sampling else NOTHING_USABLE)
            return
        assert self._first is not None
        self._draft.rewrite()
        self.fed = len(self.tokens)
        seed = content_seed(self.request.program.tokens, [clip.digest for clip in self.request.audio])
        self._sampling = Sampling(seed, RETRY_TEMPERATURE, top=TOP_K)
        self._rng = np.random.default_rng(seed)
        self._write(self._first)


def _agreeing(written: list[int], drafts: tuple[int, ...]) -> int:
    """How many tokens are the same from the beginning on."""
    both = min(len(written), len(drafts))
    return next((count for count in range(both) if written[count] != drafts[count]), both)


NOTHING_USABLE = (
    "the model failed twice to write a usable description: score without one (describe=False, --no-describe)"
)
NO_END = "the answer drawn is too long, or goes on with nothing that is allowed: draw at a lower temperature"

RETRY_TEMPERATURE = 0.8
"""Of the one retry after greedy prose went wrong: enough to leave a loop, and still close to what the model means."""


def greedy(top_tokens: IntArray) -> int:
    """The best of `top_tokens` [k], best first."""
    return int(top_tokens[0])


def draw(
    tokens: IntArray,  # [k]
    logprobs: FloatArray,  # [k], natural log, up to a constant
    allowed: npt.NDArray[np.bool_],  # [k]
    sampling: Sampling,
    rng: np.random.Generator,
) -> int | None:
    """One of the allowed tokens, at the temperature, from the likeliest that hold `top_p` of the probability; None
    where no token is allowed."""
    if not allowed.any():
        return None
    order = np.argsort(-logprobs[allowed], kind="stable")
    logits = logprobs[allowed][order].astype(np.float64) / sampling.temperature
    weights = np.exp(logits - logits[0])
    share = weights / weights.sum()
    weights[share.cumsum() - share >= sampling.top_p] = 0
    return int(rng.choice(tokens[allowed][order], p=weights / weights.sum()))


def content_seed(tokens: tuple[int, ...], digests: Iterable[str]) -> int:
    """A seed that depends on what is asked and on nothing else: not on the neighbours, the order or the clock."""
    content = hashlib.sha256(np.asarray(tokens, dtype="<i8").tobytes())
    for digest in digests:
        content.update(digest.encode())
    return int.from_bytes(content.digest()[:8], "little")
