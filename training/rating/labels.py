"""What the judges said of each simulated clip, computed once and kept as a small table, keyed by the clip's seed.

`labels.csv.gz` holds a line a clip: seed, checksum of the recipe, Distill-MOS of the clip, and for each degradation
that is judged "ViSQOL:Distill-MOS before:after". A clip whose recipe has changed since is judged anew.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.rating.raters import Label, Opinion, judged
from training.simulation.simulate import Step

TABLE = Path(__file__).parent / "labels.csv.gz"
Table = Mapping[int, tuple[int, Label]]
"""seed → (checksum of the recipe, label)"""


def checksum(recipe: Sequence[Mapping[str, Any]], speech: str, start: int, size: int) -> int:
    """Of everything that a clip follows from, besides the code of the stages."""
    return zlib.crc32(json.dumps([recipe, speech, start, size], sort_keys=True).encode())


def judge(steps: Sequence[Step]) -> Label:
    """Ask the judges about a clip and about each of its judged steps. Needs the packages named in judges.py."""
    from training.rating import judges

    heard: dict[int, float] = {}

    def distill_mos(signal: Any) -> float:
        if id(signal) not in heard:
            heard[id(signal)] = judges.distill_mos(signal)
        return heard[id(signal)]

    opinions = []
    for step in steps:
        if judged(step.degradation):
            visqol = judges.visqol(step.before, step.after) if step.degradation.dimension == "coloration" else None
            opinions.append(Opinion(visqol, distill_mos(step.before), distill_mos(step.after)))
    return Label(distill_mos(steps[-1].after), tuple(opinions))


def read(path: Path) -> Table:
    if not path.exists():
        return {}
    with gzip.open(path, "rt", newline="") as handle:
        return {int(row[0]): (int(row[1]), _parse(row[2], row[3])) for row in csv.reader(handle)}


def write(table: Iterable[tuple[int, int, Label]], path: Path) -> None:
    """`table`: (seed, checksum, label). The same table gives the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
        for seed, recipe, label in sorted(table):
            packed.write(f"{seed},{recipe},{label.distill_mos},{_format(label)}\n".encode())


def _format(label: Label) -> str:
    return ";".join(f"{'' if o.visqol is None else o.visqol}:{o.before}:{o.after}" for o in label.opinions)


def _parse(distill_mos: str, opinions: str) -> Label:
    found = []
    for opinion in filter(None, opinions.split(";")):
        visqol, before, after = opinion.split(":")
        found.append(Opinion(float(visqol) if visqol else None, float(before), float(after)))
    return Label(float(distill_mos), tuple(found))
