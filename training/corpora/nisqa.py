"""The NISQA corpus as published: read from its folder, and built into the splits that the other stages train on.

Layout: NISQA_corpus_file.csv, which lists every file, and <DB>/<DB>_file.csv with the same columns for one database;
audio in <DB>/deg/. Ratings are addressed by column name: the tables order them noi, col, dis, loud, other tools not.
Human ratings: G. Mittag et al., "NISQA", Interspeech 2021.
"""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqe_fast import audio
from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import RATING_MAX, RATING_MIN
from training.configs import Corpus
from training.corpora.annotation import Annotation
from training.corpora.corpus import SplitWriter
from training.progress import track
from training.simulation.library import SPLITS
from training.simulation.measures import Signal

CORPUS_TABLE = "NISQA_corpus_file.csv"
DATABASES = {
    "NISQA_TRAIN_SIM": "train",
    "NISQA_TRAIN_LIVE": "train",
    "NISQA_VAL_SIM": "validation",
    "NISQA_VAL_LIVE": "validation",
    "NISQA_TEST_FOR": "test",
    "NISQA_TEST_P501": "test",
    "NISQA_TEST_LIVETALK": "test",
}
"""Database → our split. The three test databases share neither talkers nor conditions with the others."""
COLUMNS = {"noi": "noisiness", "col": "coloration", "dis": "discontinuity", "loud": "loudness", "mos": "mos"}
REQUIRED = ("db", "con", "filename_deg", "votes", *COLUMNS)
ERRORS_FILE = "errors.jsonl"


@dataclass(frozen=True)
class Failure:
    """A file of the corpus that is left out, and why."""

    file: str
    error: ClipError

    def to_row(self) -> dict[str, str]:
        return {"file": self.file, "code": self.error.code.value, "message": self.error.message}


@dataclass(frozen=True)
class Listing:
    """What the tables hold of the databases that are there: rows that can be used, and those that cannot."""

    rows: tuple[Annotation, ...]
    failures: tuple[Failure, ...]
    absent: tuple[str, ...]
    """Databases that the corpus table lists but whose folders are not there."""


@dataclass(frozen=True)
class Report:
    """What became of one split."""

    split: str
    clips: int
    failures: tuple[Failure, ...]
    absent: tuple[str, ...]

    def __str__(self) -> str:
        absent = f"; absent: {', '.join(self.absent)}" if self.absent else ""
        return f"{self.split}: {self.clips} clips, {len(self.failures)} left out (see {ERRORS_FILE}){absent}"


def listing(folder: Path, split: str) -> Listing:
    """The corpus's files of one of our splits, in the order of its tables.

    A row holds split, seed, speaker (None: not known), rated_by, condition ("<db>/<con>", or None), the five ratings,
    causes (none), db, votes and file, relative to `folder`. Raises FileNotFoundError where there is no table,
    ValueError where one lacks a column or names an unknown database.
    """
    rows, failures = [], []
    absent: dict[str, None] = {}
    for cells in _table(folder):
        if cells["db"] not in DATABASES:
            raise ValueError(f"{cells['db']!r} is not a database of the NISQA corpus: {', '.join(DATABASES)}")
        if DATABASES[cells["db"]] != split:
            continue
        if not (folder / cells["db"]).is_dir():
            absent[cells["db"]] = None
            continue
        try:
            rows.append(_row(cells, split))
        except ClipError as error:
            failures.append(Failure(_file(cells), error))
    return Listing(tuple(rows), tuple(failures), tuple(absent))


def read(folder: Path, row: Annotation) -> Signal:
    """The clip at 16 kHz, mono, within ±1: resampling a clipped file overshoots full scale.

    Raises ClipError where it cannot be read or is longer than a model hears at once.
    """
    recording = audio.load(folder / row["file"])
    if recording.duration > audio.Limits().window_seconds:
        raise ClipError(ErrorCode.TOO_LONG, f"{recording.duration:.1f} s: cut it to 30 s and have each part rated")
    [samples] = recording.blocks()
    return np.clip(samples, -1.0, 1.0)


def run(config: Corpus) -> str:
    """Build all splits from the `nisqa` folder; what became of each."""
    assert config.nisqa
    return "\n".join(str(build(config.nisqa, config.run / "corpus", split)) for split in SPLITS)


def build(folder: Path, output: Path, split: str) -> Report:
    """Write OUTPUT/<split>/ from the corpus in `folder`, and the files left out to its errors.jsonl.

    Goes on where an earlier run stopped; files that were left out are tried again.
    """
    listed = listing(folder, split)
    failures = list(listed.failures)
    target = output / split
    with SplitWriter(target) as writer:
        done = {row["file"] for row in writer.rows.entries}
        for row in track([row for row in listed.rows if row["file"] not in done], split):
            try:
                samples = read(folder, row)
            except ClipError as error:
                failures.append(Failure(row["file"], error))
            else:
                writer.add(samples, row)
    (target / ERRORS_FILE).write_text("".join(json.dumps(failure.to_row()) + "\n" for failure in failures))
    return Report(split, writer.count, tuple(failures), listed.absent)


def _row(cells: dict[str, str], split: str) -> Annotation:
    file = _file(cells)
    return {
        "split": split,
        "seed": zlib.crc32(file.encode()),
        "speaker": None,
        "rated_by": "human",
        "condition": f"{cells['db']}/{cells['con']}" if cells["con"] else None,
        **{name: _number(cells, column, RATING_MIN, RATING_MAX) for column, name in COLUMNS.items()},
        "causes": [],
        "db": cells["db"],
        "votes": int(_number(cells, "votes", 1, math.inf)),
        "file": file,
    }


def _file(cells: dict[str, str]) -> str:
    return f"{cells['db']}/deg/{cells['filename_deg']}"


def _number(cells: dict[str, str], column: str, low: float, high: float) -> float:
    try:
        value = float(cells[column])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ClipError(ErrorCode.OUT_OF_RANGE, f"{column} is {cells[column]!r}: expected {low:g} to {high:g}")
    return value


def _table(folder: Path) -> Iterator[dict[str, str]]:
    """Rows of the corpus table; where only some databases were fetched, without it, those of their own tables."""
    tables = [folder / CORPUS_TABLE]
    if not tables[0].is_file():
        tables = [path for db in DATABASES if (path := folder / db / f"{db}_file.csv").is_file()]
    if not tables:
        raise FileNotFoundError(f"{folder} holds neither {CORPUS_TABLE} nor any <DB>/<DB>_file.csv")
    for path in tables:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            missing = [column for column in REQUIRED if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path.relative_to(folder)}: no column {', '.join(missing)}")
            yield from reader
