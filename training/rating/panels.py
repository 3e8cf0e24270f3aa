"""People's panels: what they heard and said, the fit of what the listener takes from them, and its judgement.

Two panels by ITU-T P.835 (signal, background, overall): holub's, of noise, suppression and two codecs, and the reference
conditions of white and modulated noise. Each is a scale of its own, anchored by its own conditions: predictions are
compared after the panel's own straight line (ITU-T P.1401), and no number of one is ever held against the other.

A listener of P.835 attends to one thing at a time, so SIG and BAK have less halo than NISQA's dimensions: `Attention`,
which the ratings of simulated clips do not use.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit, logit

from training.corpora import p835
from training.rating import listener
from training.rating.curves import BEST, Knots, curve, rating, share

Values = npt.NDArray[np.float64]

SCALES = ("SIG", "BAK", "OVRL")
OPINIONS = Path(__file__).parent / "panel_opinions.csv"
"""file, gap_db (speech over what is heard in its pauses, A-weighted), distill_mos, sig (DNSMOS): asked once."""
HOLUB, P835 = "holub", "p835"
TALKERS = {HOLUB: ("f1", "m1"), P835: p835.CALIBRATION_TALKERS}
UNTOUCHED = {HOLUB: ("f2", "m2"), P835: p835.UNTOUCHED_TALKERS}
"""Heard once, for the report: nothing may be fitted to them."""
FOLDERS = {HOLUB: "holub_p835_2018", P835: "p835_refcond_wb16k"}
MODULATION = dict(
    zip((f"c{index}" for index in range(13)), (None, 8, 16, 24, 32, 40, 40, 40, 40, 40, 16, 24, 32), strict=True)
)
"""Q, dB, of the conditions of P.835."""


@dataclass(frozen=True, eq=False)
class Point:
    """What was rated as one thing: a condition of a talker, or where only that is known, of several."""

    panel: str
    name: str
    family: str
    gap_db: float
    """Speech over what is heard in pauses, dB A-weighted."""
    sent_db: float | None
    """Speech over the noise that was there before a suppressor and a codec; None where there was neither."""
    q_db: float | None
    witness: Mapping[str, float]
    scores: Values
    """[3]: SIG, BAK, OVRL."""


def read(rated: Path, talkers: Mapping[str, Sequence[str]] = TALKERS) -> list[Point]:
    """Both panels' points by these talkers, from the folder that holds theirs."""
    heard = {row["file"]: row for row in csv.DictReader(OPINIONS.open(newline=""))}
    return [*_holub(rated / FOLDERS[HOLUB], talkers[HOLUB], heard), *_p835(rated / FOLDERS[P835], talkers[P835], heard)]


def _holub(folder: Path, talkers: Sequence[str], heard: Mapping[str, Mapping[str, str]]) -> list[Point]:
    """A reference has one score for all talkers, a coded condition one for each: four files, in other sentences."""
    lots: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader((folder / "ratings.csv").open(newline="")):
        if row["talker"] in talkers:
            name = row["condition"] if row["kind"] == "reference" else f"{row['condition']} {row['talker']}"
            lots.setdefault(name, []).append(row)
    return [_point(HOLUB, name, _holub_family(lot[0]), lot, heard) for name, lot in lots.items()]


def _holub_family(row: Mapping[str, str]) -> str:
    if row["kind"] == "coded":
        return f"{row['noise']}, suppressed and coded"
    if row["ns_level"] != "0":
        return "suppression references"
    return "noise references" if float(row["snr_db"]) < 60 else "clean"


def _p835(folder: Path, talkers: Sequence[str], heard: Mapping[str, Mapping[str, str]]) -> list[Point]:
    """A point a condition: seven votes a file are few."""
    lots: dict[str, list[dict[str, str]]] = {}
    for row in p835.read(folder, talkers):
        scores = {name.lower(): row[p835.SCALES[f"MOS_{name}"]] for name in SCALES}
        lots.setdefault(row["condition"], []).append(
            {**scores, "file": Path(row["file"]).name, "snr_db": "", "kind": ""}
        )
    families = ["clean", *["modulated noise"] * 5, *["white noise"] * 4, *["white and modulated noise"] * 3]
    return [_point(P835, name, families[int(name[1:])], lot, heard) for name, lot in lots.items()]


def _point(
    panel: str, name: str, family: str, lot: Sequence[Mapping[str, str]], heard: Mapping[str, Mapping[str, str]]
) -> Point:
    def mean(column: str) -> float:
        return float(np.mean([float(heard[row["file"]][column]) for row in lot]))

    return Point(
        panel,
        name,
        family,
        mean("gap_db"),
        float(lot[0]["snr_db"]) if lot[0]["kind"] == "coded" else None,
        MODULATION[name] if panel == P835 else None,
        {column: mean(column) for column in ("distill_mos", "sig")},
        np.mean([[float(row[scale.lower()]) for scale in SCALES] for row in lot], axis=0),
    )


# --- what the listener would say --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """How P.835's listeners, who attend to one thing, are still drawn by the other."""

    noise: float
    """What SIG loses by noise that leaves nothing of the background."""
    power: float
    voice: float
    """What BAK loses by a voice of which nothing is left."""
    codec: float
    """Share of the voice that holub's two codecs leave, which the witnesses do not hear."""


@dataclass(frozen=True)
class People:
    """What the listener takes from panels, as it stands in curves.py and listener.py, and the attention of P.835."""

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
    background = share(curve(people.noise, snr_db))
    voice = _voice(point, snr_db, people, witnessed)
    attention = people.attention
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
    return heard * (people.attention.codec if point.sent_db is not None else 1.0)


# --- the fit ----------------------------------------------------------------------------------------------------------

NOISE_DB = (0.0, 8.0, 16.0, 26.0, 38.0, 48.0, 60.0)
MODULATED_DB = (0.0, 8.0, 16.0, 24.0, 32.0, 40.0, 50.0)
ANCHORS = (
    (Point("", "babble", "", 5.0, None, 60.0, {"distill_mos": 2.0, "sig": 3.0}, np.array([np.nan, np.nan, 2.0]))),
    (Point("", "modulated", "", 60.0, None, 25.0, {"distill_mos": 3.25, "sig": 3.5}, np.array([np.nan, np.nan, 2.5]))),
)
"""What a panel of all kinds of degradation, on the common scale, said of 5 dB of babble and of a Q of 25 dB."""
START = np.array(
    [*np.log([0.7, 0.7, 0.45, 0.7, 0.75, 0.45]), 19.0, np.log(6.0), logit(0.7), 0.0, 0.0, logit(0.1), logit(0.6)]
    + [logit(0.8), np.log(4.0), logit(0.3), logit(0.9)]
)
LOOSE, TIGHT = 0.05, 0.5
"""Weight of a parameter's distance from its start: the witnesses are taken as they stand (powers of 1) unless there is
much against it."""


def fit(points: Sequence[Point], witnessed: bool = False) -> People:
    """Least squares over all scales of all panels, each after its own straight line, and over `ANCHORS` as they stand."""
    stiff = np.full(START.size, LOOSE)
    stiff[9:11] = TIGHT

    def errors(parameters: Values) -> Values:
        people = _people(parameters)
        found = [np.sqrt(0.5) * (_on_line(*pair) - pair[1]) for pair in _pairs(points, people, witnessed)]
        common = [predict(anchor, people)[2] - anchor.scores[2] for anchor in ANCHORS]
        return np.concatenate([*found, common, stiff * (parameters - START)])

    return _people(least_squares(errors, START).x)


def _people(parameters: Values) -> People:
    rises = np.exp(parameters[:6])
    noise = 1 + (BEST - 1) * 0.985 * np.concatenate([[0.0], np.cumsum(rises) / rises.sum()])
    quality = expit((np.array(MODULATED_DB) - parameters[6]) / np.exp(parameters[7]))
    modulated = rating(quality / quality[-1])
    trust = expit(parameters[11:13])
    return People(
        tuple(zip(NOISE_DB, map(float, noise), strict=True)) + ((70.0, BEST),),
        tuple(zip(MODULATED_DB, map(float, modulated), strict=True)),
        float(expit(parameters[8])),
        (float(np.exp(parameters[9])), float(np.exp(parameters[10]))),
        (float(trust[0]), float(trust[1]), listener.TRUST[2], listener.TRUST[3]),
        Attention(
            float(expit(parameters[13])),
            float(np.exp(parameters[14])),
            float(expit(parameters[15])),
            float(expit(parameters[16])),
        ),
    )


def _pairs(points: Sequence[Point], people: People, witnessed: bool) -> Iterable[tuple[Values, Values]]:
    """Predicted and given, for each panel and scale."""
    for panel in FOLDERS:
        lot = [point for point in points if point.panel == panel]
        if lot:
            predicted = np.array([predict(point, people, witnessed) for point in lot])
            given = np.array([point.scores for point in lot])
            yield from zip(predicted.T, given.T, strict=True)


def _on_line(predicted: Values, given: Values) -> Values:
    """`predicted` after the straight line that fits best."""
    return np.polyval(np.polyfit(predicted, given, 1), predicted)
