"""Holub's P.835 panel of 2018: coded speech in noise after suppression, and twelve reference conditions.

H. Avetisyan and J. Holub, "Subjective speech quality measurement with and without parallel task: Laboratory test
results comparison", PLOS ONE 13(7): e0199787, 2018, CC BY 4.0. A score is a mean of 32 votes on several files in other
sentences: on the four of a coded condition and talker, on those of all talkers of a reference.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from training.corpora.annotation import Annotation

TABLE = "ratings.csv"
SCALES = {"bak": "noisiness", "sig": "coloration", "ovrl": "mos"}
"""P.835's scale → the rating it is nearest to, as in p835.py."""


def read(folder: Path, talkers: Sequence[str]) -> list[Annotation]:
    """One row a file of these talkers, in the order of the table: file (its path), speaker, rated_by, condition,
    `point` (what has one score), noisiness (BAK), coloration (SIG), mos (OVRL).

    Raises FileNotFoundError where a file is missing, ValueError where a talker has none.
    """
    with (folder / TABLE).open(newline="") as lines:
        rows = [_row(folder, cells) for cells in csv.DictReader(lines) if cells["talker"] in talkers]
    if absent := set(talkers) - {row["speaker"] for row in rows}:
        raise ValueError(f"{TABLE} holds no files of {', '.join(sorted(absent))}")
    return rows


def _row(folder: Path, cells: dict[str, str]) -> Annotation:
    path = folder / cells["file"]
    if not path.is_file():
        raise FileNotFoundError(f"{path} is rated in {TABLE} but is not there")
    shared = cells["kind"] == "reference"
    return {
        "speaker": cells["talker"],
        "rated_by": "human",
        "condition": cells["condition"],
        "point": cells["condition"] if shared else f"{cells['condition']} {cells['talker']}",
        **{name: float(cells[scale]) for scale, name in SCALES.items()},
        "causes": [],
        "file": str(path),
    }
