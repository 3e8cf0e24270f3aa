"""People's panels: what they heard, what they said of it, and what the witnesses say of the same files.

Two panels by ITU-T P.835 (signal, background, overall): holub's, of noise, suppression and two codecs, and the
reference conditions of white and modulated noise. Each is a scale of its own, anchored by its own conditions.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sqe_fast import audio
from training.corpora import p835
from training.progress import track
from training.rating.listener import VOICES
from training.simulation.library import SPLITS, open_library
from training.simulation.measures import Signal, a_weighted_gap
from training.simulation.stage import Materials

Values = npt.NDArray[np.float64]
Table = Sequence[Mapping[str, str]]

SCALES = ("SIG", "BAK", "OVRL")
HOLUB, P835 = "holub", "P.835"
FOLDERS = {HOLUB: "holub_p835_2018", P835: "p835_refcond_wb16k"}
TALKERS = {HOLUB: ("f1", "m1"), P835: p835.CALIBRATION_TALKERS}
UNTOUCHED = {HOLUB: ("f2", "m2"), P835: p835.UNTOUCHED_TALKERS}
"""Heard once, for the report: nothing may be fitted to them."""
MODULATION = (None, 8.0, 16.0, 24.0, 32.0, 40.0, 40.0, 40.0, 40.0, 40.0, 16.0, 24.0, 32.0)
"""Q, dB, of the conditions c0 to c12 of P.835."""
P835_FAMILIES = ("clean", *["modulated noise"] * 5, *["white noise"] * 4, *["white and modulated noise"] * 3)

OPINIONS = Path(__file__).parent / "panel_opinions.csv"
"""panel, file, gap_db (speech over what is heard in its pauses, A-weighted), distill_mos, sig (DNSMOS)."""


@dataclass(frozen=True, eq=False)
class Point:
    """What was rated as one thing: a condition, of one talker or of several."""

    panel: str
    name: str
    family: str
    part: str
    """A narrower lot within holub's panel: a codec, or a degree of suppression."""
    gap_db: float
    """Speech over what is heard in pauses, dB A-weighted."""
    sent_db: float | None
    """Speech over the noise that was there before a suppressor and a codec; None where there was neither."""
    q_db: float | None
    witness: Mapping[str, float]
    scores: Values
    """[3]: SIG, BAK, OVRL."""


def read(data: Path, talkers: Mapping[str, Sequence[str]] = TALKERS) -> list[Point]:
    """The points of both panels by these talkers. Raises KeyError for a file of which the witnesses were not asked."""
    with OPINIONS.open(newline="") as lines:
        heard = {(row["panel"], row["file"]): row for row in csv.DictReader(lines)}
    holub, p835_rows = (data / "rated" / FOLDERS[panel] for panel in (HOLUB, P835))
    return [*_holub(holub, talkers[HOLUB], heard), *_p835(p835_rows, talkers[P835], heard)]


Heard = Mapping[tuple[str, str], Mapping[str, str]]


def _holub(folder: Path, talkers: Sequence[str], heard: Heard) -> Iterator[Point]:
    """A reference has one score for all talkers, a coded condition one for each: four files, in other sentences."""
    lots: dict[str, list[dict[str, str]]] = {}
    for row in _holub_rows(folder, talkers):
        name = row["condition"] if row["kind"] == "reference" else f"{row['condition']} {row['talker']}"
        lots.setdefault(name, []).append(row)
    for name, lot in lots.items():
        coded = lot[0]["kind"] == "coded"
        sent_db = float(lot[0]["snr_db"]) if coded else None
        scores = np.mean([[float(row[scale.lower()]) for scale in SCALES] for row in lot], axis=0)
        said = [heard[HOLUB, row["file"]] for row in lot]
        family, part, gap_db = _holub_family(lot[0]), _holub_part(lot[0]), _mean(said, "gap_db")
        yield Point(HOLUB, name, family, part, gap_db, sent_db, None, _witness(said), scores)


def _holub_rows(folder: Path, talkers: Sequence[str]) -> list[dict[str, str]]:
    with (folder / "ratings.csv").open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["talker"] in talkers]


def _holub_family(row: Mapping[str, str]) -> str:
    if row["kind"] == "coded":
        return f"{row['noise']}, suppressed and coded"
    if row["ns_level"] != "0":
        return "suppression references"
    return "noise references" if float(row["snr_db"]) < 60 else "clean"


def _holub_part(row: Mapping[str, str]) -> str:
    if row["kind"] == "coded":
        return row["codec"].split("_")[0]
    return f"suppression of degree {row['ns_level']}" if row["ns_level"] != "0" else ""


def _p835(folder: Path, talkers: Sequence[str], heard: Heard) -> Iterator[Point]:
    """A point a condition: seven votes a file are few."""
    rows = p835.read(folder, talkers)
    for name in dict.fromkeys(row["condition"] for row in rows):
        lot, index = [row for row in rows if row["condition"] == name], int(name[1:])
        scores = np.mean([[row[p835.SCALES[f"MOS_{scale}"]] for scale in SCALES] for row in lot], axis=0)
        said = [heard[P835, Path(row["file"]).name] for row in lot]
        gap_db, q_db = _mean(said, "gap_db"), MODULATION[index]
        yield Point(P835, name, P835_FAMILIES[index], "", gap_db, None, q_db, _witness(said), scores)


def _witness(said: Table) -> dict[str, float]:
    return {name: _mean(said, name) for name in ("distill_mos", "sig")}


def _mean(said: Table, column: str) -> float:
    return float(np.mean([float(row[column]) for row in said]))


# --- asking the witnesses ---------------------------------------------------------------------------------------------


def ask(data: Path, talkers: Mapping[str, Sequence[str]] = TALKERS) -> None:
    """Add what the witnesses say of the panels' files and of the library's talkers where the two tables lack it."""
    from training.rating import judges

    files = [(HOLUB, row["file"]) for row in _holub_rows(data / "rated" / FOLDERS[HOLUB], talkers[HOLUB])]
    files += [(P835, Path(row["file"]).name) for row in p835.read(data / "rated" / FOLDERS[P835], talkers[P835])]
    for panel, file in track(_lacking(OPINIONS, 2, files), OPINIONS.name):
        samples = _load(data / "rated" / FOLDERS[panel] / file)
        said = [a_weighted_gap(samples), judges.distill_mos(samples), judges.dnsmos(samples)["sig"]]
        _append(OPINIONS, (panel, file, *(f"{value:.3f}" for value in said)))
    libraries = [open_library(data, split) for split in SPLITS]
    recordings = {name: speech[0].file for library in libraries for name, speech in library.talkers.items()}
    for (talker,) in track(_lacking(VOICES, 1, [(name,) for name in sorted(recordings)]), VOICES.name):
        distill_mos = judges.distill_mos(Materials(data).speech(recordings[talker]))
        _append(VOICES, (talker, f"{distill_mos:.2f}"))


def _load(path: Path) -> Signal:
    """Within ±1: resampling a full-scale file overshoots."""
    [samples] = audio.load(path).blocks()
    return np.clip(samples, -1.0, 1.0)


def _lacking(table: Path, columns: int, keys: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The `keys`, of so many columns, with which no row of the table begins."""
    with table.open(newline="") as lines:
        there = {tuple(row[:columns]) for row in csv.reader(lines)}
    return [key for key in keys if key not in there]


def _append(table: Path, row: Sequence[str]) -> None:
    with table.open("a", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerow(row)
