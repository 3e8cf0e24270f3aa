"""A recipe of degradations over clean speech, each recorded with what it did and how much of it can be heard.

A recipe is plain data: the same recipe, sources and seed give the same samples. The families have their own files.
rating/ turns what was recorded into ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.simulation import (
    acoustics,
    calls,
    coded_loss,
    enhancement,
    jitter,
    line,
    network,
    neural_codec,
    pitch,
    rooms,
    speech_codecs,
    speech_gate,
    vocoders,
)
from training.simulation.measures import Signal, signal_to_distortion
from training.simulation.stage import Degradation, Family, Materials, Params
from training.streams import Stream, stream

_MODULES = (
    rooms,
    acoustics,
    line,
    speech_gate,
    enhancement,
    pitch,
    vocoders,
    speech_codecs,
    neural_codec,
    coded_loss,
    network,
    jitter,
    calls,
)
FAMILIES: dict[str, Family] = {family.name: family for module in _MODULES for family in module.FAMILIES}


class Step(NamedTuple):
    """One stage at work."""

    before: Signal
    after: Signal
    degradations: tuple[Degradation, ...]


def apply(clean: Signal, recipe: Sequence[Params], materials: Materials, seed: int) -> tuple[Signal, list[Degradation]]:
    """Run the stages of `recipe` over `clean`: the degraded signal within ±1, and what was done."""
    steps = run_stages(clean, recipe, materials, seed)
    done = [degradation for step in steps for degradation in step.degradations]
    return steps[-1].after if steps else np.clip(clean, -1, 1), done


def run_stages(clean: Signal, recipe: Sequence[Params], materials: Materials, seed: int) -> list[Step]:
    """Each stage of `apply` at work, with its own stream of `seed`; what is beyond full scale is clipped last."""
    steps: list[Step] = []
    signal = clean
    for index, params in enumerate(recipe):
        rng = stream(Stream.CLIP_STAGE, seed, index)
        after, degradations = FAMILIES[params["family"]].apply(signal, params, materials, rng)
        steps.append(Step(signal, after, degradations))
        signal = after
    limited = np.clip(signal, -1, 1).astype(np.float32)
    distortion = signal_to_distortion(signal, limited) if limited.any() else np.inf
    if distortion < line.INAUDIBLE_DB:
        overload = Degradation("overload", "receiver", "clipping", {"distortion_db": distortion})
        steps.append(Step(signal, limited, (overload,)))
    elif steps:
        steps[-1] = steps[-1]._replace(after=limited)
    return steps
