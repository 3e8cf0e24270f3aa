"""Programs over the fake runner's vocabulary: 40 … 49 are numbers, 60 … 71 causes, 7 is the newline, 8 the stop,
90 … are markers."""

from __future__ import annotations

from collections.abc import Sequence

from sqe_fast.answer.program import Force, List, Program, Read, Step, Write
from sqe_fast.engine.sequence import Request
from tests.support.fake_runner import AUDIO_TOKEN, VOCAB, History, Script, clip
from tests.support.stocks import causes

NUMBERS = tuple(range(40, 50))
VALUES = tuple(1.0 + n / 10 for n in range(10))
NEWLINE, STOP, MARKER = 7, 8, 90
PROSE = frozenset(range(VOCAB)) - {STOP, *range(MARKER, VOCAB)}
LIST = List(causes(), (*range(60, 72), NEWLINE))
NAMES = ("noisiness", "coloration", "discontinuity", "loudness", "mos")


def write(*numbers: str | int, max_tokens: int = 10) -> Write:
    return Write(
        tuple(each if isinstance(each, str) else (each,) for each in numbers),
        STOP,
        frozenset(NUMBERS),
        PROSE,
        max_tokens=max_tokens,
    )


def reads() -> list[Step]:
    return [Read(name, NUMBERS, VALUES) for name in NAMES]


def rating(value: float, *, prompt: int = 5, then: Sequence[Step] = ()) -> Request:
    """Three audio tokens, `prompt` more, five reads, then whatever follows."""
    tokens = (1, *[AUDIO_TOKEN] * 3, *range(10, 10 + prompt))
    return Request(Program(tokens, (*reads(), *then)), (clip(value),))


def described(value: float, *, max_tokens: int = 10, prompt: int = 5) -> Request:
    return rating(value, prompt=prompt, then=[Force((NEWLINE,)), write("mos", max_tokens=max_tokens)])


def listed(value: float, *, prompt: int = 5, then: Sequence[Step] = ()) -> Request:
    """Ratings and a list, then whatever follows."""
    return rating(value, prompt=prompt, then=[LIST, *then])


def naming(*names: str | tuple[str, ...], then: Script = lambda history: ()) -> Script:
    """After the fifth rating: these causes and the end, then what `then` says. A tuple offers alternatives, all about
    equally likely."""

    def script(history: History) -> tuple[int, ...]:
        if NEWLINE in history:
            return then(history)
        said = [token for token in history if token in LIST.tokens]
        if sum(token in NUMBERS for token in history) < len(NAMES):
            return ()
        name = names[len(said)] if len(said) < len(names) else "end"
        return tuple(LIST.token[each] for each in ((name,) if isinstance(name, str) else name))

    return script


def saying(*words: int | tuple[int, ...], after: int = NEWLINE) -> Script:
    """Once `after` was said: these words, then the last one again and again. A tuple offers alternatives."""

    def script(history: History) -> tuple[int, ...]:
        if after not in history:
            return ()
        said = len(history) - 1 - history.index(after)
        word = words[min(said, len(words) - 1)]
        return word if isinstance(word, tuple) else (word,)

    return script
