"""From the measures of one cause to the rating that it alone would leave of its own dimension: a curve a cause.

What each curve is founded on stands under it. "People": fitted to human panels by people.py. "Witness": what
Distill-MOS says of clips with this cause alone, beside the same clips without it. "Ours": nobody was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from training.language.causes import KINDS

BEST = 4.65
"""What one cause alone leaves of its dimension where it is not heard: the scale of the curves."""
Knots = Sequence[tuple[float, float]]
"""(measure, rating of the own dimension), linear between them, constant beyond."""
Measures = Mapping[str, float]
Number = TypeVar("Number", float, npt.NDArray[np.float64])

NOISE: Knots = [(0, 1.0), (8, 1.62), (16, 2.26), (26, 2.52), (38, 3.36), (48, 3.99), (60, 4.6), (70, BEST)]
"""Speech over noise, dB (A-weighted). People: holub's noises without a codec, P.835's white noise."""
SPORADIC = 0.6
"""A noise that sounds a tenth of the time counts as one that is so many times 10 dB fainter. Ours."""
MODULATED: Knots = [(0, 1.21), (8, 1.48), (16, 2.01), (24, 2.81), (32, 3.65), (40, 4.26), (50, BEST)]
"""Q of a modulated noise reference unit, dB. People: P.835, and a panel that heard the full band, by which a Q of 25 dB
has a MOS of 2.5."""
HIGH_CUT: Knots = [
    (900, 1.2),
    (1500, 1.8),
    (2500, 2.7),
    (3400, 3.35),
    (4000, 3.6),
    (5000, 4.05),
    (6000, 4.35),
    (7000, 4.6),
    (8000, BEST),
]
"""Upper end of the band, Hz. At the telephone's, ITU-T G.107 (R 93) against G.107.1 (129) and G.107.2 (148); below it,
ours."""
LOW_CUT: Knots = [(100, BEST), (200, 4.4), (300, 4.1), (500, 3.4), (800, 2.6), (1200, 1.9), (2000, 1.3)]
"""Lower end of the band, Hz. Ours."""
CLARITY: Knots = [
    (-8, 1.2),
    (-4, 1.5),
    (0, 1.95),
    (3, 2.3),
    (6, 2.6),
    (11, 3.1),
    (16, 3.65),
    (20, 4.05),
    (25, 4.4),
    (35, BEST),
]
"""Clarity C50, dB. Witness."""
DISTORTION: Knots = [(-2, 1.1), (1, 1.5), (3, 1.9), (5, 2.4), (8, 3.0), (12, 3.6), (18, 4.2), (25, 4.5), (40, BEST)]
"""Speech over what overload adds, dB. Witness, but half a point harsher: people are."""
SHIFTED: Knots = [(0.3, BEST), (1, 4.4), (2, 4.0), (4, 3.1), (8, 2.0)]
"""Semitones by which a voice was moved, either way. Ours: Distill-MOS, which never heard the voice itself, takes only
0.1 off for 2, 0.4 for 4 and 1.0 for 8."""
HARM = {"fine_db": 0.30, "spectral_db": 0.07, "voicing": 4.7, "pulse_db": 0.30}
HARM_OFFSET = -0.36
"""What Distill-MOS takes off for coding or a vocoder, from its measures (speech_codecs.coding_measures: r = .94)."""
NEURAL = 1.3
"""A neural codec does so many times the harm that these measures, made for other codecs, hear in it: between them and
Distill-MOS (1.4 on average, 2 where it is mild), which was trained on few of its kind. Ours."""
CODING: Knots = [(0, BEST), (0.3, 4.3), (0.6, 3.85), (1, 3.3), (1.5, 2.6), (2, 2.0), (2.5, 1.5), (3, 1.15), (3.5, 1.0)]
"""That harm. Witness, stretched to people's range; coloration falls 1.3 times as fast as the MOS (the 712 files)."""
DAMAGE: Knots = [(0.3, BEST), (1, 4.45), (2, 4.1), (4, 3.6), (6, 2.9), (7.5, 2.4), (10, 1.7), (14, 1.1)]
"""What a suppressor does to bands in which speech stands out, dB. Witness, with DNSMOS's SIG as the panels weigh it."""
LOST: Knots = [
    (0, BEST),
    (0.002, 4.35),
    (0.005, 3.95),
    (0.01, 3.55),
    (0.02, 3.0),
    (0.04, 2.5),
    (0.08, 2.0),
    (0.15, 1.6),
    (0.3, 1.2),
    (0.5, 1.0),
]
"""Share of the speech lost in gaps as bad as silence: between ITU-T G.113 (packet-loss robustness Bpl 4.3 of G.711
without concealment, R to MOS by G.107, MOS to discontinuity as in the 712 files) and the milder witnesses."""
SILENT_DB = 14.0
"""Distance from the speech of 20 ms of silence in its place. A gap counts by the root of what its concealment leaves of
that. Witness: over clips with losses alone the share by itself explains Distill-MOS (R² .80) and PLCMOS (.55) as well
as with the root (.78, .52), and better than with the square (.57, .34), which Bpl with concealment (25.1) asks for."""
CUT: Knots = [(0, BEST), (0.01, 4.5), (0.03, 4.2), (0.1, 3.4), (0.2, 2.7), (0.35, 1.9), (0.6, 1.3)]
"""Share of the speech that a voice detector cuts off altogether. Ours, harsher than the witnesses."""
MISSING: Knots = [(0, BEST), (0.01, 4.0), (0.02, 3.6), (0.05, 2.9), (0.12, 2.2), (0.25, 1.7), (0.5, 1.2)]
"""Share of the speech that is silenced for long, repeated or skipped. Ours."""
LEVEL: Knots = [
    (-72, 1.1),
    (-65, 1.5),
    (-58, 2.1),
    (-52, 2.8),
    (-46, 3.5),
    (-41, 3.8),
    (-36, 4.2),
    (-29.5, 4.6),
    (-26, BEST),
    (-18, BEST),
    (-15, 4.5),
    (-11, 4.0),
    (-8, 3.4),
    (-5, 2.7),
    (-2, 2.0),
]
"""Active level (ITU-T P.56), dBov. People: speech that is 20 dB too faint has a loudness of 3.5. The rest is ours."""
RANGE: Knots = [(2, BEST), (4, 4.35), (8, 3.7), (14, 2.9), (20, 2.3), (30, 1.6), (40, 1.2)]
"""Range of a gain that moves, dB. Ours."""


def curve(knots: Knots, measure: float) -> float:
    return float(np.interp(measure, [x for x, _ in knots], [y for _, y in knots]))


def share(rated: Number) -> Number:
    """What a rating leaves of a dimension: 1 gives 0, BEST gives 1."""
    return (rated - 1) / (BEST - 1)


def rating(left: Number) -> Number:
    """The inverse of `share`."""
    return 1 + (BEST - 1) * left


def heard_snr(measures: Measures) -> float:
    """Of a noise: speech over noise while it sounds, and the more the less often it does, dB."""
    return measures["snr_db"] - SPORADIC * 10 * float(np.log10(max(measures["share"], 0.01)))


def band(low_hz: float, high_hz: float) -> float:
    return rating(share(curve(HIGH_CUT, high_hz)) * share(curve(LOW_CUT, low_hz)))


def _harm(measures: Measures) -> float:
    return HARM_OFFSET + sum(weight * measures[name] for name, weight in HARM.items())


def _coding(measures: Measures) -> float:
    return curve(CODING, _harm(measures))


def _lost(measures: Measures) -> float:
    return curve(LOST, measures["lost_share"] * min(measures["concealment_db"] / SILENT_DB, 1.5) ** 0.5)


def _skips(measures: Measures) -> float:
    stretched = measures["stretched_share"] * (measures["stretch_factor"] - 1) / 2
    return curve(MISSING, measures["skipped_share"] + stretched)


def _by(knots: Knots, name: str) -> Callable[[Measures], float]:
    return lambda measures: curve(knots, measures[name])


def _band(measures: Measures) -> float:
    return band(measures["low_hz"], measures["high_hz"])


CURVES: Mapping[str, Callable[[Measures], float]] = {
    **{
        name: lambda measures: curve(NOISE, heard_snr(measures))
        for name, kind in KINDS.items()
        if kind.dimension == "noisiness"
    },
    "telephone band": _band,
    "muffled sound": _band,
    "thin sound": _band,
    "reverberation": _by(CLARITY, "c50_db"),
    "clipping": _by(DISTORTION, "distortion_db"),
    "coding": _coding,
    "grain": _by(MODULATED, "q_db"),
    "noise suppression": _by(DAMAGE, "damage_db"),
    "robotic voice": _coding,
    "altered pitch": lambda measures: curve(SHIFTED, abs(measures["semitones"])),
    "packet loss": _lost,
    "stutter": _by(MISSING, "repeated_share"),
    "cut-off words": lambda measures: curve(CUT, measures["cut_share"] * min(measures["depth_db"], 40) / 40),
    "drop-outs": _by(MISSING, "lost_share"),
    "skips": _skips,
    "low level": _by(LEVEL, "level_dbov"),
    "high level": _by(LEVEL, "level_dbov"),
    "uneven level": _by(RANGE, "gain_range_db"),
}
"""By a cause's name: its measures → the rating that it alone would leave of its dimension."""


def alone(cause: Mapping[str, Any]) -> float:
    """The rating, 1–5, that one recorded cause alone would leave of its own dimension, without halo."""
    if cause["family"] == "neural codec":
        return curve(CODING, NEURAL * _harm(cause["measures"]))
    return CURVES[cause["name"]](cause["measures"])
