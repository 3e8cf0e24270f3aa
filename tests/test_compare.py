"""Evaluator.compare: both orders asked, swapped calls mirrored, ties, and clips that cannot be compared."""

from __future__ import annotations

import math

import pytest

from sqe_fast.evaluator import TIE_MARGIN, _winner
from sqe_fast.prompt import conclusion
from sqe_fast.results import ErrorCode
from tests.engine.fake_runner import FakeRunner, History
from tests.fake_evaluator import PROMPTS, fake_evaluator, fake_runner, joined, prose, silence, sound

PAIRS = [(seed, seed + 1) for seed in range(20, 44, 2)]
ARGUED = "Speech A is cleaner than Speech B."
A, B = PROMPTS.verdict_ids["A"], PROMPTS.verdict_ids["B"]


def asked(runner: FakeRunner) -> list[tuple[int, ...]]:
    """The prompts of the questions and of the argument: the prefills with two clips."""
    return [row.tokens for row in runner.prefilled if row.tokens.count(PROMPTS.encode("A:")[0])]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_swapping_the_clips_swaps_the_answer(first: int, second: int) -> None:
    """A model that prefers what it hears first; a probability that is one minus the other but for rounding."""
    there = fake_evaluator().compare(sound(first), sound(second))
    back = fake_evaluator().compare(sound(second), sound(first))
    assert there.probability is not None
    assert back.probability is not None
    assert there.probability == 1.0 - back.probability
    assert back.probability == 1.0 - there.probability
    assert there.winner == {"A": "B", "B": "A", "tie": "tie"}[back.winner or ""]
    assert (there.a, there.b) == (back.b, back.a)


def test_the_pairs_show_every_verdict() -> None:
    """The symmetry above would hold if all were ties."""
    winners = [fake_evaluator().compare(sound(a), sound(b), describe=False).winner for a, b in PAIRS]
    assert {"A", "B"} <= set(winners)


def test_the_probability_is_averaged_over_both_orders() -> None:
    """One order asked twice, or the second answer added without turning it round."""
    runner = fake_runner()
    comparison = fake_evaluator(runner).compare(sound(20, 1.0), sound(21, 2.0), describe=False)
    assert comparison.a.ratings is not None
    assert comparison.b.ratings is not None
    forward = PROMPTS.verdict(25, 50, comparison.a.ratings, comparison.b.ratings).tokens
    backward = PROMPTS.verdict(50, 25, comparison.b.ratings, comparison.a.ratings).tokens
    assert sorted(asked(runner)) == sorted([forward, backward])
    assert sum(len(row) for row in runner.decoded) == 8, "two ratings alone; a verdict is read from its prefill"


def arguing() -> FakeRunner:
    """A model that argues; it says so after a rating line too, where nobody asks it to."""
    return fake_runner(script=prose(ARGUED))


def test_a_model_that_prefers_what_it_hears_first_calls_a_tie() -> None:
    """Its bias must cancel, not decide."""
    runner = fake_runner(script=lambda history: (A,))
    comparison = fake_evaluator(runner).compare(sound(20), sound(21), describe=False)
    assert comparison.probability == pytest.approx(0.5, abs=1e-6)
    assert comparison.winner == "tie"


def hears(better: float) -> FakeRunner:
    """A model that prefers, of two clips of one second, the one whose embeddings begin with `better`."""

    def script(history: History) -> tuple[int, ...]:
        heard = [-value for value in history if value < 0]
        return () if len(heard) == 25 else (A,) if heard[0] == pytest.approx(better) else (B,)

    return fake_runner(script=script)


def embedding_of(seed: int) -> float:
    runner = fake_runner()
    fake_evaluator(runner).evaluate([sound(seed)], describe=False)
    return runner.encoded[0] + 1


@pytest.mark.parametrize("better", [20, 21])
def test_the_winner_is_the_one_the_model_prefers(better: int) -> None:
    """A sign lost on the way from the candidates to the verdict; a mirror that rounds where the model is sure."""
    runner = hears(embedding_of(better))
    there = fake_evaluator(runner).compare(sound(20), sound(21), describe=False)
    back = fake_evaluator(runner).compare(sound(21), sound(20), describe=False)
    assert (there.winner, back.winner) == (("A", "B") if better == 20 else ("B", "A"))
    assert there.probability is not None
    assert back.probability is not None
    assert max(there.probability, back.probability) > 0.99
    assert there.probability == 1.0 - back.probability
    assert back.probability == 1.0 - there.probability


def test_a_clip_against_itself_is_exactly_a_tie() -> None:
    """Chance deciding between equals; a question asked whose answer is known."""
    runner = fake_runner()
    comparison = fake_evaluator(runner).compare(sound(20), sound(20), describe=False)
    assert comparison.probability == 0.5
    assert comparison.winner == "tie"
    assert not asked(runner)
    assert len(runner.encoded) == 1


def test_the_margin_of_a_tie() -> None:
    """A coin's breadth called a victory."""
    assert [_winner(0.5 + d * TIE_MARGIN) for d in (-1.1, -0.9, 0.9, 1.1)] == ["B", "tie", "tie", "A"]


def test_the_argument_is_written_for_the_verdict_in_the_users_order() -> None:
    """Speech A of the text being the user's B; the MOS of one clip ascribed to the other."""
    for first, second in ((20, 21), (21, 20)):
        runner = arguing()
        comparison = fake_evaluator(runner).compare(sound(first, 1.0), sound(second, 2.0))
        assert comparison.a.ratings is not None
        assert comparison.b.ratings is not None
        assert comparison.winner is not None
        tokens = PROMPTS.argue(25, 50, comparison.a.ratings, comparison.b.ratings, comparison.winner).tokens
        assert asked(runner)[-1] == tokens
        assert comparison.description is not None
        opening = conclusion(comparison.winner, comparison.a.ratings.mos, comparison.b.ratings.mos)
        assert comparison.description.startswith(f"{opening} ")
        assert comparison.description[len(opening) + 1 :] == ARGUED


def test_nothing_is_made_up_about_a_clip_beside_itself() -> None:
    """Reasons why a clip is better than itself."""
    comparison = fake_evaluator(arguing()).compare(sound(20), sound(20))
    assert comparison.winner == "tie"
    assert comparison.description is not None
    assert comparison.description.startswith("Neither is preferred")
    assert ARGUED not in comparison.description


def test_each_clip_is_encoded_once() -> None:
    """Rated alone, asked in both orders and argued about: four uses of one embedding."""
    runner = arguing()
    evaluator = fake_evaluator(runner)
    evaluator.compare(sound(20), sound(21))
    assert len(runner.encoded) == 2
    assert evaluator.trace().encoder_cache_hits == 6
    assert evaluator.trace().clips == 2


def test_the_evaluations_are_those_of_evaluate() -> None:
    """A clip rated otherwise because it is compared."""
    comparison = fake_evaluator().compare(sound(20), sound(21))
    assert [comparison.a, comparison.b] == fake_evaluator().evaluate([sound(20), sound(21)], describe=False)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("unrated", [b"not a sound", silence(1)], ids=["bad", "silent"])
def test_a_clip_that_cannot_be_rated_has_no_rival(unrated: object, swapped: bool) -> None:
    """A verdict on a clip that was never heard, or an exception for what is a value elsewhere."""
    pair = (unrated, sound(20)) if swapped else (sound(20), unrated)
    comparison = fake_evaluator().compare(*pair)  # type: ignore[arg-type]
    assert comparison.winner is None
    assert comparison.probability is None
    assert comparison.description is None
    rated = comparison.b if swapped else comparison.a
    assert rated.ratings is not None


def test_a_failed_argument_keeps_the_verdict() -> None:
    """An endless argument must not cost the answer, nor pass for one."""
    runner = fake_runner(script=prose("The voice", stops=False))
    comparison = fake_evaluator(runner).compare(sound(20), sound(21))
    assert comparison.error is not None
    assert comparison.error.code is ErrorCode.GENERATION_FAILED
    assert comparison.winner is not None
    assert comparison.description is None
    assert comparison.to_row()["error"]["code"] == "generation_failed"


def test_a_pair_that_does_not_fit_is_an_error_of_the_comparison() -> None:
    """Two clips that fit alone and not together: their own ratings stand."""
    comparison = fake_evaluator(fake_runner(max_length=500)).compare(sound(20, 10.0), sound(21, 10.0))
    assert comparison.error is not None
    assert comparison.error.code is ErrorCode.TOO_LONG
    assert comparison.a.ratings is not None
    assert comparison.winner is None


def test_long_recordings_are_compared_by_their_typical_windows() -> None:
    """The first window standing for an hour; ratings of that window in place of the whole's."""
    long = joined(sound(20, 25), sound(21, 25), sound(22, 25))
    runner = fake_runner()
    comparison = fake_evaluator(runner).compare(long, sound(23), describe=False)
    back = fake_evaluator().compare(sound(23), long, describe=False)
    assert comparison.a.ratings is not None
    assert comparison.b.ratings is not None
    assert PROMPTS.verdict(625, 25, comparison.a.ratings, comparison.b.ratings).tokens in asked(runner)
    assert comparison.probability == 1.0 - (back.probability or math.nan)
