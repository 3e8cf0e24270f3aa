"""A scorer that knows nothing of models: what it says of a file depends on the file's name alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sqe_fast.audio import Channels
from sqe_fast.audio.timeline import Timeline
from sqe_fast.engine.pipeline import Batch
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import Cause, Comparison, Evaluation, Ranked, Ratings, WindowRating

CAUSES = (Cause("packet loss", "discontinuity", 0.97254), Cause("unclear noise", "noisiness", 0.5))


class FakeBatch:
    """Works on a file once its evaluation is waited for."""

    def __init__(self, scorer: FakeScorer, describe: bool, timeline: Timeline | None, channels: Channels) -> None:
        self.ahead = scorer.ahead
        self._scorer, self._describe, self._timeline, self._channels = scorer, describe, timeline, channels

    in_order = Batch.in_order

    def submit(self, source: str) -> Lazy:
        self._scorer.asked.append(source)
        return Lazy(self._evaluate, source)

    def _evaluate(self, source: str) -> list[Evaluation]:
        evaluation = timed(self._scorer.evaluation(source, self._describe), self._timeline)
        return [replace(evaluation, channel=channel) for channel in heard(source, self._channels)]

    def __enter__(self) -> FakeBatch:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class Lazy:
    """A Future that is never done before it is asked for."""

    def __init__(self, evaluate: Callable[[str], list[Evaluation]], source: str) -> None:
        self.result = partial(evaluate, source)

    def done(self) -> bool:
        return False


class FakeScorer:
    """Files whose name holds "bad" are errors. `ahead` sources are under way before the first is asked for."""

    def __init__(self, model: str = "fake@0123456789ab", ahead: int = 3) -> None:
        self.model = model
        self.ahead = ahead
        self.asked: list[str] = []
        self.given = 0

    def batch(self, describe: bool = True, timeline: Timeline | None = None, channels: Channels = "auto") -> FakeBatch:
        return FakeBatch(self, describe, timeline, channels)

    def evaluation(self, file: str, describe: bool = True) -> Evaluation:
        self.given += 1
        if "bad" in file:
            return Evaluation(file, model=self.model, error=ClipError(ErrorCode.TOO_SHORT, "pass at least 0.4 s"))
        mos = mos_of(file)
        ratings = Ratings(4.25, 3.0, 2.0, 1.5, mos, 0.4)
        prose = f'Overall {mos:.1f}: a hiss, "loud",\nunder the voice.' if describe else None
        return Evaluation(file, ratings, CAUSES, prose, ("clipped=0.120", "no_speech"), 5.25, self.model)

    def compare(self, a: str, b: str, describe: bool = True, channels: Channels = "auto") -> Comparison:
        sides = [replace(self.evaluation(side, False), channel=heard("", channels)[0]) for side in (a, b)]
        if sides[0].error or sides[1].error:
            return Comparison(*sides)
        return Comparison(*sides, "A", 0.8125, "A has less hiss." if describe else None)

    def rank(self, sources: Iterable[str], describe: bool = False, channels: Channels = "auto") -> list[Ranked]:
        found = [replace(self.evaluation(name, False), source=place) for place, name in enumerate(sources)]
        rated = sorted((each for each in found if each.mos is not None), key=lambda each: -(each.mos or 0))
        said = "A has less hiss." if describe else None
        ranked = [Ranked(place + 1, each, place % 2 == 1, 0.8125, said) for place, each in enumerate(rated[:-1])]
        last = [Ranked(len(rated), each) for each in rated[-1:]]
        return [*ranked, *last, *(Ranked(None, each) for each in found if each.mos is None)]

    def info(self) -> dict[str, object]:
        return {"model": self.model, "runner": "fake", "slots": 8}


def heard(file: str, channels: Channels) -> list[int | None]:
    """The channels of its rows: a file whose name holds "call" has two talkers."""
    if isinstance(channels, int):
        return [channels]
    return [0, 1] if channels == "each" or (channels == "auto" and "call" in file) else [None]


def timed(evaluation: Evaluation, timeline: Timeline | None) -> Evaluation:
    """With three windows, of which the second is silent; an error has none."""
    if timeline is None or evaluation.error is not None:
        return evaluation
    ends = [timeline.window + number * timeline.hop for number in range(3)]
    windows = [WindowRating(end - timeline.window, end, evaluation.ratings, CAUSES[:1]) for end in ends]
    windows[1] = WindowRating(windows[1].start, windows[1].end, None, flags=("silent",))
    return replace(evaluation, timeline=tuple(windows))


def mos_of(file: str) -> float:
    return 1 + zlib.crc32(file.encode("utf-8", "surrogateescape")) % 40 / 10
