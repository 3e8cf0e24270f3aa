"""People's ratings for training: the calibration talkers of two P.835 panels, brought to the common scale.

Each panel's scale is its own, so a straight line takes it to the one on which simulated clips are rated (ITU-T P.1401):
the line from what the panel said to what the listener (rating/people.py) says of the same points. OVRL becomes the MOS,
BAK the noisiness. SIG is none of the other dimensions, so these are unknown.

The talkers that the panels keep for the report never get here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LinearRegression

from sqe_fast import audio
from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS
from training.configs import Corpus
from training.corpora import holub, p835
from training.corpora.annotation import Annotation
from training.corpora.corpus import HUMAN, SplitWriter
from training.progress import track
from training.rating import panels, people, together
from training.rating.panels import HOLUB, P835

KNOWN = {"noisiness": "BAK", "mos": "OVRL"}
"""What a panel says of a clip, by rating."""
UNKNOWN = tuple(name for name in RATINGS if name not in KNOWN)

Lines = Mapping[tuple[str, str], np.poly1d]
"""Of each panel and rating, from the panel's scale to the common one."""


def run(config: Corpus) -> str:
    """Build RUN/corpus/human from the folder `human`; what it holds."""
    assert config.human
    folder = config.split(HUMAN)
    return f"{folder}: {build(config.human, folder)} clips that people rated"


def build(data: Path, folder: Path) -> int:
    """Write FOLDER; goes on where an earlier run stopped. How many clips it holds."""
    lines, others = common_lines(data), together.nisqa_ratings(data)
    with SplitWriter(folder) as writer:
        done = {row["seed"] for row in writer.rows.entries}
        for panel, row in track([*_rows(data)], HUMAN):
            on_scale = _on_common_scale(panel, row, lines, others)
            if on_scale["seed"] not in done:
                [samples] = audio.load(row["file"]).blocks()
                writer.add(np.clip(samples, -1.0, 1.0), on_scale)
        return writer.count


def common_lines(data: Path) -> Lines:
    """The line with the least error on the common scale: what 32 votes say is surer than what the listener says."""
    points = panels.read(data)
    fitted, found = people.fit(points), {}
    for panel in (HOLUB, P835):
        lot = [point for point in points if point.panel == panel]
        read, given = np.array([people.predict(point, fitted) for point in lot]), np.array([p.scores for p in lot])
        for name, scale in KNOWN.items():
            column = panels.SCALES.index(scale)
            found[panel, name] = np.poly1d(np.polyfit(given[:, column], read[:, column], 1))
    return found


def _rows(data: Path) -> Iterator[tuple[str, Annotation]]:
    """Panel and row of each file, its ratings as the panel gave them; of P.835, where seven votes a file are few, the
    mean of a condition's files."""
    for row in holub.read(data / "rated" / panels.FOLDERS[HOLUB], panels.TALKERS[HOLUB]):
        yield HOLUB, row
    rated = p835.read(data / "rated" / panels.FOLDERS[P835], panels.TALKERS[P835])
    for row in rated:
        lot = [other for other in rated if other["condition"] == row["condition"]]
        yield P835, {**row, **{name: float(np.mean([other[name] for other in lot])) for name in KNOWN}}


def _on_common_scale(panel: str, row: Annotation, lines: Lines, others: together.Values) -> Annotation:
    name = Path(row["file"]).name
    known = {rating: _within(lines[panel, rating](row[rating])) for rating in KNOWN}
    return {
        "split": HUMAN,
        "seed": zlib.crc32(f"{panel}/{name}".encode()),
        "speaker": f"{panel} {row['speaker']}",
        "rated_by": "human",
        "condition": f"{panel}/{row['condition']}",
        **known,
        "plausible": plausible(known, others),
        "causes": [],
        "file": name,
    }


def plausible(known: Mapping[str, float], ratings: together.Values) -> dict[str, float]:
    """What people who know all five ratings say of the others where these two are so: [n, 5] in the order of RATINGS,
    by least squares."""
    given = ratings[:, [RATINGS.index(name) for name in KNOWN]]
    fitted = LinearRegression().fit(given, ratings[:, [RATINGS.index(name) for name in UNKNOWN]])
    said: Sequence[float] = fitted.predict([[known[name] for name in KNOWN]])[0]
    return dict(zip(UNKNOWN, map(_within, said), strict=True))


def _within(rating: float) -> float:
    return round(float(np.clip(rating, RATING_MIN, RATING_MAX)), 2)
