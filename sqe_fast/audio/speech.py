"""Where somebody speaks: a small network on the log-mel, apart from the model that rates.

Five dilated convolutions, 20,769 weights, which hear 1.1 s before and after a step. `python -m benchmarks.speech fit`
teaches it; what it misses and what it takes for speech, beside other detectors, stands in benchmarks/LOG.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sqe_fast.audio.features import HOP, MAX_FRAMES, SAMPLE_RATE, FloatArray, log_mel
from sqe_fast.audio.level import SILENCE_DBFS

Steps = npt.NDArray[np.bool_]
"""[steps]: does somebody speak in this one? The last step may be shorter than others."""
Powers = npt.NDArray[np.float32]
"""[steps]: mean square of each, its DC taken away."""
FRAMES = 4
STEP = FRAMES * HOP
"""Samples of a step: 40 ms."""
LEAST = 0.3
"""Seconds of active speech below which what was taken for speech is none: a word has more."""
SHORT = 2.0
"""Seconds of a clip that is always taken for speech, or else would be denied on too little evidence."""

BANDS = 40
DILATIONS = (1, 2, 4, 8, 12)
CONTEXT = sum(DILATIONS)
"""Steps on either side of one that decide on it."""
MOST = MAX_FRAMES * HOP
_WEIGHTS = Path(__file__).with_suffix(".npz")
_LOUD = 0.98
"""The quantile of a clip's frames that levels are counted from: a click is rarer."""
_FLOOR = 1.75
"""Quarter-decades² of power below that, as `log_mel` counts them, at which everything is silence: 70 dB."""
_ROWS = 32
"""Rows of a product: BLAS would wake its threads for larger ones, and for a millisecond's work."""


def holds_speech(samples: FloatArray) -> bool:
    """Does anybody speak in [n] samples at 16 kHz, n at most 30 s? A clip under 2 s is not denied it."""
    return len(samples) < SHORT * SAMPLE_RATE or spoken(activity(samples)) >= LEAST


def spoken(steps: Steps) -> float:
    """Seconds of active speech."""
    return int(np.count_nonzero(steps)) * STEP / SAMPLE_RATE


def activity(samples: FloatArray) -> Steps:
    """Of [n] samples at 16 kHz, n at most 30 s, of any level. What is silent is no speech."""
    sounds = powers(samples) >= 10 ** (SILENCE_DBFS / 10)
    return sounds & (_logits(patches(samples)) > 0) if sounds.any() else sounds


def powers(samples: FloatArray) -> Powers:
    """Of [n] samples."""
    padded = np.pad(samples, (0, -len(samples) % STEP), mode="edge")
    found: Powers = padded.reshape(-1, STEP).var(axis=1)
    return found


class ActivityScan:
    """`activity` of a recording of any length, which comes in pieces of any size. The steps are the same whatever the
    pieces; less than a minute of samples is held."""

    def __init__(self) -> None:
        self._held, self._decided = np.empty(0, np.float32), 0
        self._steps: list[Steps] = []

    def add(self, samples: FloatArray) -> None:
        """The next, [n] at 16 kHz."""
        self._held = np.concatenate([self._held, samples])
        while len(self._held) > MOST:
            steps = activity(self._held[:MOST])
            self._steps.append(steps[self._decided : -CONTEXT])
            self._held, self._decided = self._held[(len(steps) - 2 * CONTEXT) * STEP :], CONTEXT

    def finish(self) -> Steps:
        """All of them."""
        last = activity(self._held)[self._decided :] if len(self._held) else np.zeros(0, np.bool_)
        return np.concatenate([*self._steps, last])


def patches(samples: FloatArray) -> FloatArray:
    """What the network hears of [n] samples: [steps, 160], four frames of 40 bands each; 1 where it is loud."""
    mel = log_mel(np.ascontiguousarray(samples - samples.mean(dtype=np.float64), np.float32))
    bands = mel.data[:, : mel.frames].reshape(BANDS, 2, mel.frames).mean(1).T
    loudest = np.sort(bands.max(1))[round(_LOUD * (mel.frames - 1))]
    heard = np.clip((bands - loudest) / _FLOOR * 2.6 + 1, -1.6, 1.6)
    steps = -(-mel.frames // FRAMES)
    padded = np.pad(heard, ((0, steps * FRAMES - mel.frames), (0, 0)), mode="edge")
    return padded.reshape(steps, FRAMES * BANDS)


class _Network(NamedTuple):
    first: FloatArray
    """[160, width]"""
    middle: FloatArray
    """[layers, 3 · width, width]: of the step before, the step, the step after."""
    last: FloatArray
    """[width, 1]"""
    first_bias: FloatArray
    middle_bias: FloatArray
    last_bias: FloatArray


@cache
def _network() -> _Network:
    with np.load(_WEIGHTS) as weights:
        return _Network(**{name: weights[name].astype(np.float32) for name in _Network._fields})


def _logits(heard: FloatArray) -> FloatArray:
    """[steps, 160] → [steps]"""
    network = _network()
    hidden = np.maximum(_product(heard, network.first) + network.first_bias, 0)
    for dilation, weight, bias in zip(DILATIONS, network.middle, network.middle_bias, strict=True):
        padded = np.pad(hidden, ((dilation, dilation), (0, 0)))
        taps = [padded[shift : shift + len(hidden)] for shift in (0, dilation, 2 * dilation)]
        hidden = hidden + np.maximum(_product(np.concatenate(taps, axis=1), weight) + bias, 0)
    logits: FloatArray = (_product(hidden, network.last) + network.last_bias)[:, 0]
    return logits


def _product(rows: FloatArray, weight: FloatArray) -> FloatArray:
    count, width = rows.shape
    padded = np.pad(rows, ((0, -count % _ROWS), (0, 0)))
    product: FloatArray = np.matmul(padded.reshape(-1, _ROWS, width), weight).reshape(-1, weight.shape[1])[:count]
    return product
