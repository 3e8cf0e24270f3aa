"""Which cause is written next: each branch of the decision on planted distributions, and what a list may hold."""

from __future__ import annotations

import random

import pytest

from sqe_fast.answer.causes import END, MOST, UNCLEAR, Calibration, Causes, Kind
from sqe_fast.results import Cause
from tests.support.stocks import KINDS, NAMES, causes

EVEN = Calibration(threshold=0.5)


def planted(**chances: float) -> dict[str, float]:
    """Of the names given ("packet_loss"), the end with them; all others have next to nothing."""
    given = {name.replace("_", " "): chance for name, chance in chances.items()}
    return {name: given.get(name, 1e-9) for name in NAMES}


def named(chances: dict[str, float], table: Causes | None = None) -> str | None:
    decided = (table or causes()).decide(chances)
    return decided.name if decided else None


def test_a_sure_cause_is_named_with_its_probability() -> None:
    decided = causes().decide(planted(packet_loss=0.7, end=0.3))
    assert decided == Cause("packet loss", "discontinuity", pytest.approx(0.7))


def test_two_sure_causes_of_different_dimensions_are_both_named() -> None:
    """One that is only half as likely to come next because another is as bad, taken for half as likely to be there."""
    strict = causes(packet_loss=Calibration(threshold=0.95), hum=Calibration(threshold=0.95))
    first = strict.decide(planted(packet_loss=0.51, hum=0.48, end=0.01))
    assert first == Cause("packet loss", "discontinuity", pytest.approx(0.51 / 0.52))
    second = planted(hum=0.98, end=0.02)
    del second["packet loss"]
    assert strict.decide(second) == Cause("hum", "noisiness", pytest.approx(0.98))


def test_rivals_of_one_dimension_are_not_named() -> None:
    """The likelier of two that can be told apart no better than that, with other causes to come."""
    strict = causes(packet_loss=Calibration(threshold=0.9), stutter=Calibration(threshold=0.9))
    decided = strict.decide(planted(packet_loss=0.36, stutter=0.24, hum=0.38, end=0.02))
    assert decided == Cause("unclear flow", "discontinuity", pytest.approx(0.6 / 0.62))


def test_a_cause_that_may_as_well_not_be_there_is_not_named() -> None:
    """The end is a rival of every cause."""
    assert named(planted(hum=0.4, end=0.59)) is None
    assert named(planted(hum=0.3, clipping=0.3, end=0.4)) is None


def test_a_dimension_that_was_turned_down_is_a_rival() -> None:
    """A trace of hum beside noise of which nothing may be said: it would be nearly all that its dimension has."""
    silent = {name: Calibration(threshold=1.0) for name in ("packet_loss", "stutter", "unclear_flow")}
    assert named(planted(packet_loss=0.5, stutter=0.47, hum=0.02, end=0.001), causes(**silent)) is None
    assert named(planted(packet_loss=0.2, hum=0.79, end=0.01), causes(**silent)) == "hum"


def test_a_sure_end_ends() -> None:
    """A list that goes on for ever; an end that is passed over for a cause with a low threshold of its own."""
    eager = causes(hum=Calibration(threshold=0.1))
    assert named(planted(end=0.6, hum=0.3), eager) is None
    assert named(planted(end=0.4, hum=0.3), eager) == "hum"


def test_each_cause_has_its_own_threshold() -> None:
    """One threshold for all: sure kinds are held back, or unsure ones named."""
    strict = causes(hum=Calibration(threshold=0.9))
    assert named(planted(hum=0.8, end=0.2), strict) == "unclear noise"
    assert named(planted(hum=0.92, end=0.08), strict) == "hum"
    assert named(planted(stutter=0.8, end=0.2), strict) == "stutter"


def test_the_likeliest_of_those_that_are_sure_is_named() -> None:
    """A kind with a high threshold hides another that reaches its own."""
    table = causes(hum=Calibration(threshold=0.6), wind=Calibration(threshold=0.3))
    assert named(planted(hum=0.5, wind=0.4, end=0.1), table) == "wind"
    both = causes(packet_loss=Calibration(threshold=0.2), stutter=Calibration(threshold=0.2))
    assert named(planted(packet_loss=0.3, stutter=0.4, end=0.3), both) == "stutter"


def test_a_group_is_named_where_only_it_is_sure() -> None:
    """Wind or water, who knows: what both are, with the share of all of them."""
    decided = causes().decide(planted(wind=0.3, water=0.25, steady_noise=0.05, clipping=0.2, end=0.2))
    assert decided == Cause("steady noise", "noisiness", pytest.approx(0.6 / 0.8))


def test_what_is_unclear_is_said_of_the_likeliest_dimension() -> None:
    assert named(planted(packet_loss=0.4, stutter=0.4, end=0.2)) == "unclear flow"
    assert named(planted(hum=0.25, wind=0.24, clipping=0.45, end=0.06)) == "unclear noise"


def test_nothing_is_claimed_that_is_not_sure() -> None:
    """ "unclear level" because something had to be said, where the end is only a little less than sure."""
    assert named(planted(end=0.45, hum=0.2, clipping=0.2)) is None
    bold = causes(unclear_noise=Calibration(threshold=0.2))
    assert named(planted(end=0.45, hum=0.25, clipping=0.1), bold) == "unclear noise"


def test_the_worst_dimension_goes_first() -> None:
    """A cause of a lesser dimension written before what is worst and can only be called unclear."""
    easy = causes(clipping=Calibration(threshold=0.2))
    assert named(planted(packet_loss=0.3, stutter=0.3, clipping=0.25, end=0.15), easy) == "unclear flow"
    assert named(planted(packet_loss=0.17, stutter=0.17, clipping=0.3, end=0.35), easy) == "clipping"


def test_the_order_of_the_table_changes_nothing() -> None:
    """Sums that depend on the order of their terms, ties that go to whoever comes first: bit for bit."""
    rng = random.Random(0)
    for _ in range(200):
        weights = {name: rng.choice((0.01, rng.random(), 0.3)) for name in NAMES}
        chances = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        kinds, names = list(KINDS), list(NAMES)
        rng.shuffle(kinds)
        rng.shuffle(names)
        table, mirrored = (causes(order, hum=Calibration(threshold=0.2)) for order in (KINDS, tuple(kinds)))
        assert mirrored.decide({name: chances[name] for name in names}) == table.decide(chances)


def test_calibration_is_platts() -> None:
    """σ(2 · logit(0.8) − 1), by hand; a slope on p instead of its logit; a calibration that is not applied."""
    assert Calibration(2.0, -1.0)(0.8) == pytest.approx(16 / (16 + 2.718281828459045))
    assert Calibration()(0.3) == pytest.approx(0.3)
    table = causes(hum=Calibration(2.0, -1.0, 0.85))
    assert table.decide(planted(hum=0.8, end=0.2)) == Cause("hum", "noisiness", pytest.approx(0.8547, abs=1e-4))
    assert named(planted(hum=0.79, end=0.21), table) == "unclear noise"
    assert 0 <= Calibration(500.0, 100.0)(0.0) < Calibration(500.0, 100.0)(1.0) < 1


def test_a_threshold_of_one_is_never_reached() -> None:
    """A name that validation never saw right, written because its share was rounded up."""
    assert named(planted(hum=1.0), causes(hum=Calibration(9.0, 9.0, 1.0))) == "unclear noise"


@pytest.mark.parametrize("figures", [(0.0, 0.0, 0.5), (-1.0, 0.0, 0.5), (1.0, float("nan"), 0.5), (1.0, 0.0, 1.1)])
def test_a_calibration_that_turns_things_round_is_refused(figures: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="calibrate nothing"):
        Calibration(*figures)


def test_what_may_follow() -> None:
    """A name twice; "wind" after "steady noise", which was said because wind was not sure; a cause of a dimension that
    was called unclear."""
    table = causes()
    assert table.remaining(()) == NAMES
    assert set(NAMES) - set(table.remaining(("hum", "wind"))) == {"hum", "wind"}
    assert set(NAMES) - set(table.remaining(("steady noise",))) == {"steady noise", "wind", "water"}
    assert set(NAMES) - set(table.remaining(("unclear flow",))) == {"unclear flow", "packet loss", "stutter"}
    six = ("wind", "hum", "clipping", "packet loss", "stutter", "low level")
    assert len(six) == MOST
    assert table.remaining(six) == (END,)
    assert table.remaining(tuple(UNCLEAR.values())) == (END,)


def test_names_as_a_list_may_hold_them() -> None:
    table = causes()
    assert table.listable(("steady noise", "wind", "hum", "hum", "unclear noise")) == (
        "steady noise",
        "hum",
        "unclear noise",
    )
    assert len(table.listable([kind.name for kind in KINDS if kind.name != "steady noise"])) == MOST


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ((Kind("hum", "noise"),), "hum: its dimension"),
        ((Kind("hum", "noisiness", "drone"),), "hum: its dimension or its group"),
        ((Kind("hum", "noisiness", "clipping"), Kind("clipping", "coloration")), "hum: its dimension or its group"),
        ((Kind("hum", "noisiness"), Kind("hum", "noisiness")), "a name that another has"),
        ((Kind("end", "noisiness"),), "means something else"),
        (
            (Kind("a", "noisiness"), Kind("b", "noisiness", "a"), Kind("c", "noisiness", "b")),
            "b: a group that has a group",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(kinds: tuple[Kind, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        causes(kinds)


def test_every_reading_is_calibrated() -> None:
    """A name without a threshold is found out at the first clip that sounds like it."""
    with pytest.raises(ValueError, match="calibrated are"):
        Causes(KINDS, {END: EVEN})
