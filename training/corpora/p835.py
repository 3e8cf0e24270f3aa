"""The P.835 reference conditions of Microsoft's P.808 toolkit: people rated signal, background and overall quality.

White noise × MNRU, six talkers, at 16 kHz; about seven votes a file (ITU-T P.835). Two talkers calibrate the simulated
ratings. The others are heard by a model once, for its final figure: nothing may be tuned on them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from training.corpora.annotation import Annotation

WORKBOOK = "CSP835_Ref_Conditions.xlsx"
SHEET = "16KHzWB-results per file"
FILE, CONDITION, VOTES = "short_file_name", "condition_num", "n votes"
SCALES = {"MOS_BAK": "noisiness", "MOS_SIG": "coloration", "MOS_OVRL": "mos"}
"""P.835's scale → the rating it is nearest to. SIG covers all that is wrong with the speech itself, discontinuity
too; in these conditions that is signal-modulated noise, which is coloration."""

CALIBRATION_TALKERS = ("f1", "m1")
UNTOUCHED_TALKERS = ("f2", "f3", "m2", "m3")

_NAME = re.compile(r"c(\d+)_([fm]\d)\.wav")


def read(folder: Path, talkers: Sequence[str] = CALIBRATION_TALKERS) -> list[Annotation]:
    """One row a file of these talkers: file, speaker, condition, votes, noisiness (BAK), coloration (SIG), mos (OVRL).

    `file` is the FLAC in `folder`. Raises ValueError where the workbook lacks a column, names a file otherwise than
    "c3_f1.wav", or holds a talker of whom there is no file; FileNotFoundError where a FLAC is missing.
    """
    rows = []
    for cells in _table(folder / WORKBOOK):
        match = _NAME.fullmatch(str(cells[FILE]))
        if match is None or int(match[1]) != cells[CONDITION]:
            raise ValueError(f"{WORKBOOK}: {cells[FILE]!r} of condition {cells[CONDITION]!r} is not named as expected")
        if match[2] in talkers:
            rows.append(_row(folder, match[2], cells))
    absent = set(talkers) - {row["speaker"] for row in rows}
    if absent:
        raise ValueError(f"{WORKBOOK} holds no files of {', '.join(sorted(absent))}")
    return sorted(rows, key=lambda row: (int(row["condition"][1:]), row["speaker"]))


def _row(folder: Path, talker: str, cells: dict[str, Any]) -> Annotation:
    path = folder / Path(cells[FILE]).with_suffix(".flac").name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is rated in {WORKBOOK} but is not there")
    return {
        "split": "calibration" if talker in CALIBRATION_TALKERS else "untouched",
        "speaker": talker,
        "rated_by": "human",
        "condition": f"c{cells[CONDITION]}",
        "votes": int(cells[VOTES]),
        **{name: float(cells[scale]) for scale, name in SCALES.items()},
        "causes": [],
        "file": str(path),
    }


def _table(path: Path) -> list[dict[str, Any]]:
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        if SHEET not in book.sheetnames:
            raise ValueError(f"{path.name} has no sheet {SHEET!r}")
        head, *lines = book[SHEET].iter_rows(values_only=True)
    finally:
        book.close()
    missing = {FILE, CONDITION, VOTES, *SCALES} - set(head)
    if missing:
        raise ValueError(f"{path.name}, sheet {SHEET!r}: no column {', '.join(sorted(missing))}")
    return [dict(zip(map(str, head), line, strict=True)) for line in lines if line[0] is not None]
