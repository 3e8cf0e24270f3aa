"""A recipe of degradations over clean speech, each recorded with what it did and how much of it can be heard.

A recipe is plain data: the same recipe, sources and seed give the same samples. The stages have their own files:
acoustics.py, line.py, speech_codecs.py, network.py. A stage returns the new signal and a `Degradation`, whose `measure`
compares the signal before and after that stage; raters.py turns degradations into ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.simulation import acoustics, line, network, speech_codecs
from training.simulation.measures import Signal, signal_to_distortion
from training.simulation.stage import Degradation, Materials, Params, StageFunction

STAGES: dict[str, StageFunction] = {
    "reverb": acoustics.reverb,
    "noise": acoustics.noise,
    "mnru": line.mnru,
    "clip": line.clip,
    "suppress": line.suppress,
    "band": line.band,
    "pumping": line.pumping,
    "codec": speech_codecs.codec,
    "loss": network.loss,
    "stutter": network.stutter,
    "level": line.level,
}
"""In the order of a call: room, then surroundings, microphone, line, network, receiver."""
OVERLOADED_DB = 45.0
"""Peaks beyond full scale are cut; as clipping it is recorded where the distortion is within this of the speech."""


class Step(NamedTuple):
    """One stage at work."""

    before: Signal
    after: Signal
    degradation: Degradation


def apply(clean: Signal, recipe: Sequence[Params], materials: Materials, seed: int) -> tuple[Signal, list[Degradation]]:
    """Run the stages of `recipe` over `clean`: the degraded signal within ±1, and what was done."""
    steps = list(run_stages(clean, recipe, materials, seed))
    return steps[-1].after if steps else np.clip(clean, -1, 1), [step.degradation for step in steps]


def run_stages(clean: Signal, recipe: Sequence[Params], materials: Materials, seed: int) -> list[Step]:
    """Each stage of `apply` at work, with its own stream of `seed`; what is beyond full scale is clipped last."""
    steps: list[Step] = []
    signal = clean
    for index, params in enumerate(recipe):
        rng = np.random.default_rng([seed, index])
        after, degradation = STAGES[params["stage"]](signal, params, materials, rng)
        steps.append(Step(signal, after, degradation))
        signal = after
    limited = np.clip(signal, -1, 1).astype(np.float32)
    distortion = signal_to_distortion(signal, limited) if limited.any() else np.inf
    if distortion < OVERLOADED_DB:
        steps.append(Step(signal, limited, Degradation("clip", "overload", "clipping", distortion)))
    elif steps:
        steps[-1] = steps[-1]._replace(after=limited)
    return steps
