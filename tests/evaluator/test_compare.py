"""Evaluator.compare: the verdict follows the ratings; swapped calls, ties, and clips that cannot be compared."""

from __future__ import annotations

import asyncio

import pytest

from sqe_fast.answer.argument import conclusion, outline
from sqe_fast.answer.program import Draft
from sqe_fast.answer.scale import shown, verdict
from sqe_fast.errors import ErrorCode
from tests.support.fake_evaluator import PROMPTS, fake_evaluator, fake_runner, joined, prose, silence, sound
from tests.support.fake_runner import FakeRunner

PAIRS = [(seed, seed + 1) for seed in range(20, 44)]
ARGUED = f"{'Speech A is cleaner than Speech B, ' * 3}so it is."
"""Long enough to go on after the beginning of a reason, which is not heard."""


def asked(runner: FakeRunner) -> list[tuple[int, ...]]:
    """The prompts of arguments: the prefills with two clips."""
    return [row.tokens for row in runner.prefilled if row.tokens.count(PROMPTS.encode("A:")[0])]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_swapping_the_clips_swaps_the_answer(first: int, second: int) -> None:
    """A rating that depends on what was rated before; a probability that is one minus the other but for rounding."""
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
    assert {"A", "B", "tie"} == set(winners)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_winner_has_the_higher_mos(first: int, second: int) -> None:
    """A preference for the clip with the lower MOS, both numbers standing beside it."""
    comparison = fake_evaluator().compare(sound(first), sound(second), describe=False)
    assert comparison.a.mos is not None
    assert comparison.b.mos is not None
    assert comparison.winner == verdict(comparison.a.mos, comparison.b.mos)


@pytest.mark.parametrize("describe", [False, True])
def test_an_event_loop_gets_the_same(describe: bool) -> None:
    there = fake_evaluator(arguing()).compare(sound(20), sound(21), describe)
    evaluator = fake_evaluator(arguing())
    assert asyncio.run(evaluator.acompare(sound(20), sound(21), describe)) == there
    with pytest.raises(ValueError, match="a comparison is of one sound"):
        asyncio.run(evaluator.acompare(sound(20), sound(21), channels="each"))


def test_two_numbers_alone_decide() -> None:
    """Passes of the model for what follows from the ratings."""
    runner = fake_runner()
    fake_evaluator(runner).compare(sound(20), sound(21), describe=False)
    assert not asked(runner)
    assert sum(len(row) for row in runner.decoded) == 8


def arguing() -> FakeRunner:
    """A model that argues; it says so after a rating line too, where nobody asks it to."""
    return fake_runner(script=prose(ARGUED))


def test_a_clip_against_itself_is_exactly_a_tie() -> None:
    """Chance deciding between equals; a question asked whose answer is known."""
    runner = fake_runner()
    comparison = fake_evaluator(runner).compare(sound(20), sound(20), describe=False)
    assert comparison.probability == 0.5
    assert comparison.winner == "tie"
    assert not asked(runner)
    assert len(runner.encoded) == 1


def test_the_argument_is_written_for_the_verdict_in_the_users_order() -> None:
    """Speech A of the text being the user's B; the MOS of one clip ascribed to the other."""
    for first, second in ((35, 36), (36, 35)):
        runner = arguing()
        comparison = fake_evaluator(runner).compare(sound(first, 1.0), sound(second, 1.6))
        assert comparison.a.ratings is not None
        assert comparison.b.ratings is not None
        assert comparison.winner is not None
        program = PROMPTS.argue(25, 40, comparison.a.ratings, comparison.b.ratings, comparison.winner)
        tokens = tuple(Draft(program).tokens)
        assert asked(runner)[-1] == tokens
        places = [place for place, token in enumerate(tokens) if token == PROMPTS.audio_token_id]
        heard = [-runner.memory[0][places[place]] - 1 for place in (0, 25)]
        assert heard == pytest.approx([value for [value] in runner.encoded], abs=1e-6), "each clip in its own place"
        assert comparison.description is not None
        opening = conclusion(comparison.winner, comparison.a.ratings.mos, comparison.b.ratings.mos)
        assert comparison.description.startswith(f"{opening} ")
        a, b = shown(comparison.a.ratings), shown(comparison.b.ratings)
        [reason], weighing = outline(a, b, comparison.winner)
        told = comparison.description[len(opening) + 1 :].removesuffix(f" {weighing}")
        assert told.startswith(reason)
        assert told.removeprefix(reason) in ARGUED, "what the model says of it is its own"
        assert told.endswith(".")


def test_nothing_is_made_up_about_a_clip_beside_itself() -> None:
    """Reasons why a clip is better than itself."""
    comparison = fake_evaluator(arguing()).compare(sound(20), sound(20))
    assert comparison.winner == "tie"
    assert comparison.description is not None
    assert comparison.description.startswith("Neither is preferred")
    assert ARGUED not in comparison.description


def test_a_part_beside_its_whole_is_not_the_same_recording() -> None:
    """The window that stands for the whole is the other clip, and their ratings differ."""
    parts = [sound(seed, 25) for seed in (20, 21, 22)]
    whole = joined(*parts)
    runner = arguing()
    comparisons = [fake_evaluator(runner).compare(whole, part) for part in parts]
    for comparison in comparisons:
        assert comparison.a.ratings is not None
        assert comparison.b.ratings is not None
        assert comparison.winner is not None
        ratings = shown(comparison.a.ratings), shown(comparison.b.ratings)
        assert (comparison.description or "").endswith(outline(*ratings, comparison.winner)[1])
    assert not [c for c in comparisons if "the same recording" in (c.description or "")]


def test_each_clip_is_encoded_once() -> None:
    """Rated alone and argued about: two uses of one embedding."""
    runner = arguing()
    evaluator = fake_evaluator(runner)
    evaluator.compare(sound(20), sound(24))
    assert len(asked(runner)) == 1
    assert len(runner.encoded) == 2
    assert evaluator.trace().encoder_cache_hits == 2
    assert evaluator.trace().clips == 2


def test_an_argument_without_an_obvious_gap_asks_the_model_nothing() -> None:
    """A pass for a sentence that follows from the ratings."""
    runner = arguing()
    comparison = fake_evaluator(runner).compare(sound(20), sound(21))
    assert not asked(runner)
    assert comparison.a.ratings is not None
    assert comparison.b.ratings is not None
    assert comparison.winner is not None
    opening = conclusion(comparison.winner, comparison.a.ratings.mos, comparison.b.ratings.mos)
    begun, weighing = outline(shown(comparison.a.ratings), shown(comparison.b.ratings), comparison.winner)
    assert not begun
    assert comparison.description == f"{opening} {weighing}"


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
    comparison = fake_evaluator(runner).compare(sound(24), sound(25))
    assert comparison.error is not None
    assert comparison.error.code is ErrorCode.GENERATION_FAILED
    assert comparison.winner is not None
    assert comparison.description is None
    assert comparison.to_row()["error"]["code"] == "generation_failed"


def test_a_pair_that_does_not_fit_costs_its_argument_alone() -> None:
    """Two clips that fit alone and not together: ratings and verdict stand."""
    comparison = fake_evaluator(fake_runner(max_length=500)).compare(sound(20, 10.0), sound(21, 10.0))
    assert comparison.error is not None
    assert comparison.error.code is ErrorCode.TOO_LONG
    assert comparison.a.ratings is not None
    assert comparison.winner is not None
    assert comparison.description is None


def test_long_recordings_are_compared_by_their_typical_windows() -> None:
    """The first window standing for an hour; ratings of that window in place of the whole's."""
    long = joined(sound(21, 25), sound(22, 25), sound(23, 25))
    runner = fake_runner()
    comparison = fake_evaluator(runner).compare(long, sound(24))
    assert comparison.a.ratings is not None
    assert comparison.b.ratings is not None
    assert comparison.winner is not None
    argued = PROMPTS.argue(625, 25, comparison.a.ratings, comparison.b.ratings, comparison.winner)
    assert asked(runner) == [tuple(Draft(argued).tokens)]
