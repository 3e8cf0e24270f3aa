"""Programs over the fake runner's vocabulary: 40 … 49 are numbers, 7 is the newline, 8 the stop, 90 … are markers."""

from __future__ import annotations

from collections.abc import Sequence

from sqe_fast.answer.program import Force, Program, Read, Step, Write
from sqe_fast.engine.sequence import Request
from tests.support.fake_runner import AUDIO_TOKEN, VOCAB, History, Script, clip

NUMBERS = tuple(range(40, 50))
VALUES = tuple(1.0 + n / 10 for n in range(10))
NEWLINE, STOP, MARKER = 7, 8, 90
PROSE = frozenset(range(VOCAB)) - {STOP, *range(MARKER, VOCAB)}
NAMES = ("noisiness", "coloration", "discontinuity", "loudness", "mos")


def write(*numbers: str | int, max_tokens: int = 10) -> Write:
    return Write(numbers, STOP, frozenset(NUMBERS), PROSE, max_tokens=max_tokens)


def reads() -> list[Step]:
    return [Read(name, NUMBERS, VALUES) for name in NAMES]


def rating(value: float, *, prompt: int = 5, then: Sequence[Step] = ()) -> Request:
    """Three audio tokens, `prompt` more, five reads, then whatever follows."""
    tokens = (1, *[AUDIO_TOKEN] * 3, *range(10, 10 + prompt))
    return Request(Program(tokens, (*reads(), *then)), (clip(value),))


def described(value: float, *, max_tokens: int = 10, prompt: int = 5) -> Request:
    return rating(value, prompt=prompt, then=[Force((NEWLINE,)), write("mos", max_tokens=max_tokens)])


def saying(*words: int | tuple[int, ...], after: int = NEWLINE) -> Script:
    """Once `after` was said: these words, then the last one again and again. A tuple offers alternatives."""

    def script(history: History) -> tuple[int, ...]:
        if after not in history:
            return ()
        said = len(history) - 1 - history.index(after)
        word = words[min(said, len(words) - 1)]
        return word if isinstance(word, tuple) else (word,)

    return script
