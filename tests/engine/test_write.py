"""Prose that goes wrong: what counts as wrong, the one retry, and what is left when it fails too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sqe_fast.answer.program import Force, Program
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import TOP_K, Request, Result, Sampling
from sqe_fast.errors import ErrorCode
from sqe_fast.runners.base import Top
from tests.support.fake_runner import FakeRunner, Script
from tests.support.programs import MARKER, NAMES, NEWLINE, NUMBERS, STOP, described, rating, saying, write

MARKERS = tuple(range(MARKER, MARKER + TOP_K))
"""Nothing else is among the best tokens."""


def run(script: Script, **options: int) -> tuple[Result, FakeRunner]:
    runner = FakeRunner(script=script)
    [result] = Engine(runner).run([described(0.5, **options)])
    return result, runner


@pytest.mark.parametrize(
    "words",
    [(20,), (20, MARKERS, STOP), ((STOP, *MARKERS[1:]),)],
    ids=["endless", "markers", "empty"],
)
def test_prose_that_fails_twice_is_an_error_and_its_ratings_stay(words: tuple[int | tuple[int, ...], ...]) -> None:
    """An endless, empty or malformed description passed on as if it were one, or its ratings lost."""
    result, runner = run(saying(*words))
    assert result.error is not None
    assert result.error.code is ErrorCode.GENERATION_FAILED
    assert result.text_tokens == ()
    assert tuple(result.reads) == NAMES
    assert len(runner.decoded) <= 4 + 2 + 2 * 10, "more than one retry"


def test_the_cap_counts_the_stop() -> None:
    """One token more than the memory was reserved for."""
    assert run(saying(*[20] * 9, STOP), max_tokens=10)[0].text_tokens == (20,) * 9
    assert run(saying(*[20] * 10, STOP), max_tokens=10)[0].error is not None


@pytest.mark.parametrize("word", [MARKER, STOP])
def test_a_marker_or_an_empty_answer_is_retried_without_it(word: int) -> None:
    """A marker kept in the prose, or a retry that draws the same one again."""
    result, _ = run(saying(word, 20, 21, STOP))
    assert result.error is None
    assert result.text_tokens[1:] == (20, 21)
    assert result.text_tokens[0] not in (MARKER, STOP)


LOOP = saying(20, (20, 21, 22), (20, STOP, 21), (20, STOP, 21), (20, STOP, 21))
"""Greedy, it says 20 for ever; sampled, it soon stops."""


def test_a_retry_samples_and_can_succeed() -> None:
    """A retry that is greedy again fails again."""
    result, _ = run(LOOP)
    assert result.error is None
    assert result.text_tokens[0] == 20
    assert 2 <= len(result.text_tokens) < 10


def test_a_retry_overwrites_the_spoilt_prose() -> None:
    """Spoilt tokens left in memory, or positions shifted: what follows would be conditioned on them."""
    result, runner = run(LOOP)
    memory = runner.memory[0]
    prompt = 9 + 5 + 1
    assert tuple(int(token) for token in memory[prompt:]) == result.text_tokens


def test_a_retry_takes_no_pass_to_start_again() -> None:
    """The distribution before the first token was seen; computing it again costs a pass."""
    result, runner = run(LOOP)
    spoilt, rewritten = 9, len(result.text_tokens)
    assert len(runner.decoded) == 4 + 1 + spoilt + rewritten


def test_a_retry_depends_on_the_content_alone() -> None:
    """Sampling from a global or shared generator: the same clip described otherwise beside other neighbours."""
    requests = [described(n / 10, max_tokens=12) for n in range(6)]
    together = Engine(FakeRunner(slots=3, script=LOOP)).run([rating(0.9), *requests])[1:]
    backwards = Engine(FakeRunner(slots=2, script=LOOP)).run(requests[::-1])[::-1]
    assert [result.text_tokens for result in together] == [result.text_tokens for result in backwards]
    assert len({result.text_tokens for result in together}) > 1, "all clips drew the same numbers"


def test_numbers_count_anew_in_a_retry() -> None:
    """A second attempt that goes on counting would force the first number to the second rating."""
    script = saying(NUMBERS[0], NUMBERS[0], MARKER)

    def second_time(history: tuple[float, ...]) -> tuple[int, ...]:
        return (MARKER, STOP) if len(history) == 4 else script(history)

    program = Program((1, 7), (write(NUMBERS[3], NUMBERS[6]),))
    [result] = Engine(FakeRunner(script=second_time)).run([Request(program, ())])
    assert result.error is None
    assert result.text_tokens == (NUMBERS[3], NUMBERS[6])


DOT = 29


def outlined(*said: int | tuple[int, ...], outline: tuple[tuple[int, ...], ...]) -> Result:
    program = Program((1, 20, 7), (replace(write(max_tokens=16), outline=outline, full_stop=DOT),))
    [result] = Engine(FakeRunner(script=saying(*said))).run([Request(program, ())])
    return result


def test_sentences_begin_as_outlined_and_the_last_is_given_whole() -> None:
    """A model that opens another dimension, goes on after the last sentence, or is asked where nothing is open."""
    # What it would say at each place; where the outline speaks, it is not heard.
    said = (9, 9, 23, DOT, 9, 24, 25, DOT, 9, 9, 9)
    result = outlined(*said, outline=((20, 21), (22,), (26, DOT, STOP)))
    assert result.error is None
    assert result.text_tokens == (20, 21, 23, DOT, 22, 24, 25, DOT, 26, DOT)
    assert outlined(9, outline=((26, DOT, STOP),)).text_tokens == (26, DOT)


def test_what_the_outline_says_asks_for_nothing() -> None:
    """The whole head multiplied, or a pass made, for words that are given."""
    runner = FakeRunner(script=saying(9, 9, 23, DOT, 9))
    step = replace(write(max_tokens=16), outline=((20, 21), (26, DOT, STOP)), full_stop=DOT)
    [result] = Engine(runner).run([Request(Program((1, 20, 7), (step,)), ())])
    assert result.text_tokens == (20, 21, 23, DOT, 26, DOT)
    # After 21 and after 23 the model is heard. What follows the full stop is given, up to the end.
    assert [(step.tokens, step.asks) for step in runner.prefilled] == [((1, 20, 7, 20, 21), Top(TOP_K))]
    assert [(step.tokens, step.asks) for [step] in runner.decoded] == [((23,), Top(TOP_K))]


def test_an_outlined_text_cannot_end_before_its_last_sentence() -> None:
    """Half an argument passed on as a whole one; the retry must not draw the stop either."""
    result = outlined(9, STOP, outline=((20,), (26, DOT, STOP)))
    assert result.error is not None
    result = outlined(9, (STOP, 23), DOT, outline=((20,), (26, DOT, STOP)))
    assert result.error is None
    assert result.text_tokens == (20, 23, DOT, 26, DOT)


def test_a_retry_of_outlined_text_feeds_its_beginning_once() -> None:
    """The outline's first words are in memory: feeding them again costs passes."""
    runner = FakeRunner(script=saying(9, 9, MARKERS, DOT))
    step = replace(write(max_tokens=16), outline=((20, 21), (26, DOT, STOP)), full_stop=DOT)
    [result] = Engine(runner).run([Request(Program((1, 20, 7), (step,)), ())])
    assert result.error is not None
    assert not runner.decoded, "spoilt at once, twice"
    alternatives = FakeRunner(script=saying(9, 9, (MARKER, 23), DOT))
    [result] = Engine(alternatives).run([Request(Program((1, 20, 7), (step,)), ())])
    assert result.text_tokens == (20, 21, 23, DOT, 26, DOT)
    assert [step.tokens for [step] in alternatives.decoded] == [(23,)]


@pytest.mark.parametrize("sampled", [False, True])
def test_each_text_has_a_retry_of_its_own(sampled: bool) -> None:
    """After a retry the next text sampled too, or given up at its first slip; or greedy, where all was to be drawn."""

    def script(history: tuple[float, ...]) -> tuple[int, ...]:
        second = history.index(NEWLINE) if NEWLINE in history else len(history)
        written = len(history) - second - 1 if second < len(history) else len(history) - 2
        if second == len(history) and not sampled:
            return (MARKER, 20, STOP) if written == 0 else (STOP,)
        return (20, 21, 22, 23, 24) if written < 4 else (STOP,)

    steps = (write(), Force((NEWLINE,)), write())
    seeds = range(12)
    requests = [Request(Program((1, 2), steps), (), Sampling(seed, top=64) if sampled else None) for seed in seeds]
    results = Engine(FakeRunner(script=script)).run(requests)
    assert not [result.error for result in results if result.error]
    second = {result.tokens[result.tokens.index(NEWLINE) + 1 :] for result in results}
    assert len(second) > 6 if sampled else second == {(20, 20, 20, 20, STOP)}


def test_a_second_text_may_be_retried_after_the_first_was() -> None:
    """One retry for all texts, or the beginning of the first given to the second."""

    def script(history: tuple[float, ...]) -> tuple[int, ...]:
        words = {2: (MARKER, 20), 5: (MARKER, 21)}
        return words.get(len(history), (STOP, 22))

    [result] = Engine(FakeRunner(script=script)).run(
        [Request(Program((1, 2), (write(), Force((NEWLINE,)), write())), ())]
    )
    assert result.error is None
    assert [token for token in result.tokens if token not in (STOP, 22)] == [20, NEWLINE, 21]
