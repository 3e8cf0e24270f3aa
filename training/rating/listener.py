"""The listener: from what is known of a clip to the five ratings that a panel would give. Nobody heard these clips.

`rate` goes four steps, a page each: curves from a measure to what is left of a dimension (`alone`); causes of one
dimension together (`_left`); halo, by which a bad dimension drags the others down; and the MOS, weighed from the haloed
dimensions as people weigh them, and drawn towards Distill-MOS where that hears well.

The common scale is NISQA's, whose 712 rated test files say how the dimensions hang together. Each panel has its own
straight line to it (ITU-T P.1401): see panels.py, which fits and judges what is founded on people here.

Founded on people: steady noise, noise that was suppressed, modulated noise, damage by noise suppression (P.835 and
holub's panel); halo and weights (the 712 files); lost packets and the telephone's band (ITU-T G.113, G.107). Founded on
predictors of people's ratings alone: codecs, vocoders, clipping, reverberation. Founded on nobody but us: altered
pitch, stutter, skips, cut-off words, drop-outs, uneven level, and how much less a noise counts that sounds now and
then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.causes import KINDS

BEST = 4.65
"""What a dimension of a clip with nothing wrong is rated: the best of the 712 files have 4.6 to 4.7."""
Knots = Sequence[tuple[float, float]]
"""(measure, rating of the own dimension), linear between them, constant beyond."""
Measures = Mapping[str, float]
Shares = npt.NDArray[np.float64]
"""[4]: what is left of each of DIMENSIONS, 0 (rated 1) to 1 (rated BEST)."""

# --- 1. from a measure to the rating that a cause alone would leave ---------------------------------------------------

NOISE: Knots = [(0, 1.0), (8, 1.7), (16, 2.3), (26, 2.75), (38, 3.4), (48, 4.15), (58, 4.55), (70, BEST)]
"""Speech over noise, dB (A-weighted). People: holub's noises without codec and P.835's white noise, as panels.py fits
them together, each panel by its own line."""
SPORADIC = 0.6
"""A noise that sounds a tenth of the time counts as one so many times 10 dB fainter. Our guess."""
SUPPRESSED = 0.75
"""Of the decibels by which suppression lowers the noise in pauses; under the speech it stays. People: holub's coded
conditions."""
MODULATED: Knots = [(0, 1.15), (8, 1.65), (16, 2.35), (24, 3.2), (32, 4.0), (40, 4.45), (50, BEST)]
"""Q of an MNRU, dB. People: P.835, brought down by what panels with a full band say of 25 dB (MOS 2.5)."""
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
"""Upper end of the band, Hz. ITU-T G.107.1 and G.107.2: the telephone's band alone takes R from 148 to 93."""
LOW_CUT: Knots = [(100, BEST), (200, 4.4), (300, 4.1), (500, 3.4), (800, 2.6), (1200, 1.9), (2000, 1.3)]
"""Lower end of the band, Hz."""
CLARITY: Knots = [(-8, 1.2), (0, 1.8), (3, 2.2), (6, 2.6), (11, 3.2), (20, 4.1), (30, 4.6), (40, BEST)]
"""C50 (ISO 3382-1), dB."""
DISTORTION: Knots = [(-2, 1.0), (5, 1.4), (10, 1.9), (15, 2.6), (20, 3.2), (25, 3.7), (30, 4.15), (37, 4.5), (45, BEST)]
"""Speech over what overload adds, dB."""
SHIFTED: Knots = [(0.3, BEST), (1, 4.4), (2, 4.0), (4, 3.1), (8, 2.0)]
"""Semitones by which a voice was moved, either way. Our guess: Distill-MOS, which never heard the voice itself, takes
only 0.1 off for 2, 0.4 for 4 and 1.0 for 8."""
SPECTRAL: Knots = [(0.2, BEST), (0.5, 4.5), (1.5, 3.9), (3.2, 3.0), (5.8, 1.75), (8.6, 1.1), (10, 1.0)]
"""Spectral distance of coded speech, dB."""
DAMAGE: Knots = [(0.3, BEST), (1, 4.3), (2, 3.7), (4, 2.7), (7, 1.7), (11, 1.1)]
"""What a suppressor does to the bands in which speech stands out, dB."""
LOST: Knots = [(0, BEST), (0.005, 3.7), (0.01, 3.2), (0.02, 2.5), (0.05, 1.9), (0.1, 1.45), (0.2, 1.2), (0.4, 1.0)]
"""Share of the speech lost in gaps as bad as silence. ITU-T G.113: packet-loss robustness Bpl 4.3 of G.711 without
concealment, R to MOS by G.107, MOS to discontinuity as in the 712 files."""
SILENT_DB = 14.0
"""Distance of 20 ms of silence from the speech that it replaces. A gap counts by the square of what its concealment
leaves of that: Bpl is 25.1 with concealment, about six times as much."""
MISSING: Knots = [(0, BEST), (0.01, 4.0), (0.02, 3.6), (0.05, 2.9), (0.12, 2.2), (0.25, 1.7), (0.5, 1.2)]
"""Share of the speech that is silenced for long, repeated, skipped, or cut off (at full depth)."""
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
"""Active level (ITU-T P.56), dBov. People rate the loudness of speech 20 dB too faint 3.5."""
RANGE: Knots = [(2, BEST), (4, 4.35), (8, 3.7), (14, 2.9), (20, 2.3), (30, 1.6), (40, 1.2)]
"""Range of a gain that moves, dB."""


def curve(knots: Knots, measure: float) -> float:
    return float(np.interp(measure, [x for x, _ in knots], [y for _, y in knots]))


def heard_snr(measures: Measures) -> float:
    """Of a noise: speech over noise while it sounds, and less of it the less often it does, dB."""
    return measures["snr_db"] - SPORADIC * 10 * np.log10(max(measures["share"], 0.01))


def _noise(measures: Measures) -> float:
    return curve(NOISE, heard_snr(measures))


def _band(measures: Measures) -> float:
    return _rating(_share(curve(HIGH_CUT, measures["high_hz"])) * _share(curve(LOW_CUT, measures["low_hz"])))


def _lost(measures: Measures) -> float:
    return curve(LOST, measures["lost_share"] * min(measures["concealment_db"] / SILENT_DB, 1.5) ** 2)


def _skips(measures: Measures) -> float:
    stretched = measures["stretched_share"] * (measures["stretch_factor"] - 1) / 2
    return curve(MISSING, measures["skipped_share"] + stretched)


def _by(knots: Knots, name: str) -> Callable[[Measures], float]:
    return lambda measures: curve(knots, measures[name])


CURVES: Mapping[str, Callable[[Measures], float]] = {
    **{name: _noise for name, kind in KINDS.items() if kind.dimension == "noisiness"},
    "telephone band": _band,
    "muffled sound": _band,
    "thin sound": _band,
    "reverberation": _by(CLARITY, "c50_db"),
    "clipping": _by(DISTORTION, "distortion_db"),
    "coding": _by(SPECTRAL, "spectral_db"),
    "grain": _by(MODULATED, "q_db"),
    "noise suppression": _by(DAMAGE, "damage_db"),
    "robotic voice": _by(SPECTRAL, "spectral_db"),
    "altered pitch": lambda measures: curve(SHIFTED, abs(measures["semitones"])),
    "packet loss": _lost,
    "stutter": _by(MISSING, "repeated_share"),
    "cut-off words": lambda measures: curve(MISSING, measures["cut_share"] * min(measures["depth_db"], 40) / 40),
    "drop-outs": _by(MISSING, "lost_share"),
    "skips": _skips,
    "low level": _by(LEVEL, "level_dbov"),
    "high level": _by(LEVEL, "level_dbov"),
    "uneven level": _by(RANGE, "gain_range_db"),
}
"""By a cause's name: its measures → the rating that it alone would leave of its dimension."""


def alone(row: Annotation) -> list[float]:
    """What each recorded cause alone would leave of its own dimension, 1–5, without halo; to 0.01."""
    return [round(CURVES[cause["name"]](cause["measures"]), 2) for cause in row["causes"]]


# --- 2. causes of one dimension together ------------------------------------------------------------------------------


def _left(row: Annotation) -> Shares:
    """What all causes of each dimension and the recording's own defects leave of it. Noises add by their powers; bands
    overlap; everything else takes its share of what the others have left."""
    snrs, lows, highs = [row["defects"]["floor_db"]], [0.0], [row["defects"]["high_hz"]]
    left = dict.fromkeys(DIMENSIONS, 1.0)
    for cause in row["causes"]:
        measures, dimension = cause["measures"], KINDS[cause["name"]].dimension
        if dimension == "noisiness":
            snrs.append(heard_snr(measures))
        elif "high_hz" in measures:
            lows.append(measures["low_hz"])
            highs.append(measures["high_hz"])
        else:
            left[dimension] *= _share(CURVES[cause["name"]](measures))
        snrs = [snr + SUPPRESSED * max(measures.get("reduction_db", 0.0), 0.0) for snr in snrs]
    left["noisiness"] *= _share(curve(NOISE, -10 * np.log10(sum(10 ** (-snr / 10) for snr in snrs))))
    left["coloration"] *= _share(_band({"low_hz": max(lows), "high_hz": min(highs)}))
    return np.array([left[name] for name in DIMENSIONS])


# --- 3. halo ----------------------------------------------------------------------------------------------------------

HALO = 0.85 * np.array(
    [
        # noisiness, coloration, discontinuity, loudness lose by a bad …
        [0.00, 0.45, 0.33, 0.40],  # noisiness
        [0.46, 0.00, 0.49, 0.66],  # coloration
        [0.41, 0.67, 0.00, 0.42],  # discontinuity
        [0.45, 0.64, 0.32, 0.00],  # loudness
    ]
)
"""Share that a dimension with nothing left takes of the others. People: the 712 files in which one dimension is worst
by 0.6 or more. Some of what those files lose has causes of its own, so a little less."""
HALO_POWER = 1.5
"""Mild defects drag little."""


def haloed(left: Shares) -> Shares:
    """[4]: each dimension after what the others take of it."""
    kept: Shares = np.prod(1 - HALO * (1 - left[:, None]) ** HALO_POWER, axis=0)
    return left * kept


# --- 4. the MOS -------------------------------------------------------------------------------------------------------

WEIGHTS = {"noisiness": 0.224, "coloration": 0.221, "discontinuity": 0.327, "loudness": 0.147}
WORST, OFFSET = 0.470, -1.342
"""MOS from the four dimensions, the worst counted a second time: least squares on the 712 files (R² .944)."""
KNEE, ABOVE = 4.2, 0.6
"""Above it the MOS rises more slowly: there the straight weighting is too high by 0.11 on average."""
HIGHEST = 4.75
TRUST = np.array([0.10, 0.70, 0.60, 0.0])
"""Of Distill-MOS beside the weighting, by the dimension in which something is wrong: it hardly hears level, and noise
less well than the curve does."""
UNSURE = 0.15
WITNESS: Knots = [(1.0, 1.0), (1.3, 1.1), (3.8, 3.8), (4.3, 4.6), (4.6, HIGHEST)]
"""Distill-MOS → MOS: as it stands, but that it never says 5."""


def weighed(dimensions: npt.NDArray[np.float64]) -> float:
    """MOS from the four dimensions, [4] in the order of DIMENSIONS, as people weigh them."""
    mos = dimensions @ list(WEIGHTS.values()) + WORST * dimensions.min() + OFFSET
    return float(np.clip(min(mos, KNEE + ABOVE * (mos - KNEE)), 1.0, HIGHEST))


def rate(row: Annotation) -> dict[str, float]:
    """The five ratings that people would give, 1–5; to 0.01. `row` holds causes, defects and witness."""
    left = _left(row)
    dimensions = 1 + (BEST - 1) * haloed(left)
    mos = weighed(dimensions)
    wrong = 1 - left
    trust = float(TRUST @ wrong) / (float(wrong.sum()) + UNSURE)
    without_level = weighed(1 + (BEST - 1) * haloed(np.append(left[:3], 1.0)))
    predicted = max(1.0, curve(WITNESS, row["witness"]["distill_mos"]) - (without_level - mos))
    ratings = dict(zip(DIMENSIONS, map(float, dimensions), strict=True))
    ratings["mos"] = (1 - trust) * mos + trust * predicted
    return {name: round(value, 2) for name, value in ratings.items()}


def _share(rating: float) -> float:
    return (rating - 1) / (BEST - 1)


def _rating(share: float) -> float:
    return 1 + (BEST - 1) * share
