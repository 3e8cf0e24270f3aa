"""Answers drawn instead of read: from the distributions, within the template, each from its own seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sqe_fast.answer.program import Force, Program, Read, chosen
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import Request, Result, Sampling
from sqe_fast.errors import ErrorCode
from sqe_fast.runners.base import Candidates, Top
from tests.support.fake_runner import FakeRunner
from tests.support.programs import MARKER, NAMES, NUMBERS, STOP, VALUES, described, rating, saying, write


def drawn(value: float, seed: int, temperature: float = 1.0, top: int = 64) -> Request:
    return replace(described(value, max_tokens=20), sampling=Sampling(seed, temperature, top=top))


def run(*requests: Request, runner: FakeRunner | None = None) -> list[Result]:
    return Engine(runner or FakeRunner()).run(requests)


def test_ratings_are_drawn_from_their_candidates() -> None:
    """The expectation kept, as for a reader; or the candidates' probabilities taken in another order."""
    results = run(*(replace(rating(0.5), sampling=Sampling(seed)) for seed in range(2000)))
    seen = {name: Counter(result.reads[name].token for result in results) for name in NAMES}
    first = results[0].reads[NAMES[0]].probabilities
    shares = [seen[NAMES[0]][number] / len(results) for number in NUMBERS]
    assert shares == pytest.approx(first.tolist(), abs=0.04)
    assert all(len(of_name) == len(NUMBERS) for of_name in seen.values())
    read = results[0].reads["mos"]
    assert read.mean == pytest.approx(float(read.probabilities @ np.array(VALUES)), abs=1e-5)


def test_a_drawn_answer_keeps_to_the_template() -> None:
    """A marker or a lone number in the prose, an empty description, a newline left to chance."""
    request = drawn(0.5, 1)
    for result in run(*(drawn(0.5, seed) for seed in range(40))):
        answer = result.tokens
        assert chosen(request.program, answer)
        assert answer[5] == 7
        prose = answer[6:]
        assert not [token for token in prose if token >= MARKER]
        assert {token for token in prose if token in NUMBERS} <= {answer[4]}
        assert prose[0] != STOP
        assert (result.error is None) == (prose[-1] == STOP)


def test_the_seed_decides_and_the_neighbours_do_not() -> None:
    """One generator for all: an answer that depends on who was drawn before it."""
    alone = run(drawn(0.5, 1))[0].tokens
    beside = run(*(drawn(0.3 * n, n) for n in range(3)), drawn(0.5, 1), drawn(0.5, 2))
    assert beside[3].tokens == alone
    assert beside[4].tokens != alone
    assert len({result.tokens for result in beside}) == 5


def test_an_answer_without_an_end_is_drawn_once_and_kept() -> None:
    """A second draw, where the first is what the model says; or tokens that are lost with the error."""
    runner = FakeRunner(script=saying(*range(20, 24), 20))
    [result] = run(drawn(0.5, 3, temperature=0.05), runner=runner)
    assert result.error is not None
    assert result.error.code is ErrorCode.GENERATION_FAILED
    assert len(result.tokens) == 5 + 1 + 20
    assert result.tokens[6:11] == (20, 21, 22, 23, 20)
    assert len(runner.decoded) == 4 + 1 + 19


def test_prose_is_drawn_from_as_many_tokens_as_are_asked_for() -> None:
    """The few that greedy decoding needs leave most of a flat distribution out."""
    runner = FakeRunner()
    run(drawn(0.5, 1, top=17), described(0.25), runner=runner)
    asked = {step.asks for steps in runner.decoded for step in steps if not isinstance(step.asks, Candidates)}
    assert asked == {Top(17), Top(8)}


def test_what_is_read_decides_what_follows() -> None:
    """The conclusion for A under a verdict for B, or a slot too short for the longer of the two."""
    then = tuple((Force((60 + n,) * (n + 1)), write(max_tokens=3)) for n in range(2))
    program = Program((1, 2), (Read("verdict", NUMBERS[:2], (1.0, -1.0), then),))
    results = run(*(Request(program, (), Sampling(seed, top=64)) for seed in range(40)))
    assert {result.tokens[:2] for result in results} == {(NUMBERS[0], 60), (NUMBERS[1], 61)}
    for result in results:
        assert result.tokens[0] == result.reads["verdict"].token
        if result.tokens[0] == NUMBERS[1]:
            assert result.tokens[1:3] == (61, 61)
    [refused] = run(Request(program, ()), runner=FakeRunner(max_length=2 + 1 + 2 + 3 - 1))
    assert refused.error is not None
    assert refused.error.code is ErrorCode.TOO_LONG


def test_without_sampling_the_whole_answer_is_given_too() -> None:
    [result] = run(described(0.5), runner=FakeRunner(script=saying(20, 21, STOP)))
    assert result.tokens == (*(result.reads[name].token for name in NAMES), 7, 20, 21, STOP)
    assert result.text_tokens == (20, 21)
