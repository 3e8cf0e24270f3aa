"""Lists of causes on the fake runner: what is asked, what is written, what it costs, and that nobody else matters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sqe_fast.answer.causes import MOST, Calibration
from sqe_fast.answer.program import chosen
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import Request, Result, Sampling
from sqe_fast.results import Cause
from sqe_fast.runners.base import Candidates
from tests.support.fake_runner import FakeRunner
from tests.support.programs import LIST, NEWLINE, NUMBERS, STOP, listed, naming, saying, write
from tests.support.stocks import causes

SURE = pytest.approx(1.0, abs=1e-5)
UNSURE = Calibration(threshold=0.85)
EAGER = replace(LIST, causes=causes(**{name.replace(" ", "_"): UNSURE for name in LIST.causes.dimension}))
"""Under arithmetic that knows nothing of causes it names one now and then."""


def eager(value: float, *, describe: bool = False, prompt: int = 5) -> Request:
    request = listed(value, prompt=prompt, then=[write("mos")] if describe else ())
    steps = tuple(EAGER if step is LIST else step for step in request.program.steps)
    return replace(request, program=replace(request.program, steps=steps))


def run(request: Request, runner: FakeRunner) -> Result:
    [result] = Engine(runner).run([request])
    return result


def test_causes_come_in_the_order_in_which_they_are_read() -> None:
    """Sorted by name or by the table, or the end among them."""
    result = run(listed(0.3), FakeRunner(script=naming("packet loss", "hum")))
    assert result.causes == (Cause("packet loss", "discontinuity", SURE), Cause("hum", "noisiness", SURE))
    assert result.tokens[5:] == (LIST.token["packet loss"], LIST.token["hum"], NEWLINE)
    assert run(listed(0.3), FakeRunner(script=naming())).causes == ()


def test_a_list_costs_a_pass_a_cause_and_one() -> None:
    """The end fed where nothing follows it; the whole head asked for where names are read."""
    runner = FakeRunner(script=naming("packet loss", "hum"))
    run(listed(0.3), runner)
    asks = [step.asks for [step] in runner.decoded]
    assert asks[:4] == [Candidates(NUMBERS)] * 4
    first, second, third = asks[4:]
    assert first == Candidates(LIST.tokens)
    assert isinstance(second, Candidates)
    assert isinstance(third, Candidates)
    assert set(LIST.tokens) - set(second.tokens) == {LIST.token["packet loss"]}
    assert set(second.tokens) - set(third.tokens) == {LIST.token["hum"]}


def test_a_full_list_ends_by_itself() -> None:
    """A read whose answer is known; a seventh cause."""
    names = ("wind", "hum", "clipping", "packet loss", "stutter", "low level")
    runner = FakeRunner(script=naming(*names, "unclear noise"))
    result = run(listed(0.3), runner)
    assert tuple(cause.name for cause in result.causes) == names
    assert len(names) == MOST == len(result.list_reads)
    assert result.tokens[-1] == NEWLINE
    assert len(runner.decoded) == 4 + MOST


def test_what_is_written_is_what_is_decided() -> None:
    """The likeliest token appended, where its probability is too low to be named: the prose would build on it."""
    script = naming(("packet loss", "stutter", "unclear flow"), ("wind", "water", "steady noise"))
    result = run(listed(0.3), FakeRunner(script=script))
    assert [cause.name for cause in result.causes] == ["unclear flow", "steady noise"]
    assert [cause.probability for cause in result.causes] == [SURE, SURE]
    assert result.tokens[5:] == (LIST.token["unclear flow"], LIST.token["steady noise"], NEWLINE)
    seen = result.list_reads[0].chances
    assert seen["packet loss"] == pytest.approx(0.367, abs=0.001)
    assert max(seen, key=lambda name: seen[name]) == "packet loss"


def test_probabilities_are_calibrated() -> None:
    """The model's own passed on: σ(logit ½ − 1) for one of two that are about equally likely."""
    shy = replace(LIST, causes=causes(hum=Calibration(1.0, -1.0, 0.2)))
    request = listed(0.3)
    program = replace(request.program, steps=(*request.program.steps[:-1], shy))
    result = run(replace(request, program=program), FakeRunner(script=naming(("hum", "wind"))))
    assert result.causes[0] == Cause("hum", "noisiness", pytest.approx(0.289, abs=0.001))
    assert result.list_reads[0].chances["hum"] == pytest.approx(0.525, abs=0.001)


def test_prose_follows_the_list() -> None:
    """The end left to be forced twice, or the list lost by the one retry of the prose."""
    written = naming("hum", then=saying(20, 21, STOP))
    result = run(listed(0.3, then=[write("mos")]), FakeRunner(script=written))
    assert result.tokens[5:] == (LIST.token["hum"], NEWLINE, 20, 21, STOP)
    assert result.text_tokens == (20, 21)
    retried = run(listed(0.3, then=[write("mos")]), FakeRunner(script=naming("hum", then=saying(STOP, 20, 21, STOP))))
    assert retried.error is None
    assert retried.tokens[5:7] == (LIST.token["hum"], NEWLINE)
    assert [cause.name for cause in retried.causes] == ["hum"]


MIXED = [eager(n / 10, describe=n % 3 == 0, prompt=2 + n % 4) for n in range(12)]


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_batched_equals_alone(slots: int) -> None:
    """A neighbour's distribution, or its list; bit for bit."""
    together = Engine(FakeRunner(slots, script=saying(20, 21, STOP))).run(MIXED)
    single = [run(request, FakeRunner(1, script=saying(20, 21, STOP))) for request in MIXED]
    assert [(r.list_reads, r.causes, r.tokens) for r in together] == [
        (r.list_reads, r.causes, r.tokens) for r in single
    ]
    assert len({len(result.causes) for result in together}) > 2, "all lists alike: nothing was tested"


def test_lists_are_drawn_from_what_is_read() -> None:
    """What would be decided kept, as for a reader; a drawn name that may not follow; one that training refuses."""
    request = listed(0.5)
    results = Engine(FakeRunner()).run([replace(request, sampling=Sampling(seed)) for seed in range(1500)])
    for result in results:
        assert all(chosen(request.program, result.tokens)[: 5 + len(result.list_reads)])
        names = [cause.name for cause in result.causes]
        assert LIST.causes.listable(names) == tuple(names)
        for read in result.list_reads:
            assert read.named is None or read.named == LIST.causes.cause(read.named.name, read.chances)
    assert len({tuple(cause.name for cause in result.causes) for result in results}) > 500


def test_shares_of_drawn_names_are_their_probabilities() -> None:
    """Names drawn in another order than the candidates'."""
    script = naming(("hum", "clipping", "low level"))
    results = Engine(FakeRunner(script=script)).run(
        [replace(listed(0.5), sampling=Sampling(seed, temperature=1.0)) for seed in range(1500)]
    )
    drawn = Counter(result.causes[0].name for result in results)
    chances = results[0].list_reads[0].chances
    for name in ("hum", "clipping", "low level"):
        assert drawn[name] / len(results) == pytest.approx(chances[name], abs=0.04)
