"""Simulated ratings: degradations and the clean recording's own defects → the four dimensions and the MOS.

Nobody listened to these clips: every row says `rated_by: simulated`. Three kinds of evidence meet:

* curves from a full-reference measure of a stage to a rating. The noise and distortion curves follow human P.835
  ratings (background and signal scales, mean of talkers f1 and m1) of white noise at 0–40 dB and of MNRU at Q 8–40 dB;
* two judges trained on human ratings, ViSQOL and Distill-MOS, asked about the signal before and after each stage that
  colors or breaks it (labels.py). Their scales are brought to the same human ratings;
* how listeners weigh the dimensions, from the 712 human-rated files of the NISQA test sets.

Several degradations of one dimension multiply: each takes its share of what quality the others have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sqe_fast.results import DIMENSIONS
from training.simulation.stage import Degradation

BEST = 4.8
"""No panel's mean reaches 5."""
Knots = Sequence[tuple[float, float]]
"""(measure, rating); linear between them, constant beyond."""

_WHITE_TO_A_WEIGHTED = -2.7  # dB: what A-weighting takes from speech, less what it takes from white noise (measured)
NOISE: Knots = [(-12, 1.0), (0, 1.32), (10, 1.93), (20, 2.7), (30, 3.27), (40, 3.83), (50, 4.4), (60, 4.77)]
DISTORTION: Knots = [(-2, 1.0), (8, 1.75), (16, 3.14), (24, 4.0), (32, 4.4), (40, 4.6), (60, 4.8)]
SPECTRAL: Knots = [(0.17, 4.8), (0.56, 4.52), (1.52, 4.0), (3.24, 3.14), (5.78, 1.75), (8.6, 1.1), (10, 1.0)]
"""The same MNRU conditions, by the spectral distance they have: so that codecs, which the waveform measure cannot
judge, share one scale with them."""
HIGH_PASS: Knots = [(0, 4.8), (150, 4.7), (300, 4.2), (600, 3.1), (1000, 2.1), (1500, 1.4), (2000, 1.2)]
LOW_PASS: Knots = [
    (900, 1.0),
    (1500, 1.9),
    (2500, 2.9),
    (3400, 3.4),
    (4000, 3.8),
    (5000, 4.2),
    (7000, 4.75),
    (7900, 4.8),
]
CLARITY: Knots = [(-8, 1.2), (0, 1.7), (3, 2.1), (6, 2.4), (11, 3.0), (20, 4.0), (30, 4.7), (40, 4.8)]
LOST_SHARE: Knots = [(0, 4.8), (0.005, 4.3), (0.02, 3.6), (0.05, 2.8), (0.1, 2.1), (0.2, 1.5), (0.35, 1.1), (0.6, 1.0)]
CONCEALED: dict[str, float] = {"repeat": 0.7, "pitch": 0.55}
"""A concealed packet is heard as about this share of a silent one: by Distill-MOS, on ten talkers at five rates."""
LEVEL: Knots = [
    (-70, 1.0),
    (-60, 1.2),
    (-50, 1.9),
    (-42, 2.7),
    (-36, 3.4),
    (-30, 4.1),
    (-25, 4.6),
    (-20, 4.8),
    (-15, 4.75),
    (-11, 4.0),
    (-8, 3.2),
    (-5, 2.4),
    (-2, 1.8),
]
PUMPING: Knots = [(0, 4.8), (2, 4.4), (4.5, 3.7), (8, 2.8), (12, 1.8), (16, 1.2)]
COLORED_BY_NOISE: Knots = [(0, 3.5), (10, 4.3), (20, 4.6), (30, BEST)]
"""Talkers' signal scale also falls, 4.6 to 3.2, as white noise rises from 30 to 0 dB."""
GRAIN_AS_NOISE: Knots = [(0, 4.1), (8, 4.4), (24, 4.55), (40, BEST)]
"""And their background scale falls a little with MNRU's Q."""

VISQOL: Knots = [(1.0, 1.2), (1.17, 1.75), (1.88, 3.1), (3.31, 4.0), (4.18, 4.45), (4.5, 4.65), (4.6, 4.8)]
"""MOS-LQO of MNRU clips → the human signal rating of the same Q."""
DISTILL: Knots = [
    (1.0, 1.0),
    (1.8, 2.0),
    (2.1, 2.45),
    (2.6, 3.1),
    (3.2, 3.5),
    (3.5, 3.8),
    (3.75, 4.0),
    (4.0, 4.4),
    (4.4, 4.75),
    (5.0, 4.8),
]
"""Distill-MOS → human overall rating, talkers f1 and m1 without the reference condition, which it rates 1.8."""
WORTH = {"coloration": 1.45, "discontinuity": 1.25}
"""What a dimension alone must lose for the MOS to lose 1, by the human weighting in `overall`."""
PREDICTED_SHARE = 0.5
"""Of Distill-MOS in the MOS; the human weighting of the dimensions has the rest."""


@dataclass(frozen=True)
class Defects:
    """A clean recording's own defects."""

    gap_db: float
    """Speech over the recording's own floor, A-weighted, dB."""
    bandwidth_hz: float


@dataclass(frozen=True)
class Opinion:
    """The judges on one stage: ViSQOL of after against before, Distill-MOS of each.

    ViSQOL is not asked about lost packets (None): it hardly hears them.
    """

    visqol: float | None
    before: float
    after: float


@dataclass(frozen=True)
class Label:
    """The judges on one clip: an opinion for each degradation of coloration or discontinuity, in order."""

    distill_mos: float
    opinions: tuple[Opinion, ...]


def judged(degradation: Degradation) -> bool:
    """Whether the judges are asked about this degradation. Noise and level have their own human data."""
    return degradation.dimension in WORTH


def curve(knots: Knots, measure: float) -> float:
    return float(np.interp(measure, [x for x, _ in knots], [y for _, y in knots]))


def rate(defects: Defects, degradations: Sequence[Degradation], label: Label) -> tuple[dict[str, float], list[float]]:
    """The five ratings of a clip, 1–5, and what each degradation alone would leave of its dimension; to 0.01."""
    opinions = iter(label.opinions)
    alone = [
        rate_degradation(degradation, next(opinions) if judged(degradation) else None) for degradation in degradations
    ]
    shares: dict[str, list[float]] = {name: [1.0] for name in DIMENSIONS}
    shares["coloration"].append(_share(curve(LOW_PASS, defects.bandwidth_hz)))
    snrs = [defects.gap_db - _WHITE_TO_A_WEIGHTED]
    for degradation, rating in zip(degradations, alone, strict=True):
        if degradation.stage == "noise":
            snrs.append(degradation.measure - _WHITE_TO_A_WEIGHTED)
        else:
            shares[degradation.dimension].append(_share(rating))
        if degradation.stage == "suppress":
            snrs = [snr + degradation.reduction_db for snr in snrs]
        if degradation.stage == "mnru":
            shares["noisiness"].append(_share(curve(GRAIN_AS_NOISE, degradation.measure)))
    snr = -10 * np.log10(sum(10 ** (-value / 10) for value in snrs))
    shares["noisiness"].append(_share(curve(NOISE, snr)))
    shares["coloration"].append(_share(curve(COLORED_BY_NOISE, snr)))
    ratings = {name: 1 + (BEST - 1) * float(np.prod(shares[name])) for name in DIMENSIONS}
    ratings["mos"] = _mos(ratings, label.distill_mos)
    return {name: round(value, 2) for name, value in ratings.items()}, [round(rating, 2) for rating in alone]


def rate_degradation(degradation: Degradation, opinion: Opinion | None) -> float:
    """The rating of the dimension a degradation acts on, were it the only one: the mean of its curve and of the judges,
    Distill-MOS counting less the less there was left to lose."""
    measured = rate_measure(degradation)
    if opinion is None:
        return measured
    ratings, weights = [measured], [1.0]
    if opinion.visqol is not None:
        ratings.append(curve(VISQOL, opinion.visqol))
        weights.append(1.0)
    before, after = curve(DISTILL, opinion.before), curve(DISTILL, opinion.after)
    ratings.append(float(np.clip(BEST - WORTH[degradation.dimension] * (before - after), 1, BEST)))
    weights.append(float(np.clip((before - 1.5) / 2, 0, 1)))
    return float(np.average(ratings, weights=weights))


def rate_measure(degradation: Degradation) -> float:
    """What the stage's own measure says."""
    match degradation.stage:
        case "noise":
            return curve(NOISE, degradation.measure - _WHITE_TO_A_WEIGHTED)
        case "level":
            return curve(LEVEL, degradation.measure)
        case "pumping":
            return curve(PUMPING, degradation.measure)
        case "loss" | "stutter":
            return curve(LOST_SHARE, degradation.measure * CONCEALED.get(degradation.kind, 1.0))
        case "clip" | "mnru":
            return curve(DISTORTION, degradation.measure)
        case "codec" | "suppress":
            return curve(SPECTRAL, degradation.measure)
        case "reverb":
            return curve(CLARITY, degradation.measure)
        case "band":
            return 1 + (BEST - 1) * _share(curve(LOW_PASS, degradation.high)) * _share(
                curve(HIGH_PASS, degradation.low)
            )
    raise ValueError(f"no rating for stage {degradation.stage!r}")


def _mos(ratings: dict[str, float], distill_mos: float) -> float:
    """Half the listeners' weighting of the dimensions, half the prediction, which is deaf to level and so loses what
    the level costs by the weighting."""
    weighed = overall(ratings)
    costs_of_level = overall({**ratings, "loudness": BEST}) - weighed
    predicted = max(1.0, curve(DISTILL, distill_mos) - costs_of_level)
    return PREDICTED_SHARE * predicted + (1 - PREDICTED_SHARE) * weighed


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
