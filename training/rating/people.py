"""What the listener takes from people's panels: the fit, and its judgement with whole families of conditions left out.

A panel is predicted by the listener's own functions, and held against people after its own straight line (ITU-T
P.1401). A listener of P.835 attends to one thing at a time, so SIG and BAK have less halo than NISQA's dimensions:
`Attention`, which ratings of simulated clips do not use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit, logit

from training.rating import listener
from training.rating.curves import BEST, Knots, curve, rating, share
from training.rating.panels import HOLUB, P835, Point, Values

NOISE_DB = (0.0, 8.0, 16.0, 26.0, 38.0, 48.0, 60.0)
MODULATED_DB = (0.0, 8.0, 16.0, 24.0, 32.0, 40.0, 50.0)


@dataclass(frozen=True)
class Attention:
    """How P.835's listeners, who attend to one thing, are still drawn by the other."""

    noise: float
    """What SIG loses by noise that leaves nothing of the background."""
    power: float
    voice: float
    """What BAK loses by a voice of which nothing is left."""
    codec: float
    """What holub's two codecs leave of the voice, beside what the witnesses hear."""


@dataclass(frozen=True)
class People:
    """Everything that is fitted to panels. What the ratings use stands as constants in curves.py and listener.py."""

    noise: Knots
    modulated: Knots
    suppressed: float
    powers: tuple[float, float]
    trust: tuple[float, ...]
    attention: Attention


def predict(point: Point, people: People, witnessed: bool = False) -> Values:
    """[3]: SIG, BAK, OVRL on the common scale. Where `witnessed`, modulated noise has no curve: the witnesses say what
    it leaves of the voice."""
    sent_db = point.gap_db if point.sent_db is None else point.sent_db
    snr_db = sent_db + people.suppressed * (point.gap_db - sent_db)
    background, attention = share(curve(people.noise, snr_db)), people.attention
    voice = _voice(point, snr_db, people, witnessed)
    signal = voice * (1 - attention.noise * (1 - background) ** attention.power)
    behind = background * (1 - attention.voice * (1 - voice) ** listener.HALO_POWER)
    left = np.array([background, voice, 1.0, 1.0])
    _, mos = listener.judged(left, point.witness["distill_mos"], people.trust)
    return np.array([rating(signal), rating(behind), mos])


def _voice(point: Point, snr_db: float, people: People, witnessed: bool) -> float:
    if point.q_db is not None and not witnessed:
        return share(curve(people.modulated, point.q_db))
    if point.panel == P835 and point.q_db is None:
        return 1.0
    heard = listener.voice(point.witness, snr_db, people.powers)
    return heard * (1.0 if point.sent_db is None else people.attention.codec)


# --- the fit ----------------------------------------------------------------------------------------------------------

_UNASKED = (np.nan, np.nan)
ANCHORS = (
    Point("", "babble", "", "", 5.0, None, 60.0, {"distill_mos": 2.0, "sig": 3.0}, np.array([*_UNASKED, 2.0])),
    Point(
        "", "modulated noise", "", "", 60.0, None, 25.0, {"distill_mos": 3.25, "sig": 3.5}, np.array([*_UNASKED, 2.5])
    ),
)
"""What a panel of all kinds of degradation, on the common scale, said of 5 dB of babble and of a Q of 25 dB. The second
pulls against P.835, which rates modulated noise milder."""
_RISES, _Q, _SUPPRESSED, _POWERS, _TRUST, _ATTENTION = (
    slice(0, 6),
    slice(6, 8),
    8,
    slice(9, 11),
    slice(11, 13),
    slice(13, 17),
)
START = np.array(
    [
        *np.log([0.7, 0.7, 0.5, 0.7, 0.75, 0.45]),  # rises of the noise curve from knot to knot
        *(19.0, np.log(6.0)),  # Q that leaves half, and the width of the curve
        logit(0.7),  # what suppression takes away
        *(0.0, 0.0),  # powers of 1: the witnesses as they stand
        *logit([0.2, 0.6]),  # trust in Distill-MOS: noise, voice
        *(logit(0.8), np.log(4.0), logit(0.3), logit(0.9)),  # attention
    ]
)
"""Where the search begins, and what it stays near where the panels say little."""
STIFF = np.full(START.size, 0.05)
STIFF[_RISES], STIFF[_POWERS], STIFF[_TRUST] = 0.2, 0.5, 0.3


def fit(points: Sequence[Point]) -> People:
    """Least squares over all scales of the panels, each after its own straight line, and over ANCHORS as they stand."""

    def errors(parameters: Values) -> Values:
        people = _people(parameters)
        found = [np.sqrt(0.5) * (on_line(read, given) - given) for read, given in pairs(points, people)]
        common = [predict(anchor, people)[2] - anchor.scores[2] for anchor in ANCHORS]
        return np.concatenate([*found, common, STIFF * (parameters - START)])

    return _people(least_squares(errors, START).x)


def _people(parameters: Values) -> People:
    rises = np.exp(parameters[_RISES])
    noise = (1 + (BEST - 0.05 - 1) * np.concatenate([[0.0], np.cumsum(rises) / rises.sum()])).tolist()
    middle, width = parameters[_Q][0], np.exp(parameters[_Q][1])
    quality = expit((np.array(MODULATED_DB) - middle) / width)
    suppressed, trust, powers = expit(parameters[_SUPPRESSED]), expit(parameters[_TRUST]), np.exp(parameters[_POWERS])
    by_noise, power, voice, codec = parameters[_ATTENTION]
    return People(
        (*zip(NOISE_DB, noise, strict=True), (70.0, BEST)),
        tuple(zip(MODULATED_DB, rating(quality / quality[-1]).tolist(), strict=True)),
        float(suppressed),
        (float(powers[0]), float(powers[1])),
        (*map(float, trust), *listener.TRUST[2:]),
        Attention(float(expit(by_noise)), float(np.exp(power)), float(expit(voice)), float(expit(codec))),
    )


def pairs(points: Sequence[Point], people: People) -> Iterator[tuple[Values, Values]]:
    """Read and given, [n] each, for each panel and scale."""
    for panel in (HOLUB, P835):
        lot = [point for point in points if point.panel == panel]
        if lot:
            read, given = np.array([predict(point, people) for point in lot]), np.array([p.scores for p in lot])
            yield from zip(read.T, given.T, strict=True)


def on_line(read: Values, given: Values) -> Values:
    """`read` after the straight line that fits best."""
    return np.polyval(np.polyfit(read, given, 1), read)


def left_out(points: Sequence[Point], lot: Callable[[Point], str]) -> Values:
    """[n, 3]: each point as predicted by a fit that knew nothing of its `lot` in its panel; NaN where that is ""."""
    lots = [(point.panel, lot(point)) for point in points]
    read = np.full((len(points), 3), np.nan)
    for one in dict.fromkeys(name for name in lots if name[1]):
        people = fit([point for point, name in zip(points, lots, strict=True) if name != one])
        for index, (point, name) in enumerate(zip(points, lots, strict=True)):
            if name == one:
                read[index] = predict(point, people, witnessed="modulated" in point.family)
    return read
