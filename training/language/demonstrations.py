"""Rows and what the offline writer says of them: the examples in a language model's prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language import captions
from training.language.causes import KINDS, listed
from training.streams import Stream, stream

COUNT = 60
"""Of descriptions, and of arguments."""


@dataclass(frozen=True)
class Demonstration:
    """The ratings and causes of a clip, and a description."""

    row: Annotation
    text: str


@dataclass(frozen=True)
class Argument:
    """Why one clip is preferred: the reasons that follow `argument.conclusion`."""

    a: Annotation
    b: Annotation
    text: str


def descriptions() -> tuple[Demonstration, ...]:
    """The same every time, from the whole range of ratings."""
    rngs = [stream(Stream.DEMONSTRATION, 0, 0, index) for index in range(COUNT)]
    rows = [draw_row(rng) for rng in rngs]
    return tuple(
        Demonstration(row, captions.describe(row, listed(row), rng)) for row, rng in zip(rows, rngs, strict=True)
    )


def arguments() -> tuple[Argument, ...]:
    """The same every time."""
    rngs = [stream(Stream.DEMONSTRATION, 0, 1, index) for index in range(COUNT)]
    pairs = [(draw_row(rng), draw_row(rng)) for rng in rngs]
    return tuple(Argument(a, b, captions.argue(a, b, rng)) for (a, b), rng in zip(pairs, rngs, strict=True))


def draw_row(rng: np.random.Generator) -> Annotation:
    """Ratings and causes such as a corpus holds: about a third of the dimensions without fault, the MOS by the
    regression on the 712 human rows of NISQA's test sets (R² = 0.944)."""
    rated = {name: float(rng.uniform(4.3, 4.9) if rng.random() < 0.35 else rng.uniform(1, 4.9)) for name in DIMENSIONS}
    weights = dict(zip(DIMENSIONS, (0.224, 0.221, 0.327, 0.147), strict=True))
    mos = sum(weights[name] * rated[name] for name in DIMENSIONS) + 0.470 * min(rated.values()) - 1.342
    causes = [cause for name, rating in rated.items() for cause in _causes(name, rating, rng)]
    return {**rated, "mos": float(np.clip(mos, 1, 5)), "causes": causes}


def _causes(dimension: str, rating: float, rng: np.random.Generator) -> list[dict[str, object]]:
    """None to two that lower a dimension to `rating`, or a little less far."""
    names = [name for name, kind in KINDS.items() if kind.dimension == dimension]
    chosen = rng.permutation(names)[: int(rng.integers(0, 3))]
    return [{"name": str(name), "rating": min(4.9, rating + float(rng.uniform(0, 1)))} for name in chosen]
