"""Rated recordings beside each other: which has the higher MOS, how probably, and what the model says for it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from sqe_fast import audio
from sqe_fast.answer.argument import conclusion
from sqe_fast.answer.scale import verdict
from sqe_fast.engine.engine import Priority
from sqe_fast.engine.pipeline import Batch, Call, Chances, Pipeline, Scored
from sqe_fast.engine.sequence import AudioInput
from sqe_fast.errors import ClipError
from sqe_fast.results import RATINGS, Comparison, Ranked, Ratings, Winner


@dataclass(frozen=True)
class _Side:
    """One recording of a comparison: the window that stands for it, and the ratings of the whole."""

    clip: AudioInput
    ratings: Ratings

    @property
    def key(self) -> tuple[str, tuple[float, ...]]:
        """Equal for equal content."""
        return self.clip.digest, tuple(self.ratings[name] for name in RATINGS)


def compared(pipeline: Pipeline, call: Call, a: Scored, b: Scored, *, describe: bool) -> Comparison:
    """Two recordings that were rated alone. What goes wrong with the argument is the comparison's `error`."""
    first, second = a.evaluation, b.evaluation
    if first.ratings is None or second.ratings is None or a.chances is None or b.chances is None:
        return Comparison(first, second)
    winner = verdict(first.ratings.mos, second.ratings.mos)
    probability = better(a.chances, b.chances)
    if not describe:
        return Comparison(first, second, winner, probability)
    try:
        sides = _Side(pipeline.typical(a), first.ratings), _Side(pipeline.typical(b), second.ratings)
        return Comparison(first, second, winner, probability, _argument(pipeline, call, *sides, winner))
    except ClipError as error:
        return Comparison(first, second, winner, probability, error=error)


def _argument(pipeline: Pipeline, call: Call, a: _Side, b: _Side, winner: Winner) -> str:
    opening = conclusion(winner, a.ratings.mos, b.ratings.mos)
    if a.key == b.key:
        return f"{opening} Both are the same recording."  # nothing to ask: any difference would be made up
    program = pipeline.prompts.argue(a.clip.tokens, b.clip.tokens, a.ratings, b.ratings, winner)
    result = call.submit(program, [a.clip, b.clip]).result()
    if result.error is not None:
        raise result.error
    return f"{opening} {pipeline.prompts.text(result.text_tokens)}"


def better(a: Chances, b: Chances) -> float:
    """Probability that the MOS of `a` is the higher, from both MOS distributions; where both are equal, half of it.

    It takes the errors of two readings for independent. Two versions of one recording err alike, and their order is
    surer than this says. Swapping the two gives exactly one minus it: the larger of both is at least ½, where one minus
    it is exact.
    """
    of_a, of_b = _ahead(a, b), _ahead(b, a)
    if of_a == of_b:
        return 0.5
    return _surely(of_a) if of_a > of_b else 1.0 - _surely(of_b)


def _ahead(a: Chances, b: Chances) -> float:
    """Sum over all values of `a`: its probability times that of a lower value of `b`, and half that of the same."""
    return float(a @ (np.cumsum(b) - b / 2))


def _surely(probability: float) -> float:
    """Of the likelier of two cases, whatever was rounded."""
    return min(max(probability, 0.5), 1.0)


class Contest(Batch):
    """Recordings that are rated and then put beside each other, several under way at once. Each is one sound."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        describe: bool,
        channels: audio.Channels = "auto",
        priority: Priority = Priority.BATCH,
    ) -> None:
        """`describe` argues pairs. It keeps the samples of the recordings up to 30 s in memory, 64 kB a second."""
        super().__init__(pipeline, describe=describe, channels=channels, priority=priority)

    def score(self, source: audio.Source) -> Future[Scored]:
        """Returns at once. What is wrong with the source is its `error`."""
        return self._threads.submit(self._score, source)

    def _score(self, source: audio.Source) -> Scored:
        [scored] = self._pipeline.score(source, self._call, describe=False, channels=self._channels, one=True)
        return scored if self._describe else scored.let_go()

    def compare(self, a: Scored, b: Scored) -> Future[Comparison]:
        """Returns at once."""
        return self._threads.submit(compared, self._pipeline, self._call, a, b, describe=self._describe)


@dataclass(frozen=True)
class Standing:
    """A recording in a ranking that is being made. `source` is its place in the call."""

    source: int
    scored: Scored

    @property
    def mos(self) -> float | None:
        return None if self.scored.ratings is None else self.scored.ratings.mos


def in_order(scored: Sequence[Scored]) -> list[Standing]:
    """The best first; equals, and at the end those that were not rated, in the order in which they were given."""
    standings = [Standing(source, each) for source, each in enumerate(scored)]
    return sorted(standings, key=lambda each: (each.mos is None, -(each.mos or 0.0)))


def neighbours(standings: Sequence[Standing]) -> list[tuple[Scored, Scored]]:
    """Each that was rated, and the next."""
    return [(a.scored, b.scored) for a, b in pairwise(standings) if a.mos is not None and b.mos is not None]


def ranking(
    standings: Sequence[Standing],
    beside_next: Sequence[Comparison],  # of each of `neighbours`
) -> list[Ranked]:
    ranked = []
    for index, standing in enumerate(standings):
        evaluation = replace(standing.scored.evaluation, source=standing.source)
        if standing.mos is None:
            ranked.append(Ranked(None, evaluation))
        elif index == len(beside_next):
            ranked.append(Ranked(index + 1, evaluation))
        else:
            pair = beside_next[index]
            tied = pair.winner == "tie"
            ranked.append(Ranked(index + 1, evaluation, tied, pair.probability, pair.description, pair.error))
    return ranked
