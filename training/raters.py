"""Simulated ratings: causes and the source's own defects → noisiness, coloration, discontinuity, loudness, MOS.

Nobody listened to these clips: every row says `rated_by: simulated`. Each curve maps one full-reference measure to a
1–5 rating. The noise and the distortion curves follow human P.835 ratings (background and signal scales, mean of
talkers f1 and m1) of white noise at 0–40 dB and of MNRU at Q 8–40 dB; loss and level follow no human data yet.
Several causes of one dimension multiply: each takes its share of what quality the others have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sqe_fast.results import DIMENSIONS
from training.simulate import Cause

BEST = 4.8
"""No panel's mean reaches 5."""

# (measure, rating) knots; linear between them.
_WHITE_TO_A_WEIGHTED = -2.7  # dB: what A-weighting takes from speech, less what it takes from white noise (measured)
NOISE = [(-12, 1.0), (0, 1.32), (10, 1.93), (20, 2.7), (30, 3.27), (40, 3.83), (50, 4.4), (60, 4.77)]
DISTORTION = [(-2, 1.0), (8, 1.75), (16, 3.14), (24, 4.0), (32, 4.4), (40, 4.6), (60, 4.8)]
SPECTRAL = [(0.17, 4.8), (0.56, 4.52), (1.52, 4.0), (3.24, 3.14), (5.78, 1.75), (8.6, 1.1), (10, 1.0)]
"""The same MNRU conditions, by the spectral distance they have: so that codecs and filters, which the waveform measure
cannot judge, share one scale with them."""
HIGH_PASS = [(0, 4.8), (150, 4.7), (300, 4.2), (600, 3.2), (1000, 2.3), (1500, 1.7), (2000, 1.4)]
LOW_PASS = [(900, 1.0), (1500, 1.75), (2500, 3.0), (3400, 3.7), (4000, 4.05), (5000, 4.4), (7000, 4.75), (7900, 4.8)]
"""Spectral distance of ideal low-pass filters, read through SPECTRAL (measured on 12 talkers)."""
CLARITY = [(-8, 1.4), (-2, 2.0), (3, 2.6), (8, 3.3), (14, 3.9), (20, 4.4), (30, 4.8)]
LOST_SHARE = [(0, 4.8), (0.005, 4.3), (0.02, 3.7), (0.05, 3.0), (0.1, 2.3), (0.2, 1.6), (0.35, 1.15), (0.6, 1.0)]
LEVEL = [
    (-70, 1.0),
    (-60, 1.2),
    (-50, 1.9),
    (-42, 2.7),
    (-36, 3.4),
    (-30, 4.1),
    (-25, 4.6),
    (-20, 4.8),
    (-12, 4.7),
    (-6, 4.0),
]
COLORED_BY_NOISE = [(0, 3.5), (10, 4.3), (20, 4.6), (30, BEST)]
"""Talkers' signal scale also falls, 4.6 to 3.2, as white noise rises from 30 to 0 dB."""
CONCEALED = 0.6
"""A repeated packet is heard as about this share of a silent one."""
FLOOR_BONUS_DB = 12.0
"""A source's own floor is measured in its quietest pauses; over the whole clip it is heard as this much less."""


@dataclass(frozen=True)
class Source:
    """A clean recording's own defects, in the units of sources.csv."""

    level_db: float
    gap_db: float
    """Level of speech over the recording's own floor, dB."""
    bandwidth_hz: float


def curve(knots: Sequence[tuple[float, float]], measure: float) -> float:
    return float(np.interp(measure, [x for x, _ in knots], [y for _, y in knots]))


def rate(source: Source, causes: Sequence[Cause]) -> dict[str, float]:
    """The five ratings of a degraded clip, 1–5, each rounded to 0.01."""
    shares = {name: [1.0] for name in DIMENSIONS}
    shares["coloration"].append(_share(curve(LOW_PASS, source.bandwidth_hz)))
    snrs = [source.gap_db + FLOOR_BONUS_DB]
    level = source.level_db
    for cause in causes:
        match cause.stage:
            case "noise":
                snrs.append(cause.measure - _WHITE_TO_A_WEIGHTED)
            case "level":
                level = cause.measure
            case "loss" | "stutter":
                shares["discontinuity"].append(_share(rate_cause(cause)))
            case _:
                shares["coloration"].append(_share(rate_cause(cause)))
    snr = -10 * np.log10(sum(10 ** (-value / 10) for value in snrs))
    shares["noisiness"].append(_share(curve(NOISE, snr)))
    shares["loudness"].append(_share(curve(LEVEL, level)))
    shares["coloration"].append(_share(curve(COLORED_BY_NOISE, snr)))
    ratings = {name: 1 + (BEST - 1) * float(np.prod(shares[name])) for name in DIMENSIONS}
    ratings["mos"] = overall(ratings)
    return {name: round(value, 2) for name, value in ratings.items()}


def rate_cause(cause: Cause) -> float:
    """The rating of the dimension a cause acts on, were it the only one."""
    match cause.stage:
        case "noise":
            return curve(NOISE, cause.measure - _WHITE_TO_A_WEIGHTED)
        case "level":
            return curve(LEVEL, cause.measure)
        case "loss" | "stutter":
            return curve(LOST_SHARE, cause.measure * (CONCEALED if cause.kind == "repeat" else 1.0))
        case "clip" | "mnru":
            return curve(DISTORTION, cause.measure)
        case "codec":
            return curve(SPECTRAL, cause.measure)
        case "reverb":
            return curve(CLARITY, cause.measure)
        case "band":
            return 1 + (BEST - 1) * _share(curve(LOW_PASS, cause.high)) * _share(curve(HIGH_PASS, cause.low))
    raise ValueError(f"no rating for stage {cause.stage!r}")


def overall(ratings: dict[str, float]) -> float:
    """MOS as listeners weigh the four dimensions: a fit to the 712 NISQA test files (R² = 0.944), in which the worst
    dimension counts a second time."""
    worst = min(ratings[name] for name in DIMENSIONS)
    mos = (
        0.224 * ratings["noisiness"]
        + 0.221 * ratings["coloration"]
        + 0.327 * ratings["discontinuity"]
        + 0.147 * ratings["loudness"]
        + 0.470 * worst
        - 1.342
    )
    return float(np.clip(mos, 1.0, BEST))


def _share(rating: float) -> float:
    return (rating - 1) / (BEST - 1)
