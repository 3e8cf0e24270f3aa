"""Causes named against causes recorded: a coarser name is no lie, an invented one is."""

import math

from training.evaluation.cause_scores import cause_scores, single_scores


def row(*causes: tuple[str, float], family: str = "noise") -> dict:  # type: ignore[type-arg]
    return {"causes": [{"name": name, "rating": rating, "family": family} for name, rating in causes]}


def test_a_coarser_name_is_right_and_counts_as_named() -> None:
    """Who says "sudden sounds" of typing has heard it; who says "typing" of a bang has not."""
    rows = [row(("typing", 2.0)), row(("sudden sounds", 2.0))]
    found = cause_scores(rows, [["sudden sounds"], ["typing"]])
    assert (found.precision.right, found.precision.of) == (1, 2)
    assert found.recall["typing"].right == 1
    assert found.recall["sudden sounds"].right == 0
    assert found.confusion["sudden sounds"] == {"typing": 1}


def test_recall_asks_for_every_bad_cause_and_for_no_mild_one() -> None:
    """The worst of a dimension alone would let a model be silent about the hum behind the voices."""
    rows = [row(("hum", 2.0), ("voices", 1.5), ("coding", 3.9))]
    found = cause_scores(rows, [["voices"]])
    assert {name: (share.right, share.of) for name, share in found.recall.items()} == {"hum": (0, 1), "voices": (1, 1)}
    assert found.macro_recall == 0.5
    assert found.confusion["hum"] == {"voices": 1}


def test_what_is_unclear_names_nothing() -> None:
    found = cause_scores([row(("hum", 2.0))], [["unclear noise"]])
    assert found.precision.of == 0
    assert found.confusion["hum"] == {"nothing": 1}


def test_kinds_count_the_same_however_often_they_occur() -> None:
    rows = [row(("hum", 2.0))] * 30 + [row(("typing", 2.0))]
    found = cause_scores(rows, [["hum"]] * 30 + [[]])
    assert found.macro_recall == 0.5
    assert list(found.worst) == ["hum"]
    assert math.isnan(cause_scores([row()], [[]]).macro_recall)


def test_one_degradation_alone_is_named_or_missed_or_invented() -> None:
    rows = [row(("packet loss", 2.0), family="loss"), row(("packet loss", 2.0), family="loss")]
    found = single_scores(rows, [["packet loss", "hum"], []])
    assert (found["loss"]["right"].right, found["loss"]["wrong"].right, found["loss"]["right"].of) == (1, 1, 2)


def test_kinds_of_which_most_are_missed_are_listed() -> None:
    """A kind that is never named hidden by a mean; one with a few clips blamed for them."""
    rows = [row(("hum", 2.0))] * 20 + [row(("typing", 2.0))] * 20 + [row(("wind", 2.0))] * 19
    found = cause_scores(rows, [["hum"]] * 10 + [[]] * 10 + [["typing"]] * 9 + [[]] * 30)
    assert found.missed == ["typing"]
    assert found.to_row()["missed"] == ["typing"]
    assert cause_scores([row()], [[]]).to_row()["macro_recall"] is None
