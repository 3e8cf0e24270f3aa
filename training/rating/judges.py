"""Predictors trained on human ratings, as judges of simulated clips: ViSQOL (full reference) and Distill-MOS (none).

Both are MIT or Apache-2.0 licensed. `pip install -c constraints.txt "visqol-python[lattice]"`, and without their
dependencies, which ask for a torchaudio that is not needed for arrays: `pip install --no-deps distillmos xls-r-sqa`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

from training.simulation.measures import SAMPLE_RATE, Signal

LONGEST_S = 12.0
"""Distill-MOS reads segments of 7.68 s; more of a long clip than this adds time and little else."""


@contextmanager
def _stand_in(name: str) -> Iterator[None]:
    """An empty module of that name, for the block alone: others ask whether the package is installed."""
    there = name in sys.modules
    sys.modules.setdefault(name, ModuleType(name))
    try:
        yield
    finally:
        if not there:
            del sys.modules[name]


@cache
def _distill_mos() -> Any:
    try:
        with _stand_in("torchaudio"):  # imported there to load files only
            from distillmos import ConvTransformerSQAModel
    except ImportError as error:
        raise ModuleNotFoundError(f"{error}: pip install --no-deps distillmos xls-r-sqa") from error

    return ConvTransformerSQAModel().eval()


@cache
def _visqol() -> Any:
    from visqol import VisqolApi

    judge = VisqolApi()
    judge.create(mode="speech", use_lattice_model=True, disable_global_alignment=True)
    return judge


def distill_mos(samples: Signal) -> float:
    """Predicted MOS of a clip, float32 [n] at 16 kHz."""
    heard = torch.from_numpy(samples[: int(LONGEST_S * SAMPLE_RATE)])[None]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        return round(float(_distill_mos()(heard)), 3)


def visqol(before: Signal, after: Signal) -> float:
    """MOS-LQO of `after` with `before` as the reference, both float32 [n] at 16 kHz and aligned."""
    result = _visqol().measure_from_arrays(before.astype(np.float64), after.astype(np.float64), SAMPLE_RATE)
    return round(float(result.moslqo), 3)
