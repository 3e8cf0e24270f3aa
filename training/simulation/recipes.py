"""What happens to a clip: families of degradation, each at a severity, in the order of a call."""

from __future__ import annotations

import numpy as np

from training.simulation.library import Library
from training.simulation.simulate import FAMILIES
from training.simulation.stage import Params, Rng

COUNTS = {0: 0.2, 1: 0.3, 2: 0.27, 3: 0.15, 4: 0.08}
"""How many families act on a clip, and how often; a fifth of the clips is pristine."""


def draw_recipe(lib: Library, rng: Rng) -> tuple[Params, ...]:
    count = int(rng.choice(list(COUNTS), p=list(COUNTS.values())))
    weights = np.array([family.weight for family in FAMILIES.values()])
    names = rng.choice(list(FAMILIES), size=count, replace=False, p=weights / weights.sum())
    stages = [draw_stage(str(name), float(rng.random()), lib, rng) for name in names]
    return tuple(sorted(stages, key=lambda stage: FAMILIES[stage["family"]].place))


def draw_stage(name: str, severity: float, lib: Library, rng: Rng) -> Params:
    """One family at a severity, 0 to 1."""
    return {"family": name, **FAMILIES[name].draw(severity, lib, rng)}
