"""Single degradations: clips of held-out speakers to which one family was done, and nothing else. What is named?"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from sqe_fast.evaluator import Evaluator
from training.corpora.annotation import Annotation
from training.corpora.corpus import draw_excerpt
from training.evaluation.cause_scores import single_scores
from training.evaluation.scores import rows
from training.language.causes import audible
from training.rating import listener
from training.simulation.library import Library, open_library
from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.recipes import DEGRADING, single
from training.simulation.simulate import apply
from training.simulation.stage import Materials
from training.streams import Stream, seed_of, stream

SEVERITIES = (0.35, 1.0)
"""Drawn evenly: from what is plainly heard on."""
TRIES = 50
"""Draws for a clip to which something was done that can be heard."""


def singles(evaluator: Evaluator, data: Path, clips: int) -> dict[str, dict[str, Any]]:
    """Of `clips` clips of each family: in how many one of its causes is named, and in how many one that is not there.

    Raises ValueError for a family that does nothing, or whose clip was not rated.
    """
    lib, found = open_library(data, "test"), {}
    for family in DEGRADING:
        made = [make(family.name, number, lib) for number in range(clips)]
        evaluations = evaluator.evaluate([(samples, SAMPLE_RATE) for samples, _ in made], describe=False)
        if unrated := [str(e.error) for e in evaluations if e.ratings is None and e.error]:
            raise ValueError(f"{family.name}: {unrated}")
        named = [[cause.name for cause in evaluation.causes] for evaluation in evaluations]
        found[family.name] = rows(single_scores([row for _, row in made], named)[family.name])
    return found


def make(family: str, number: int, lib: Library) -> tuple[Signal, Annotation]:
    """Clip `number` of a family: the signal, and its causes with what each alone would leave. Whatever was done counts
    as the family's: two families may record the same."""
    rng = stream(Stream.SINGLE, 0, zlib.crc32(family.encode()), number)
    seed = seed_of(Stream.SINGLE, 0, zlib.crc32(family.encode()), number)
    for _ in range(TRIES):
        excerpt = draw_excerpt(lib, rng)
        recipe = single(family, float(rng.uniform(*SEVERITIES)), lib.without(excerpt.speaker), rng)
        signal, done = apply(excerpt.samples, recipe, Materials(lib.root), seed)
        row: dict[str, Any] = {"causes": [{**degradation.to_row(), "family": family} for degradation in done]}
        rated = zip(row["causes"], listener.alone(row), strict=True)
        row["causes"] = [{**cause, "rating": rating} for cause, rating in rated]
        if audible(row):
            return signal, row
    raise ValueError(f"{family}: nothing that can be heard was done in {TRIES} draws")
