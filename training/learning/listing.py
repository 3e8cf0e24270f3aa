"""The list of causes in an answer: what stands in it, and what each of its entries is to be read as.

A list that is learnt is written as one that is served: where a cause is not sure, a coarser name stands for it, or
"unclear noise", or nothing, and the prose under it knows no more. What is to be read before each entry stays the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sqe_fast.answer.causes import END, UNCLEAR, Causes
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language.causes import AUDIBLE, KINDS, audible, listed

COARSER, UNSURE = 0.15, 0.1
"""How often an entry that is learnt is named by its group, where it has one, or by its dimension alone."""
SPARSE, MISSING = 0.25, 0.5
"""How many lists lack entries, and how many of theirs: what is calibrated names less than is there. A model that had
only seen lists without a gap wrote "full of loud babble" under an empty one, of a clip with lost packets."""
SOFTNESS = 0.3
"""Rating points: of two causes whose ratings alone lie so far apart, the worse one is e times as likely to come next.
Nobody ranks two faults that are nearly as bad."""


def recorded(clip: Annotation) -> bool:
    """Whether it was recorded what a clip suffers from, or people only rated it."""
    return clip.get("rated_by") != "human"


def complete(clip: Annotation) -> bool:
    """Whether all five ratings are known."""
    return all(name in clip for name in RATINGS)


def entries(clip: Annotation) -> list[str]:
    """What is known: the audible causes, the worst first; of a clip that people only rated, which dimensions are
    lowered, by something unclear."""
    if recorded(clip):
        return listed(clip)
    return [UNCLEAR[name] for name in sorted(DIMENSIONS, key=lambda name: float(clip[name])) if clip[name] <= AUDIBLE]


def known(prompts: PromptBuilder) -> Causes:
    """What the lists of a checkpoint in training may hold. Raises ValueError where it has no stock."""
    if prompts.stock is None:
        raise ValueError("a model cannot be trained without a stock: its causes would have no names")
    return prompts.stock.causes


def as_served(clip: Annotation, rng: np.random.Generator) -> list[str]:
    """The `entries`, some of them in coarser words, and in some lists not all of them."""
    names = [_coarser(name, rng) for name in entries(clip)]
    return [name for name in names if rng.random() >= MISSING] if rng.random() < SPARSE else names


def wanted(clip: Annotation, told: Sequence[str], causes: Causes) -> Mapping[str, float]:
    """How likely each name is to come after those `told`: causes that they don't tell yet, the worse the likelier;
    the end where there are none."""
    left = set(causes.remaining(told))
    if not recorded(clip):
        following = [name for name in entries(clip) if name in left]
        return {following[0] if following else END: 1.0}
    worst: dict[str, float] = {}
    for cause in audible(clip):
        if cause["name"] in left:
            worst.setdefault(cause["name"], float(cause["rating"]))
    if not worst:
        return {END: 1.0}
    weights = {name: math.exp((min(worst.values()) - rating) / SOFTNESS) for name, rating in worst.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _coarser(name: str, rng: np.random.Generator) -> str:
    lot, kind = rng.random(), KINDS.get(name)
    if kind is None:
        return name
    if lot < UNSURE:
        return UNCLEAR[kind.dimension]
    return kind.group if kind.group is not None and lot < UNSURE + COARSER else name
