"""What the engine runs for one request: tokens to prefill, then steps that read a distribution or a list, force tokens
or write prose; and how an answer grows by them. Whatever the template forces is known here, and only here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sqe_fast.answer.causes import END, MOST, Causes
from sqe_fast.answer.follows import Follows

MAX_DESCRIPTION_TOKENS = 192
LIKELY = 0.4
"""A token is drafted while it and all drafted before it probably follow. Lower, more rows are computed for nothing;
higher, more passes are needed."""


class _Valued:
    """What is read as a distribution over the values of candidates."""

    values: tuple[float, ...]
    error: float
    """Standard deviation of what the model errs by beyond its own distribution."""

    def expectation(self, probabilities: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Of the candidates' values under `probabilities` [len(candidates)] the mean, and the standard deviation with
        the error."""
        values, p = np.asarray(self.values), probabilities.astype(np.float64)
        mean = float((p * values).sum())
        return mean, math.sqrt(max(0.0, float((p * (values - mean) ** 2).sum())) + self.error**2)

    def blurred(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`probabilities` [len(candidates)] with a normally distributed error added to each value, on the values that
        there are."""
        if not self.error:
            return probabilities
        return (probabilities @ self._blur).astype(np.float32)

    @cached_property
    def _blur(self) -> npt.NDArray[np.float64]:
        values = np.asarray(self.values)
        near = np.exp(-0.5 * ((values - values[:, None]) / self.error) ** 2)
        return np.asarray(near / near.sum(1, keepdims=True))

    def nearest(self, mean: float) -> int:
        """The place of the candidate whose value is nearest to `mean`; of two equally near ones the first."""
        return int(np.argmin(np.abs(np.asarray(self.values) - mean)))


@dataclass(frozen=True)
class Read(_Valued):
    """Read softmax(logits[candidates]) at the current position, keep it under `name`, and append the candidate whose
    value is nearest to the expectation."""

    name: str
    candidates: tuple[int, ...]
    values: tuple[float, ...]
    then: tuple[tuple[Step, ...], ...] = ()
    """The steps that follow each candidate, before those that follow in any case."""
    error: float = 0.0


@dataclass(frozen=True)
class Spell(_Valued):
    """A `Read` of candidates that are several tokens each, as " 3.4" is to a tokenizer of single digits.

    The probability of a candidate is the product of those of its tokens, each among the tokens that any candidate goes
    on with there. So every branch is read, one after the other, each from where the spelling began.
    """

    name: str
    spellings: tuple[tuple[int, ...], ...]
    values: tuple[float, ...]
    then: tuple[tuple[Step, ...], ...] = ()
    """The steps that follow each spelling, before those that follow in any case."""
    error: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError where one spelling begins with another, whose end could not be told, or has no tokens."""
        for one in self.spellings:
            if sum(other[: len(one)] == one for other in self.spellings) > 1:
                raise ValueError(f"{self.name}: one spelling begins with another")

    def children(self, begun: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow those of a spelling that has begun; after a whole one there are none."""
        at, known = len(begun), tuple(begun)
        return tuple(dict.fromkeys(each[at] for each in self.spellings if len(each) > at and each[:at] == known))

    def completed(self, begun: Sequence[int]) -> tuple[int, ...]:
        """With all that follows in any case."""
        whole = tuple(begun)
        while len(children := self.children(whole)) == 1:
            whole += children
        return whole


@dataclass(frozen=True)
class List:
    """Read names one at a time, each from softmax(logits[those that may follow]), until the list ends. `causes` says
    which may follow, and which of them is appended."""

    causes: Causes
    tokens: tuple[int, ...]
    """Of each of `causes.entries`: one token a name, and the end's."""

    @cached_property
    def token(self) -> dict[str, int]:
        """By name."""
        return dict(zip(self.causes.entries, self.tokens, strict=True))

    @cached_property
    def name(self) -> dict[int, str]:
        """By token."""
        return dict(zip(self.tokens, self.causes.entries, strict=True))

    def remaining(self, listed: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow those of a list that has begun."""
        names = self.causes.remaining([self.name[token] for token in listed])
        return tuple(self.token[name] for name in names)


@dataclass(frozen=True)
class Force:
    """Append these tokens, whatever the model would have said."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Write:
    """Write prose until `stop`. The k-th number in it is forced to `numbers[k]`: the name of an earlier `Read` or
    `Spell`, or a number's tokens; so that prose and ratings cannot disagree. Numbers beyond the list repeat its last.
    """

    numbers: tuple[str | tuple[int, ...], ...]
    stop: int
    number_ids: frozenset[int]
    """By which a number is known."""
    prose: frozenset[int]
    """Every token that prose may hold, number tokens included. Anything else but `stop` spoils the answer."""
    outline: tuple[tuple[int, ...], ...] = ()
    """How its sentences begin, whatever the model would have said; each goes on to `full_stop`, the last to `stop`."""
    full_stop: int | None = None
    max_tokens: int = MAX_DESCRIPTION_TOKENS
    """With the stop."""
    follows: Callable[[], Follows | None] | None = field(default=None, compare=False, repr=False)
    """Gives what to draft from, which is counted when it is asked for first. It changes no answer."""
    before_number: int = 0
    """How many of a number's tokens stand before the one that it is known by: a space, where that is its own token."""


Step = Read | Spell | List | Force | Write


@dataclass(frozen=True)
class Program:
    """One request for the engine. `tokens` holds one audio token id per audio embedding."""

    tokens: tuple[int, ...]
    steps: tuple[Step, ...]


class Draft:
    """An answer to a program as it grows: choices are taken, and what the template forces follows by itself.

    The engine writes with it; training asks it which tokens of a finished answer were choices (`chosen`).
    """

    def __init__(self, program: Program, *, limited: bool = True) -> None:
        """Not `limited`: prose may be of any length."""
        self.tokens: list[int] = list(program.tokens)
        """The program's, and the answer so far."""
        self.text: list[int] = []
        """What finished `Write`s wrote, without their stops."""
        self._steps = list(program.steps)
        self._limited = limited
        self.begun = len(self.tokens)
        """Where the current step begins in `tokens`."""
        self._read: dict[str, tuple[int, ...]] = {}
        self._force()

    @property
    def step(self) -> Read | Spell | List | Write | None:
        """Where the next choice is made; None: the answer is finished."""
        if not self._steps:
            return None
        step = self._steps[0]
        assert not isinstance(step, Force)
        return step

    @property
    def full(self) -> bool:
        """The prose is as long as it may be, and has not stopped."""
        step = self.step
        return self._limited and isinstance(step, Write) and len(self.tokens) - self.begun >= step.max_tokens

    @property
    def longest(self) -> int:
        """Most tokens that there may come to be."""
        return self.begun + sum(map(_longest, self._steps))

    @property
    def candidates(self) -> tuple[int, ...]:
        """Of what a `Read`, a `Spell` or a `List` appends next, one."""
        match self.step:
            case Read(candidates=candidates):
                return candidates
            case Spell() as step:
                return step.children(self.tokens[self.begun :])
            case List() as step:
                return step.remaining(self.tokens[self.begun :])
        raise TypeError("prose has no candidates")

    def allows(self, token: int) -> bool:
        """May this be chosen next?"""
        match self.step:
            case Read() | Spell() | List():
                return token in self.candidates
            case Write() as step:
                stops = token == step.stop and not step.outline and len(self.tokens) > self.begun
                return token in step.prose or stops
        return False

    def take(self, choice: int) -> None:
        """Append a choice, a number in prose as the program gives it, and all that is forced after it."""
        step = self.step
        assert step is not None, "the answer is finished"
        if isinstance(step, Read):
            self._read[step.name] = (choice,)
            self.tokens.append(choice)
            self._next(step.then[step.candidates.index(choice)] if step.then else ())
        elif isinstance(step, Spell):
            self.tokens.append(choice)
        elif isinstance(step, List):
            self._list(step, choice)
        elif self.is_number(choice):
            self.tokens += self._number(step)[step.before_number :]
        else:
            self._write(step, choice)
        self._force()

    def spell(self, begun: Sequence[int]) -> None:
        """Of a `Spell` these tokens, in the place of those that stand there: another branch, or what is decided on."""
        assert isinstance(self.step, Spell)
        self.tokens[self.begun :] = begun
        self._force()

    def is_number(self, choice: int) -> bool:
        """It would be a number in prose, which stands for the program's own: no choice of its value."""
        step = self.step
        return isinstance(step, Write) and bool(step.numbers) and choice in step.number_ids

    def ahead(self, most: int) -> tuple[int, ...]:
        """Up to `most` tokens that probably follow, those that the template forces among them. The stop is none of
        them: nothing is read behind it."""
        step = self.step
        if most < 1 or not isinstance(step, Write) or step.follows is None:
            return ()
        follows = step.follows()
        if follows is None:
            return ()
        guess, drafted, chance = self._fork(), len(self.tokens), 1.0
        while len(guess.tokens) < len(self.tokens) + most:
            found = follows.next(guess.tokens[guess.begun :])
            chance *= found[1] if found else 0.0
            if found is None or chance < LIKELY or not guess.allows(found[0]):
                break
            guess.take(found[0])
            if guess.step is not step or guess.full:
                break
            drafted = len(guess.tokens)
        return tuple(guess.tokens[len(self.tokens) : min(drafted, len(self.tokens) + most)])

    def _fork(self) -> Draft:
        other = copy(self)
        other.tokens, other.text, other._steps = [*self.tokens], [*self.text], [*self._steps]
        other._read = dict(self._read)
        return other

    def rewrite(self) -> None:
        """Back to the beginning of the prose."""
        del self.tokens[self.begun :]
        self._force()

    def _number(self, step: Write) -> tuple[int, ...]:
        written = sum(token in step.number_ids for token in self.tokens[self.begun :])
        number = step.numbers[min(written, len(step.numbers) - 1)]
        return self._read[number] if isinstance(number, str) else number

    def _list(self, step: List, token: int) -> None:
        self.tokens.append(token)
        if token == step.token[END]:
            self._next(())

    def _write(self, step: Write, token: int) -> None:
        self.tokens.append(token)
        if token == step.stop:
            self.text += self.tokens[self.begun : -1]
            self._next(())

    def _next(self, steps: tuple[Step, ...]) -> None:
        self._steps[:1] = steps
        self.begun = len(self.tokens)

    def _force(self) -> None:
        """Append what is forced, up to the next choice."""
        while self._steps:
            step = self._steps[0]
            if isinstance(step, Force):
                self.tokens += step.tokens
                self._next(())
                continue
            if isinstance(step, List) and len(self.candidates) == 1:
                self._list(step, step.token[END])
                continue
            if isinstance(step, Spell):
                if not self._spelt(step):
                    return
                continue
            if isinstance(step, Read | List) or self.full:
                return
            token = _outlined(step, self.tokens[self.begun :])
            if token is None:
                return
            self._write(step, token)

    def _spelt(self, step: Spell) -> bool:
        """Append what follows in any case; whether the spelling is whole, and the next step begins."""
        spelling = step.completed(self.tokens[self.begun :])
        self.tokens[self.begun :] = spelling
        if spelling not in step.spellings:
            return False
        self._read[step.name] = spelling
        self._next(step.then[step.spellings.index(spelling)] if step.then else ())
        return True


def chosen(program: Program, answer: Sequence[int]) -> tuple[bool, ...]:
    """Which tokens of `answer` were choices, as opposed to forced by the template. One that was cut off is fine; prose
    may be longer than the engine's, and hold words that it would not choose.

    Raises ValueError for what does not follow the template.
    """
    draft, marks, at = Draft(program, limited=False), list[bool](), len(program.tokens)
    for index, token in enumerate(answer):
        at_choice = at + index == len(draft.tokens)
        if at_choice:
            step = draft.step
            if step is None or (not isinstance(step, Write) and token not in draft.candidates):
                raise ValueError(f"the answer does not follow the template at token {index}")
            marks.append(not draft.is_number(token))
            draft.take(token)
        else:
            marks.append(False)
        if draft.tokens[at + index] != token:
            raise ValueError(f"the answer does not follow the template at token {index}")
    return tuple(marks)


def _outlined(step: Write, written: list[int]) -> int | None:
    """The next token of the outline; None where the model goes on with a sentence that has begun."""
    if not step.outline:
        return None
    ends = [place + 1 for place, token in enumerate(written) if token == step.full_stop][: len(step.outline) - 1]
    beginning, begun = step.outline[len(ends)], len(written) - (ends[-1] if ends else 0)
    return beginning[begun] if begun < len(beginning) else None


def _longest(step: Step) -> int:
    """Most tokens a step can append."""
    if isinstance(step, Write):
        return step.max_tokens
    if isinstance(step, Force):
        return len(step.tokens)
    if isinstance(step, List):
        return MOST + 1
    own = max(map(len, step.spellings)) if isinstance(step, Spell) else 1
    return own + max((sum(map(_longest, steps)) for steps in step.then), default=0)
