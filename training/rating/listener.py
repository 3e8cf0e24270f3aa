"""The listener: from what is known of a clip to the five ratings that a panel would give. Nobody heard these clips.

Curves say what each cause alone leaves of its dimension (curves.py). Then come causes of one dimension together; what
the witnesses say of the voice beside that; halo, by which a bad dimension drags the others down; and the MOS, weighed
from the haloed dimensions as people weigh them, and drawn towards Distill-MOS.

The common scale is NISQA's, whose 712 rated test files say how the dimensions hang together. Each other panel has its
own straight line to it (ITU-T P.1401). people.py fits what is founded on people here, and judges it by leaving whole
families of conditions out.

Founded on people: noise, noise that was suppressed, modulated noise, damage by suppression (two P.835 panels); halo and
weights (the 712 files); in part lost packets and the telephone's band (ITU-T G.113, G.107). Founded on predictors of
people's ratings alone: codecs, vocoders, clipping, reverberation. Founded on nobody: altered pitch, stutter, skips,
cut-off words, drop-outs, uneven level, most of the level's curve, and how much less a noise counts that sounds now and
then.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sqe_fast.results import DIMENSIONS
from training.corpora.annotation import Annotation
from training.language.causes import KINDS
from training.rating import curves
from training.rating.curves import BEST, NOISE, Knots, curve, heard_snr, rating, share

Four = npt.NDArray[np.float64]
"""[4], in the order of DIMENSIONS: shares of what is left, 0 to 1, or ratings."""


def alone(row: Annotation) -> list[float]:
    """What each recorded cause alone would leave of its own dimension, 1–5, without halo; to 0.01."""
    return [round(curves.alone(cause), 2) for cause in row["causes"]]


def rate(row: Annotation) -> dict[str, float]:
    """The five ratings that people would give, 1–5; to 0.01. `row` holds speaker, causes, defects and witness."""
    witness = {**row["witness"], "distill_mos": _of_a_usual_voice(row["speaker"], row["witness"]["distill_mos"])}
    snr_db, left = _left(row)
    left = _heard_out(row, witness, snr_db, left)
    dimensions, mos = judged(left, witness["distill_mos"], _trust(row))
    return {name: round(float(value), 2) for name, value in zip((*DIMENSIONS, "mos"), (*dimensions, mos), strict=True)}


# --- causes of one dimension together ---------------------------------------------------------------------------------

SUPPRESSED = 0.79
"""Of the decibels by which suppression lowers noise in pauses; under the speech it stays. People: holub's coded
conditions."""


FAINTER_DB = 10.0
"""The quietest moments of a clean recording hold breath, room and ends of words: its noise is so much fainter. Ours."""


def _left(row: Annotation) -> tuple[float, Four]:
    """Speech over all noise, dB, and what all causes of each dimension and the recording's own defects leave of it.
    Noises add by their powers; bands overlap; everything else takes its share of what the others have left."""
    snrs, lows, highs = [row["defects"]["floor_db"] + FAINTER_DB], [0.0], [row["defects"]["high_hz"]]
    left = dict.fromkeys(DIMENSIONS, 1.0)
    for cause in row["causes"]:
        measures, dimension = cause["measures"], KINDS[cause["name"]].dimension
        if dimension == "noisiness":
            snrs.append(heard_snr(measures))
        elif "high_hz" in measures:
            lows.append(measures["low_hz"])
            highs.append(measures["high_hz"])
        else:
            left[dimension] *= share(curves.alone(cause))
        snrs = [snr + SUPPRESSED * max(measures.get("reduction_db", 0.0), 0.0) for snr in snrs]
    snr_db = float(-10 * np.log10(sum(10 ** (-snr / 10) for snr in snrs)))
    left["noisiness"] *= share(curve(NOISE, snr_db))
    left["coloration"] *= share(curves.band(max(lows), min(highs)))
    return snr_db, np.array([left[name] for name in DIMENSIONS])


# --- the witnesses on the voice ---------------------------------------------------------------------------------------

UNHARMED: Knots = [(0, 1.35), (4, 1.75), (10, 2.6), (16, 2.95), (25, 3.45), (36, 3.95), (50, 4.1)]
"""What Distill-MOS says of a voice with which nothing is wrong, under noise so many dB below it."""
UNHARMED_SIG = 3.55
"""And DNSMOS's SIG, whatever the noise."""
POWERS = (1.09, 1.19)
"""Of what Distill-MOS leaves of the voice, and of what DNSMOS's SIG does. People: both P.835 panels."""
UNSURE = {
    "coding": 0.5,
    "robotic voice": 0.3,
    "noise suppression": 0.6,
    "clipping": 0.4,
    "reverberation": 0.4,
    "packet loss": 0.4,
    "stutter": 0.3,
    "cut-off words": 0.2,
    "drop-outs": 0.2,
    "skips": 0.2,
}
"""How far the witnesses are believed beside the curve, by the cause: less where Distill-MOS was trained on nothing like
it, not at all where the curve is founded on people."""
FARTHEST = 2.5
"""The witnesses and the curves differ by this factor at most; beyond it something else is the matter."""


def voice(witness: Mapping[str, float], snr_db: float, powers: tuple[float, float] = POWERS) -> float:
    """Share of the voice's quality that is left, by the witnesses, in noise so many dB below it. With a power of 0
    DNSMOS is not asked."""
    left = _clipped((witness["distill_mos"] - 1) / (curve(UNHARMED, snr_db) - 1)) ** powers[0]
    if powers[1]:
        left *= _clipped((witness["sig"] - 1) / (UNHARMED_SIG - 1)) ** powers[1]
    return left


def _clipped(quality: float) -> float:
    return float(np.clip(quality, 0.02, 1.0))


VOICES = Path(__file__).parent / "voices.csv"
"""talker, distill_mos: what Distill-MOS says of one clean recording of each talker of the library (panels.ask)."""
USUAL, PARTLY = 4.2, 0.8
"""Its mean over talkers; it says 3.3 to 4.7 of recordings in which nobody hears much amiss. That much of what it has
against a voice is not the fault of what was done to it. A talker who is not in the table counts as usual."""


@cache
def _voices() -> Mapping[str, float]:
    with VOICES.open(newline="") as lines:
        return {row["talker"]: float(row["distill_mos"]) for row in csv.DictReader(lines)}


def _of_a_usual_voice(speaker: str | None, distill_mos: float) -> float:
    """What Distill-MOS would say of the same clip by a talker whom it likes as much as most."""
    clean = _voices().get(speaker or "", USUAL)
    return 1 + (distill_mos - 1) * ((USUAL - 1) / (clean - 1)) ** PARTLY


def _heard_out(row: Annotation, witness: Mapping[str, float], snr_db: float, left: Four) -> Four:
    """`left` with coloration and discontinuity moved towards what the witnesses say of the voice, each as far as the
    causes that it has are unsure. Only suppression is a matter for DNSMOS's SIG."""
    unsure = dict.fromkeys(DIMENSIONS, 0.0)
    for cause in row["causes"]:
        dimension = KINDS[cause["name"]].dimension
        unsure[dimension] = max(unsure[dimension], UNSURE.get(cause["name"], 0.0))
    suppressed = any(cause["name"] == "noise suppression" for cause in row["causes"])
    powers = POWERS if suppressed else (1.0, 0.0)
    expected = max(left[DIMENSIONS.index("coloration")] * left[DIMENSIONS.index("discontinuity")], 0.02)
    factor = np.clip(voice(witness, snr_db, powers) / expected, 1 / FARTHEST, FARTHEST)
    moved = left * factor ** np.array([unsure[name] for name in DIMENSIONS])
    return np.clip(moved, 0.0, 1.0)


# --- halo -------------------------------------------------------------------------------------------------------------

HALO = 0.78 * np.array(
    [
        # noisiness, coloration, discontinuity, loudness lose by a bad …
        [0.00, 0.45, 0.33, 0.40],  # noisiness
        [0.46, 0.00, 0.49, 0.66],  # coloration
        [0.41, 0.67, 0.00, 0.42],  # discontinuity
        [0.45, 0.64, 0.32, 0.00],  # loudness
    ]
)
"""Share that a dimension with nothing left takes of the others. People: the 712 files in which one dimension is worst
by 0.6 or more (together.py). Some of what those files lose has causes of its own: with a fifth less, simulated clips
of several causes have the means of the 712."""
HALO_POWER = 1.5
"""Mild defects drag little."""


def haloed(left: Four) -> Four:
    """[4]: what is left of each dimension after what the others take of it."""
    kept: Four = np.prod(1 - HALO * (1 - left[:, None]) ** HALO_POWER, axis=0)
    return left * kept


PRISTINE, STRICT = np.array([4.45, 4.30, 4.48, 4.40]), 3.5
"""What a clip with nothing wrong is rated; above 3.5, ratings are drawn from the curves' BEST towards it. People: the
best tenth of the 712 files, by their MOS, has means of 4.30, 4.06, 4.32 and 4.22 (MOS 4.31), and their clean
conditions a little more; single files with 4.6 are also the luckiest."""


def rated(left: Four) -> Four:
    """[4]: the ratings of what is `left`."""
    ratings: Four = rating(left)
    above = STRICT + (ratings - STRICT) * (PRISTINE - STRICT) / (BEST - STRICT)
    return np.where(ratings > STRICT, above, ratings)


# --- the MOS ----------------------------------------------------------------------------------------------------------

WEIGHTS = np.array([0.224, 0.221, 0.327, 0.147])
WORST, OFFSET = 0.470, -1.342
"""MOS from the four dimensions, the worst counted a second time: least squares on the 712 files (R² .944)."""
KNEE, ABOVE, HIGHEST = 4.2, 0.6, 4.65
"""Above the knee the MOS rises more slowly: there the straight weighting is too high by 0.11 on average."""
TRUST = (0.24, 0.74, 0.50, 0.0)
"""Of Distill-MOS beside the weighting, by the dimension in which something is wrong. People: both P.835 panels, for
noise and the voice. It is deaf to level."""
DEAF = {
    "telephone band": 0.5,
    "muffled sound": 0.3,
    "thin sound": 0.5,
    "robotic voice": 0.5,
    "altered pitch": 0.2,
    "stutter": 0.3,
    "cut-off words": 0.1,
    "drop-outs": 0.1,
    "skips": 0.1,
}
"""Causes of which Distill-MOS hears less than that, and what it is trusted there. Ours: by clips with these alone."""
SURE = 0.15
"""Loss below which the dimensions say enough."""
WITNESS: Knots = [(1.0, 1.0), (1.3, 1.1), (3.8, 3.8), (4.3, 4.6), (4.6, HIGHEST)]
"""Distill-MOS → MOS: as it stands, but that it says neither 1 nor 5."""


def weighed(dimensions: Four) -> float:
    """MOS from the four haloed dimensions, as people weigh them."""
    mos = float(dimensions @ WEIGHTS + WORST * dimensions.min() + OFFSET)
    return float(np.clip(min(mos, KNEE + ABOVE * (mos - KNEE)), 1.0, HIGHEST))


def _trust(row: Annotation) -> tuple[float, ...]:
    """[4]: trust in Distill-MOS by dimension; where causes differ, the worse count more."""
    weighed_sum, weight = np.zeros(4), np.zeros(4)
    for cause in row["causes"]:
        index = DIMENSIONS.index(KINDS[cause["name"]].dimension)
        wrong = 1.01 - share(curves.alone(cause))
        weighed_sum[index] += wrong * DEAF.get(cause["name"], TRUST[index])
        weight[index] += wrong
    return tuple(np.where(weight > 0, weighed_sum / np.maximum(weight, 1e-9), TRUST))


def judged(left: Four, distill_mos: float, trust: tuple[float, ...] = TRUST) -> tuple[Four, float]:
    """The four haloed dimensions and the MOS, 1–5, from what is `left` of each dimension by itself."""
    dimensions = rated(haloed(left))
    mos = weighed(dimensions)
    wrong = 1 - left
    trusted = float(wrong @ trust) / (float(wrong.sum()) + SURE)
    without_level = weighed(rated(haloed(np.append(left[:3], 1.0))))
    predicted = max(1.0, curve(WITNESS, distill_mos) - (without_level - mos))
    return dimensions, (1 - trusted) * mos + trusted * predicted
