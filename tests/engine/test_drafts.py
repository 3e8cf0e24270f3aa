"""Drafts: the same answers in fewer passes, whatever the table says and whoever sits beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sqe_fast.answer.follows import BEGIN, Follows
from sqe_fast.answer.program import Force, Program, Read, Write
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import Request, Result, Sampling
from sqe_fast.runners.base import VERIFIED, Verify
from tests.support.fake_runner import FakeRunner, History

STOP, NUMBERS, FULL_STOP = 1, (50, 51, 52), 40
PROSE = frozenset(range(2, 90))
TEXT = (10, 11, 12, 13, 51, 14, 15, 16, 17, 18, FULL_STOP, 20, 21, 22)
RIGHT = Follows([((BEGIN, *TEXT, STOP), 1)], NUMBERS)
WRONG = Follows([((BEGIN, 60), 1), *(((token, 60, 61, 62), 1) for token in TEXT)], NUMBERS)
"""Guesses that are never what the model says."""
LATER = Follows([((12, 13, 50, 14, 15, 99, 16), 1), ((20, 23), 1)], NUMBERS)
"""Some of them right, and one that prose may not hold."""


def said(text: Sequence[int]) -> FakeRunner:
    """A model that says this after a prompt of three tokens, whose second choice is 60; then it stops."""

    def script(history: History) -> tuple[int, ...]:
        written = len(history) - 3
        return ((*text, STOP)[min(written, len(text))], 60)

    return FakeRunner(slots=4, max_length=400, script=script)


def write(follows: Follows | None, **changes: object) -> Write:
    return replace(Write(((52,),), STOP, frozenset(NUMBERS), PROSE, follows=lambda: follows), **changes)  # type: ignore[arg-type]


def answered(runner: FakeRunner, *steps: Write, seeds: Sequence[int | None] = (None,)) -> list[Result]:
    requests = [
        Request(Program((3, 4, 5 + place), (step,)), (), None if seed is None else Sampling(seed, top=8))
        for place, (step, seed) in enumerate(zip(steps, [*seeds] * len(steps), strict=False))
    ]
    return Engine(runner).run(requests)


def told(results: Sequence[Result]) -> list[object]:
    return [(each.tokens, each.text_tokens, each.error and each.error.code) for each in results]


@pytest.mark.parametrize("follows", [RIGHT, WRONG, LATER], ids=["right", "wrong", "later"])
def test_the_answer_is_that_without_drafts(follows: Follows) -> None:
    """A draft taken for an answer, a token said twice or left out, memory that a wrong one spoilt."""
    drafted, plain = said(TEXT), said(TEXT)
    assert told(answered(drafted, write(follows))) == told(answered(plain, write(None)))
    assert drafted.memory[0][: 3 + len(TEXT)] == plain.memory[0][: 3 + len(TEXT)]


def test_right_drafts_save_passes_and_wrong_ones_cost_none() -> None:
    plain, right, wrong = said(TEXT), said(TEXT), said(TEXT)
    for runner, follows in ((plain, None), (right, RIGHT), (wrong, WRONG)):
        answered(runner, write(follows))
    assert len(plain.decoded) == len(wrong.decoded) == len(TEXT)
    assert len(right.decoded) == -(-len(TEXT) // VERIFIED)


def test_passes_and_tokens_are_counted() -> None:
    engine = Engine(said(TEXT))
    engine.run([Request(Program((3, 4, 5), (write(RIGHT),)), ())])
    trace = engine.meter.read()
    assert (trace.decode_steps, trace.decode_tokens, trace.decode_rows) == (3, len(TEXT), len(TEXT))
    engine.meter.restart()
    engine.run([Request(Program((3, 4, 5), (write(WRONG),)), ())])
    trace = engine.meter.read()
    assert (trace.decode_steps, trace.decode_tokens) == (len(TEXT), len(TEXT))
    assert trace.decode_rows > len(TEXT)


def test_neighbours_change_no_answer() -> None:
    """Slots with as many drafts as fit, with wrong ones, with none, and one that draws."""
    steps = [write(RIGHT), write(WRONG), write(None), write(LATER)]
    together = answered(said(TEXT), *steps, seeds=(None, None, None, 7))
    alone = [
        answered(said(TEXT), *([write(None)] * place), step, seeds=(*[None] * place, 7 if place == 3 else None))[place]
        for place, step in enumerate(steps)
    ]
    assert told(together) == told(alone)


def test_what_is_drawn_is_not_drafted() -> None:
    """A draw that depends on what was guessed: its random numbers come in another order."""
    runner = said(TEXT)
    drawn = answered(runner, write(RIGHT), seeds=(3,))
    assert told(drawn) == told(answered(said(TEXT), write(None), seeds=(3,)))
    assert not [step for steps in runner.decoded for step in steps if isinstance(step.asks, Verify)]


@pytest.mark.parametrize("at", range(3, 12))
def test_prose_that_goes_wrong_under_drafts_is_written_once_more(at: int) -> None:
    """A start from the beginning in the middle of a pass, on memory that drafts have filled."""
    spoilt = (*TEXT[:at], 95, *TEXT[at:])
    results = [answered(said(spoilt), write(follows)) for follows in (RIGHT, None)]
    assert told(results[0]) == told(results[1])


@pytest.mark.parametrize("most", range(1, 16))
def test_prose_that_is_too_long_ends_the_same(most: int) -> None:
    results = [answered(said(TEXT), write(follows, max_tokens=most)) for follows in (RIGHT, None)]
    assert told(results[0]) == told(results[1])


def test_an_outline_rides_along() -> None:
    """Sentences whose beginnings are forced: what is forced within the drafts is no choice of the model's."""
    outline = ((30, 31, 32), (33, 34), (35, 36, STOP))
    text = (30, 31, 32, 12, 13, FULL_STOP, 33, 34, 15, 16, FULL_STOP)
    follows = Follows([((BEGIN, *text), 1), ((32, 12), 1)])
    steps = [write(each, outline=outline, full_stop=FULL_STOP, numbers=()) for each in (follows, None)]
    runners = [said(text), said(text)]
    results = [answered(runner, step) for runner, step in zip(runners, steps, strict=True)]
    assert told(results[0]) == told(results[1])
    assert results[0][0].text_tokens == (*text, 35, 36)
    assert len(runners[0].decoded) < len(runners[1].decoded)


def test_what_follows_the_prose_is_read_behind_it() -> None:
    """A read that begins within a pass of drafts."""
    read = Read("after", (70, 71), (1.0, 2.0))
    for forced in ((), (Force((80, 81)),)):
        programs = [Program((3, 4, 5), (write(follows), *forced, read)) for follows in (RIGHT, None)]
        found = [Engine(said(TEXT)).run([Request(program, ())]) for program in programs]
        assert found[0][0].tokens == found[1][0].tokens
        assert found[0][0].reads["after"].mean == found[1][0].reads["after"].mean
