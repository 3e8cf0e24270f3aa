"""Evaluations with causes: beside others as alone, in pickles, and none from a checkpoint that lists none."""

from __future__ import annotations

import pickle

import pytest

from sqe_fast import Cause
from sqe_fast.answer.causes import MOST
from sqe_fast.results import DIMENSIONS
from tests.support.fake_evaluator import LISTING, SAID, fake_evaluator, fake_runner, gather, sound
from tests.support.stocks import EAGER

SOURCES = [sound(seed, seconds) for seed, seconds in enumerate((0.5, 3.2, 1.0, 0.7, 2.0, 5.0, 0.4, 1.5, 0.9, 1.1))]


@pytest.mark.parametrize("describe", [True, False])
def test_batched_equals_alone(describe: bool) -> None:
    """Causes that depend on the neighbours, or come back under another clip's name."""
    together = fake_evaluator(prompts=LISTING).evaluate(SOURCES, describe)
    single = [fake_evaluator(fake_runner(slots=1), LISTING).evaluate([each], describe)[0] for each in SOURCES]
    assert together == single
    assert len({evaluation.causes for evaluation in together}) > 5


def test_the_prose_changes_no_cause() -> None:
    """Causes that are read only where a description is asked for, or read again after it."""
    described, plain = (fake_evaluator(prompts=LISTING).evaluate(SOURCES, describe) for describe in (True, False))
    assert [evaluation.causes for evaluation in described] == [evaluation.causes for evaluation in plain]
    for evaluation in described:
        assert evaluation.description == SAID.replace("1.0", f"{evaluation.mos:.1f}")


def test_causes_are_names_of_the_stock() -> None:
    """The end among them; a dimension that is another's; more than a list holds."""
    for evaluation in fake_evaluator(prompts=LISTING).evaluate(SOURCES, describe=False):
        assert len(evaluation.causes) <= MOST
        for cause in evaluation.causes:
            assert isinstance(cause, Cause)
            assert cause.dimension == EAGER.causes.dimension[cause.name]
            assert cause.dimension in DIMENSIONS
            assert EAGER.causes.reading[cause.name].threshold <= cause.probability <= 1


def test_a_list_costs_its_own_passes_only() -> None:
    """A pass for the newline that ends a list which nobody reads on from."""
    runner = fake_runner()
    evaluator = fake_evaluator(runner, LISTING)
    gather(evaluator, runner, 3)
    evaluations = evaluator.evaluate([sound(1), sound(2), sound(3)], describe=False)
    listed = [min(len(evaluation.causes) + 1, MOST) for evaluation in evaluations]
    assert len(runner.decoded) == 4 + max(listed)
    assert evaluator.trace().decode_tokens == sum(4 + passes for passes in listed)


def test_an_evaluation_pickles() -> None:
    """Workers hand rows to one another."""
    [evaluation] = fake_evaluator(prompts=LISTING).evaluate([SOURCES[0]])
    assert evaluation.causes
    assert pickle.loads(pickle.dumps(evaluation)) == evaluation


def test_a_checkpoint_without_a_stock_lists_nothing() -> None:
    """Numbers first and prose next, as it was trained."""
    evaluations = fake_evaluator().evaluate(SOURCES[:2])
    assert [evaluation.causes for evaluation in evaluations] == [(), ()]
    assert [evaluation.to_row()["causes"] for evaluation in evaluations] == [[], []]
    listing = fake_evaluator(prompts=LISTING).evaluate(SOURCES[:2])
    assert [evaluation.ratings for evaluation in listing] == [evaluation.ratings for evaluation in evaluations]


def test_both_sides_of_a_comparison_carry_their_causes() -> None:
    comparison = fake_evaluator(prompts=LISTING).compare(SOURCES[0], SOURCES[1], describe=False)
    alone = fake_evaluator(prompts=LISTING).evaluate(SOURCES[:2], describe=False)
    assert [comparison.a.causes, comparison.b.causes] == [evaluation.causes for evaluation in alone]
    assert comparison.to_row()["a"]["causes"] == alone[0].to_row()["causes"] != []
