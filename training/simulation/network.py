"""Stages of a packet network: lost packets, concealed or not, and jitter.

Each takes speech, float32 [n] at 16 kHz mono, and its parameters from the recipe, and returns [n] and what it did.
Both are measured as the share of active speech that they hit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.simulation.measures import FRAME, SAMPLE_RATE, Signal, active_frames
from training.simulation.stage import Degradation, Materials, Params


def loss(speech: Signal, params: Params, materials: Materials, rng: np.random.Generator) -> tuple[Signal, Degradation]:
    """A share of `rate` of the 20 ms packets lost, in bursts of `burst` packets on average (Gilbert model), and filled
    in: see `CONCEALMENTS`."""
    lost = _gilbert(speech.size // FRAME, params["rate"], params["burst"], rng)
    degraded = speech.copy()
    for first, last in _runs(lost):
        begin, end = first * FRAME, last * FRAME
        degraded[begin:end] = CONCEALMENTS[params["kind"]](degraded[:begin], end - begin)
    active = active_frames(speech)
    hit = float(np.mean(lost[: active.size][active])) if active.any() else 0.0
    return degraded, Degradation("loss", params["kind"], "packet loss", hit)


def _runs(lost: np.ndarray) -> list[tuple[int, int]]:
    """[first, last) of each run of lost packets."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _silence(past: Signal, missing: int) -> Signal:
    return np.zeros(missing, np.float32)


def _repeat(past: Signal, missing: int) -> Signal:
    """The last packet again and again, fading by 4.4 dB a packet."""
    if past.size < FRAME:
        return _silence(past, missing)
    packets = np.tile(past[-FRAME:], missing // FRAME)
    return (packets * np.repeat(0.6 ** np.arange(1, missing // FRAME + 1), FRAME)).astype(np.float32)


def _pitch(past: Signal, missing: int) -> Signal:
    """The last pitch period again and again, fading out over 80 ms: the idea of ITU-T G.711 Appendix I."""
    shortest, longest = SAMPLE_RATE // 400, SAMPLE_RATE // 66
    if past.size < 3 * longest:
        return _silence(past, missing)
    recent = past[-2 * longest :].astype(np.float64)
    lags = np.arange(shortest, longest)
    newest = recent[-longest:]
    likeness = [
        newest @ recent[-longest - lag : -lag] / (np.linalg.norm(recent[-longest - lag : -lag]) + 1e-9) for lag in lags
    ]
    period = int(lags[int(np.argmax(likeness))])
    fade = np.clip(1 - np.arange(missing) / (0.08 * SAMPLE_RATE), 0, 1)
    return (np.resize(past[-period:], missing) * fade).astype(np.float32)


CONCEALMENTS: dict[str, Callable[[Signal, int], Signal]] = {"silence": _silence, "repeat": _repeat, "pitch": _pitch}
"""How a receiver fills `missing` samples after the `past` it has."""


def _gilbert(frames: int, rate: float, burst: float, rng: np.random.Generator) -> np.ndarray:
    """Which of `frames` packets are lost: two states (E. N. Gilbert 1960), the lost one left after `burst` packets on
    average and entered as often as the share `rate` asks."""
    lost = np.zeros(frames, bool)
    leave = 1 / burst
    enter = min(1.0, rate * leave / max(1 - rate, 1e-3))
    bad = False
    for index in range(frames):
        bad = rng.random() >= leave if bad else rng.random() < enter
        lost[index] = bad
    return lost


def stutter(
    speech: Signal, params: Params, materials: Materials, rng: np.random.Generator
) -> tuple[Signal, Degradation]:
    """Jitter-buffer stutter: pieces of `piece_s` (s) played again, `per_second` of them, and as much dropped after
    each, so that the length stays."""
    degraded = speech.copy()
    piece = int(params["piece_s"] * SAMPLE_RATE)
    count = max(1, round(params["per_second"] * speech.size / SAMPLE_RATE))
    hit = np.zeros(speech.size, bool)
    for start in rng.integers(piece, max(piece + 1, speech.size - 2 * piece), count):
        degraded[start : start + piece] = speech[start - piece : start]
        hit[start : start + piece] = True
    active = np.repeat(active_frames(speech), FRAME)
    share = float(np.mean(hit[: active.size][active])) if active.any() else 0.0
    return degraded, Degradation("stutter", "jitter", "stutter", share)
