"""Evaluator.rank: order, ties, arguments between neighbours, and clips that cannot be ranked."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from sqe_fast.answer.scale import verdict
from sqe_fast.errors import ErrorCode
from tests.support.fake_evaluator import PROMPTS, fake_evaluator, fake_runner, joined, prose, silence, sound
from tests.support.fake_runner import FakeRunner

CLIPS = [sound(seed) for seed in range(20, 32)]
ARGUED = f"{'Speech A is cleaner than Speech B, ' * 3}so it is."


def argued(runner: FakeRunner) -> int:
    """How many comparisons were prefilled: prompts with two clips."""
    return sum(step.past == 0 and step.tokens.count(PROMPTS.encode("B:")[0]) > 0 for step in runner.prefilled)


def test_the_order_is_that_of_the_mos() -> None:
    """Clips that are rated otherwise than by `evaluate`, or that lose their names on the way."""
    ranked = fake_evaluator().rank(CLIPS)
    evaluations = fake_evaluator().evaluate(CLIPS, describe=False)
    mos = [each.evaluation.mos for each in ranked]
    assert mos == sorted((each.mos for each in evaluations), reverse=True)  # type: ignore[type-var]
    assert [each.place for each in ranked] == list(range(1, len(CLIPS) + 1))
    for each in ranked:
        assert each.evaluation.source is not None
        assert each.evaluation == evaluations[each.evaluation.source]


def test_neighbours_stand_as_comparing_them_says() -> None:
    """A tie between the wrong two, a probability of being worse, two ways to compare."""
    evaluator = fake_evaluator()
    ranked = evaluator.rank(CLIPS)
    ties = [each.tied for each in ranked[:-1]]
    assert {True, False} == set(ties), "clips that show both"
    for this, following in pairwise(ranked):
        a, b = this.evaluation, following.evaluation
        assert a.mos is not None
        assert b.mos is not None
        assert this.tied == (verdict(a.mos, b.mos) == "tie")
        assert a.source is not None
        assert b.source is not None
        assert this.probability == evaluator.compare(CLIPS[a.source], CLIPS[b.source], describe=False).probability
    assert (ranked[-1].tied, ranked[-1].probability, ranked[-1].description) == (None, None, None)


def test_the_order_in_which_they_come_changes_nothing() -> None:
    there = fake_evaluator().rank(CLIPS)
    back = fake_evaluator().rank(CLIPS[::-1])
    assert there == back


def test_only_ratings_are_asked_for_without_arguments() -> None:
    runner = fake_runner()
    ranked = fake_evaluator(runner).rank(CLIPS)
    assert argued(runner) == 0
    assert len(runner.prefilled) == len(runner.encoded) == len(CLIPS)
    assert all(each.description is None for each in ranked)


def test_neighbours_are_argued_about_and_encoded_once() -> None:
    """Every pair argued about; a clip encoded for each of its neighbours; an argument that is not `compare`'s."""
    runner = fake_runner(script=prose(ARGUED))
    ranked = fake_evaluator(runner).rank(CLIPS, describe=True)
    assert len(runner.encoded) == len(CLIPS)
    assert 0 < argued(runner) < len(CLIPS)
    for this, following in pairwise(ranked):
        assert this.evaluation.source is not None
        assert following.evaluation.source is not None
        pair = CLIPS[this.evaluation.source], CLIPS[following.evaluation.source]
        assert this.description is not None
        assert this.description == fake_evaluator(fake_runner(script=prose(ARGUED))).compare(*pair).description


@pytest.mark.parametrize("describe", [False, True])
def test_what_is_wrong_with_a_clip_costs_its_own_place(describe: bool) -> None:
    """An exception for a bad file, its neighbours' order lost, silence that is ranked."""
    ranked = fake_evaluator().rank([sound(20), b"no sound", sound(24), silence(1), sound(27)], describe=describe)
    alone = fake_evaluator().rank([sound(20), sound(24), sound(27)], describe=describe)
    assert [each.evaluation for each in ranked[:3]] == [each.evaluation for each in alone]
    assert [each.probability for each in ranked[:3]] == [each.probability for each in alone]
    bad, silent = ranked[3:]
    assert (bad.place, silent.place) == (None, None)
    assert bad.evaluation.error is not None
    assert bad.evaluation.error.code is ErrorCode.UNSUPPORTED_FORMAT
    assert silent.evaluation.flags == ("silent",)
    assert bad.to_row()["error"]["code"] == "unsupported_format"


def test_a_failed_argument_keeps_the_ranking() -> None:
    ranked = fake_evaluator(fake_runner(script=prose("The voice", stops=False))).rank(CLIPS[:5], describe=True)
    failed = [each for each in ranked if each.error is not None]
    assert failed
    for each in failed:
        assert each.error is not None
        assert each.error.code is ErrorCode.GENERATION_FAILED
        assert each.place is not None
        assert each.description is None
        assert each.to_row()["error"]["code"] == "generation_failed"


def test_long_recordings_are_ranked_by_the_whole() -> None:
    long = joined(sound(21, 25), sound(22, 25), sound(23, 25))
    evaluator = fake_evaluator(fake_runner(script=prose(ARGUED)))
    ranked = evaluator.rank([sound(24), long], describe=True)
    [whole] = evaluator.evaluate([long], describe=False)
    assert whole in [each.evaluation for each in ranked]
    assert ranked[0].description is not None


def test_few_or_none() -> None:
    assert fake_evaluator().rank([]) == []
    [only] = fake_evaluator().rank([sound(20)], describe=True)
    assert (only.place, only.tied, only.probability, only.description) == (1, None, None, None)


def test_the_same_recording_twice_is_a_tie_in_the_order_given() -> None:
    runner = fake_runner(script=prose(ARGUED))
    first, second = fake_evaluator(runner).rank([sound(20), sound(20)], describe=True)
    assert (first.evaluation.source, second.evaluation.source) == (0, 1)
    assert (first.tied, first.probability) == (True, 0.5)
    assert first.description is not None
    assert "same recording" in first.description
    assert argued(runner) == 0


@pytest.mark.parametrize("describe", [False, True])
def test_an_event_loop_gets_the_same(describe: bool) -> None:
    there = fake_evaluator(fake_runner(script=prose(ARGUED))).rank(CLIPS, describe)
    evaluator = fake_evaluator(fake_runner(script=prose(ARGUED)))
    assert asyncio.run(evaluator.arank(CLIPS, describe)) == there


def test_a_choice_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="a ranking is of one sound"):
        fake_evaluator().rank([sound(20)], channels="each")
    with pytest.raises(TypeError, match="several sources"):
        fake_evaluator().rank("a.wav")
    with pytest.raises(ValueError, match="a ranking is of one sound"):
        asyncio.run(fake_evaluator().arank([sound(20)], channels="each"))


def test_rows() -> None:
    """Columns of `evaluate`'s rows that are missing, or an argument that passes for a clip's description."""
    evaluator = fake_evaluator(fake_runner(script=prose(ARGUED)))
    ranked = evaluator.rank([sound(20), sound(24)], describe=True)
    row = ranked[0].to_row()
    assert list(row) == ["place", "tied", "probability", *ranked[0].evaluation.to_row()]
    assert row["description"] == ranked[0].description
    assert row["probability"] == round(ranked[0].probability or 0, 4)
