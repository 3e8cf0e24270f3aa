"""Ratings of several tokens: every branch is read, from where the spelling began, and what is said of it is exact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from sqe_fast.answer.program import Force, Program, Spell, Write
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import Request, Result, Sampling
from tests.support.fake_runner import FakeRunner
from tests.support.programs import NEWLINE, PROSE, STOP, saying

SPACE, POINT, DIGITS = 50, 51, tuple(range(40, 50))
VALUES = tuple(round(1 + n / 10, 1) for n in range(41))
SPELLINGS = tuple((SPACE, DIGITS[int(value)], POINT, DIGITS[round(10 * value) % 10]) for value in VALUES)


def rating(prompt: int, *, prose: bool = False, error: float = 0.0) -> Request:
    """Two numbers; and prose, in which a number is the second one."""
    steps = [Spell(name, SPELLINGS, VALUES, error=error) for name in ("one", "two")]
    write = Write(("two",), STOP, frozenset(DIGITS[1:6]), PROSE, max_tokens=12, before_number=1)
    return Request(
        Program((1, 2, *range(10, 10 + prompt)), (*steps, *((Force((NEWLINE,)), write) if prose else ()))), ()
    )


def expected(runner: FakeRunner, before: Sequence[int]) -> np.ndarray:
    """Of each number the product of its tokens' probabilities, each among those that any number goes on with."""

    def chances(begun: tuple[int, ...], tokens: Sequence[int]) -> dict[int, float]:
        logits = runner.logits(tuple(float(token) for token in (*before, *begun)))[list(tokens)].astype(np.float64)
        weights = np.exp(logits - logits.max())
        return dict(zip(tokens, weights / weights.sum(), strict=True))

    whole = chances((SPACE,), DIGITS[1:6])
    found = []
    for _, digit, _, tenth in SPELLINGS:
        tenths = DIGITS if digit != DIGITS[5] else DIGITS[:1]
        found.append(whole[digit] * chances((SPACE, digit, POINT), tenths)[tenth])
    return np.array(found)


def test_the_distribution_is_the_product_along_each_spelling() -> None:
    """The second digit read behind the likeliest first one alone; a branch read behind what another one left."""
    runner = FakeRunner(slots=1)
    [result] = Engine(runner).run([rating(3)])
    before = [1, 2, 10, 11, 12]
    for name in ("one", "two"):
        read = result.reads[name]
        exact = expected(runner, before)
        np.testing.assert_allclose(read.probabilities, exact, rtol=1e-5)
        assert read.mean == pytest.approx(float(exact @ np.array(VALUES)), abs=1e-5)
        nearest = SPELLINGS[int(np.abs(np.array(VALUES) - read.mean).argmin())]
        before += nearest
        assert read.token == nearest[-1]
    assert list(result.tokens) == before[5:]
    assert (
        len(runner.decoded) == 4 + 1 + 4
    )  # of each number four branches; "5.0" is none, and the first digit is prefilled


def test_batched_equals_alone() -> None:
    """Sequences that are at different branches of different numbers, and some in prose."""
    script = saying(20, SPACE, (DIGITS[4], DIGITS[2]), POINT, DIGITS[9], 21, STOP)
    requests = [rating(2 + n % 4, prose=n % 2 == 0) for n in range(7)]
    together = Engine(FakeRunner(slots=4, script=script)).run(requests)
    for request, found in zip(requests, together, strict=True):
        [alone] = Engine(FakeRunner(slots=1, script=script)).run([request])
        assert found.tokens == alone.tokens
        for name in ("one", "two"):
            assert np.array_equal(found.reads[name].probabilities, alone.reads[name].probabilities)


def test_a_number_in_prose_is_the_one_that_was_read() -> None:
    [result] = Engine(FakeRunner(script=saying(20, SPACE, (DIGITS[4], DIGITS[2]), POINT, DIGITS[9], 21, STOP))).run(
        [rating(3, prose=True)]
    )
    two = SPELLINGS[int(np.abs(np.array(VALUES) - result.reads["two"].mean).argmin())]
    assert result.text_tokens == (20, *two, 21)


def test_what_a_model_errs_by_is_in_a_spelt_rating_too() -> None:
    plain, blurred = (Engine(FakeRunner()).run([rating(3, error=error)])[0].reads["one"] for error in (0.0, 0.5))
    assert blurred.mean == plain.mean
    assert blurred.std == pytest.approx(np.hypot(plain.std, 0.5))


def test_a_drawn_number_is_drawn_from_the_whole_distribution() -> None:
    """Digit after digit from their own would be the same; from one branch alone would not."""
    requests = [dataclasses.replace(rating(3), sampling=Sampling(seed)) for seed in range(400)]
    results: list[Result] = Engine(FakeRunner(slots=8)).run(requests)
    wanted = results[0].reads["one"].probabilities
    drawn = [SPELLINGS.index(result.tokens[:4]) for result in results]  # type: ignore[arg-type]
    counts = np.bincount(drawn, minlength=41) / len(drawn)
    assert np.abs(counts - wanted).max() < 0.08
    assert {result.reads["one"].mean for result in results} == {results[0].reads["one"].mean}
