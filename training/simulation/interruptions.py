"""How much of the speech an interruption hits: what lost packets, jitter buffers and voice detectors have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.simulation.measures import FRAME, SAMPLE_RATE, Signal, active_frames, frame_power

Span = tuple[int, int]
"""[first, last) samples."""
Mask = npt.NDArray[np.bool_]

_WINDOW = 320  # 20 ms: as short as what is lost, and long enough to tell 50 Hz apart
_HOP = 80
_HOLE_DB = 30.0
_ABOVE_FLOOR_DB = 6.0


class Toll(NamedTuple):
    """What a listener lost of the active speech."""

    share: float
    """Of active speech, 0–1."""
    per_s: float
    """Interruptions that hit speech, per second of it."""
    mean_ms: float
    """Active speech that one takes, on average."""


def runs(mask: Mask) -> list[Span]:
    """[first, last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def active_samples(signal: Signal) -> Mask:
    """Where there is speech to lose, bool [n]: measures.active_frames that stand out of the recording's own floor, the
    5 % quantile of frame powers, so that a noisy pause is none. What is left at the end is not active."""
    power = frame_power(signal)
    speech = active_frames(signal) & (power > np.quantile(power, 0.05) * 10 ** (_ABOVE_FLOOR_DB / 10))
    active = np.zeros(signal.size, bool)
    active[: speech.size * FRAME] = np.repeat(speech, FRAME)
    return active


def toll(active: Mask, spans: Sequence[Span]) -> Toll | None:
    """What `spans` take of the speech in `active`, bool [n]; None where they take none."""
    counts = [int(np.count_nonzero(active[first:last])) for first, last in spans]
    taken = [count for count in counts if count]
    if not taken:
        return None
    speech, total = sum(taken), int(np.count_nonzero(active))
    return Toll(speech / total, len(taken) * SAMPLE_RATE / total, 1000 * speech / len(taken) / SAMPLE_RATE)


def distance(before: Signal, after: Signal, active: Mask) -> float:
    """Mean absolute difference in dB over third-octave-like bands and over the active speech of two aligned signals.

    A hole counts as at most 30 dB below what the band has on average while there is speech: below, nobody hears how
    deep it is.
    """
    frames = np.flatnonzero(active[_WINDOW // 2 : active.size - _WINDOW // 2 : _HOP])
    if not frames.size:
        return 0.0
    powers = [_band_powers(signal)[frames] for signal in (before, after)]
    floor = np.maximum(powers[0].mean(axis=0) * 10 ** (-_HOLE_DB / 10), 1e-12)
    levels = [10 * np.log10(np.maximum(power, floor)) for power in powers]
    return float(np.mean(np.abs(levels[0] - levels[1])))


def _band_powers(signal: Signal) -> npt.NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64), _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    edges = np.unique(np.round(np.geomspace(2, _WINDOW // 2, 21)).astype(int))
    bands: npt.NDArray[np.float64] = np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges)
    return bands
