"""Recordings with the evaluator: a bounded number of them at once, whoever sent them, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqe_fast.evaluator import Evaluator
from sqe_fast.results import Comparison, Evaluation, Ranked
from sqe_fast.server.intake import Asked, Clip
from sqe_fast.server.metrics import Metrics
from sqe_fast.server.schemas import Choices, ComparisonChoices, RankingChoices, RatingChoices


class Raters:
    """What requests ask of one evaluator."""

    def __init__(self, evaluator: Evaluator, metrics: Metrics) -> None:
        self.evaluator = evaluator
        self._metrics = metrics
        # Those in the engine's slots, as many that are decoded ahead of them, and as many again between two requests.
        self._room = asyncio.Semaphore(4 * int(evaluator.info()["slots"]))

    async def evaluate(self, asked: Asked[RatingChoices]) -> AsyncIterator[tuple[int, list[Evaluation]]]:
        """The place of each clip and its evaluations, as they are done. Leaving it drops the others."""
        choices = asked.choices
        with self.evaluator.batch(choices.describe, choices.windows, choices.channels) as batch:

            async def rate(place: int, clip: Clip) -> tuple[int, list[Evaluation]]:
                async with self._turn():
                    found = await asyncio.wrap_future(batch.submit(clip.source))
                return place, self._named(found, clip.name)

            tasks = [asyncio.create_task(rate(*each)) for each in enumerate(asked.clips)]
            try:
                for done in asyncio.as_completed(tasks):
                    yield await done
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def compare(self, asked: Asked[ComparisonChoices]) -> Comparison:
        a, b = asked.clips
        choices = asked.choices
        async with self._turn():
            found = await self.evaluator.acompare(a.source, b.source, choices.describe, choices.channels)
        sides = [self._named([side], clip.name)[0] for side, clip in ((found.a, a), (found.b, b))]
        return replace(found, a=sides[0], b=sides[1])

    async def rank(self, asked: Asked[RankingChoices]) -> list[Ranked]:
        choices = asked.choices
        async with self._turn():
            sources = [clip.source for clip in asked.clips]
            found = await self.evaluator.arank(sources, choices.describe, choices.channels)
        return [replace(each, evaluation=self._named_of(each.evaluation, asked.clips)) for each in found]

    def _named_of(self, evaluation: Evaluation, clips: Sequence[Clip]) -> Evaluation:
        assert evaluation.source is not None
        return self._named([evaluation], clips[evaluation.source].name)[0]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        metrics = self._metrics
        with metrics.waiting.track_inprogress():
            await self._room.acquire()
        try:
            with metrics.recordings.track_inprogress():
                yield
        finally:
            self._room.release()

    def _named(self, found: Sequence[Evaluation], name: str) -> list[Evaluation]:
        self._metrics.heard(found)
        return [replace(each, file=name) for each in found]


def rows_of(place: int, evaluations: Sequence[Evaluation], choices: Choices) -> Iterator[dict[str, Any]]:
    """As `sqe score` writes them, and behind them whose they are."""
    for each in evaluations:
        with_windows = isinstance(choices, RatingChoices) and choices.timeline
        for row in each.to_rows() if with_windows else [each.to_row()]:
            yield row | {"source": place}
