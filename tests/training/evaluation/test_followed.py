"""Causes under another clip's ratings: which clip is heard, which ratings are written, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sqe_fast.engine.sequence import ListRead, Request, Result
from sqe_fast.results import Cause
from tests.support.fake_evaluator import LISTING, sound
from tests.support.training_rows import cause, rows
from training.evaluation.followed import followed
from training.evaluation.rated_sets import RatedSet

NAMES = ("hum", "packet loss", "hum", "clipping")


def rated() -> RatedSet:
    """Four clips with one bad cause each, and one with none."""
    causes = [*([cause(name, 2.0)] for name in NAMES), []]
    given = [{**row, "causes": of} for row, of in zip(rows(5), causes, strict=True)]
    return RatedSet("test", "in-domain", given, [sound(index, 0.5) for index in range(5)])


class Engine:
    """Answers each request by `name`."""

    runner = SimpleNamespace(info=SimpleNamespace(n_mels=80))

    def __init__(self, name: Callable[[Request], str]) -> None:
        self.name = name
        self.asked: list[Request] = []

    def run(self, requests: list[Request]) -> list[Result]:
        self.asked += requests
        named = [Cause(self.name(request), "noisiness", 0.9) for request in requests]
        return [Result(list_reads=(ListRead({}, each), ListRead({}, None))) for each in named]


def heard(request: Request) -> str:
    return NAMES[int(request.audio[0].digest)]


def written(request: Request) -> str:
    lines = [LISTING.line(row) for row in rated().rows]
    return NAMES[lines.index(request.program.tokens[-5:])]


@pytest.mark.parametrize(("name", "right"), [(heard, (4, 0)), (written, (0, 4))])
def test_who_listens_names_what_is_heard_and_who_guesses_what_is_usual(
    name: Callable[[Request], str], right: tuple[int, int]
) -> None:
    engine: Any = Engine(name)
    found = followed(engine, LISTING, rated(), 10)
    assert found["clips"] == 4
    assert (found["heard"]["right"], found["written"]["right"]) == right
    assert found["heard"]["of"] == found["written"]["of"] == 4


def test_clips_of_a_pair_share_no_cause() -> None:
    """A hum heard under the ratings of another clip with a hum: naming it says nothing."""
    engine: Any = Engine(heard)
    followed(engine, LISTING, rated(), 10)
    assert all(heard(request) != written(request) for request in engine.asked)
    assert len(engine.asked) == 4
