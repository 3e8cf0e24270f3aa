"""What happens to a clip: families of degradation, each at a severity, in the order of a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from training.simulation.calls import normal_level
from training.simulation.library import Library
from training.simulation.simulate import FAMILIES
from training.simulation.stage import Family, Params, Place, Rng

COUNTS = {0: 0.2, 1: 0.3, 2: 0.27, 3: 0.15, 4: 0.08}
"""How many families degrade a clip, and how often; a fifth of the clips is pristine."""
AT_ONCE = {Place.SURROUNDINGS: 2, Place.MICROPHONE: 2, Place.CODING: 2}
"""How many families may meet at a place of the call, where it is more than one: two sources of noise, a poor microphone
that is overloaded, a codec after a codec."""
ONE_OF = frozenset({"noise suppression", "late noise suppression"})
CLEANED = 4.0
"""How much more often noise is suppressed where there is some; and never twice."""
HANDLED, PAUSED = 0.22, 0.1
"""Share of clips, whatever else happens to them, that are handled and whose pauses are gated: about 30 % are changed in
a way that nobody hears."""
MILD = 0.3
"""Severities below are drawn more often, as calls have them more often, and as they are hard to hear."""

RAREST = 0.03
"""A family is drawn as if it had this share of all weights at least: even the rarest must be met often enough."""

DEGRADING = tuple(family for family in FAMILIES.values() if family.weight > 0)
"""Without those that are not heard."""


def draw_recipe(lib: Library, rng: Rng) -> tuple[Params, ...]:
    """Stages in the order of a call; the last but what is not heard sets the level."""
    count = int(rng.choice(list(COUNTS), p=list(COUNTS.values())))
    stages = [draw_stage(family.name, draw_severity(rng), lib, rng) for family in _draw_families(count, rng)]
    if rng.random() < PAUSED:
        stages.append(draw_stage("pauses", 0.0, lib, rng))
    recipe = [*in_order(stages, rng)]
    if rng.random() < HANDLED:
        recipe.append(draw_stage("handling", 0.0, lib, rng))
    return tuple(recipe)


def single(name: str, severity: float, lib: Library, rng: Rng) -> tuple[Params, ...]:
    """Nothing but one family at a severity, and a level at which there is nothing to say about it."""
    return in_order([draw_stage(name, severity, lib, rng)], rng)


def draw_stage(name: str, severity: float, lib: Library, rng: Rng) -> Params:
    """One family at a severity, 0 to 1."""
    return {"family": name, **FAMILIES[name].draw(severity, lib, rng)}


def draw_severity(rng: Rng) -> float:
    """Mild in two clips of five, else anything."""
    return float(rng.uniform(0, MILD) if rng.random() < 0.15 else rng.random())


def in_order(stages: Sequence[Params], rng: Rng) -> tuple[Params, ...]:
    """`stages` as a call has them; where none sets the level, a normal one is set at the end."""
    ordered = sorted(stages, key=lambda stage: FAMILIES[stage["family"]].place)
    last = [stage for stage in ordered if stage["family"] == "level"] or [normal_level(rng)]
    return (*(stage for stage in ordered if stage["family"] != "level"), *last)


def _draw_families(count: int, rng: Rng) -> list[Family]:
    """Different families, by their weights, no more at one place than a call has."""
    drawn: list[Family] = []
    while len(drawn) < count:
        fitting = [family for family in DEGRADING if _fits(family, drawn)]
        weights = np.array([_weight(family, drawn) for family in fitting])
        drawn.append(fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))])
    return drawn


def _fits(family: Family, drawn: Sequence[Family]) -> bool:
    there = Counter(other.place for other in drawn)
    names = {other.name for other in drawn}
    if family.name in names or (family.name in ONE_OF and names & ONE_OF):
        return False
    return there[family.place] < AT_ONCE.get(family.place, 1)


def _weight(family: Family, drawn: Sequence[Family]) -> float:
    least = RAREST * sum(other.weight for other in DEGRADING)
    noisy = any(other.place == Place.SURROUNDINGS for other in drawn)
    return max(family.weight, least) * (CLEANED if noisy and family.name in ONE_OF else 1)
