"""A server of an evaluator that is the same in process: what tests compare it with. Some tests have their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sqe_fast.evaluator import Evaluator
from tests.support.fake_evaluator import LISTING, fake_evaluator, fake_runner
from tests.support.servers import Running, serving


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with fake_evaluator(fake_runner(slots=9), LISTING) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(evaluator: Evaluator) -> Iterator[Running]:
    with serving(evaluator) as running:
        yield running
