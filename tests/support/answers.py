"""Answers for tests: what comes of choices, as an engine would write it."""

from __future__ import annotations

from collections.abc import Iterable

from sqe_fast.answer.program import Draft, Program


def answered(program: Program, choices: Iterable[int]) -> tuple[int, ...]:
    """The answer, once every choice is taken or the program has ended."""
    draft = Draft(program)
    for choice in choices:
        if draft.step is None:
            break
        draft.take(choice)
    return tuple(draft.tokens[len(program.tokens) :])
