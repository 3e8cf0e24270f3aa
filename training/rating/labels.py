"""What the judges said of each simulated clip, computed once and kept as a small table, keyed by the clip's seed.

`labels.csv.gz` holds a line a clip: seed, checksum of the recipe, and what each witness says (judges.py), nothing where
it was not asked. A clip whose recipe has changed since is judged anew.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "labels.csv.gz"
WITNESSES = ("distill_mos", "sig", "bak", "ovrl", "plcmos")
Opinions = Mapping[str, float]
"""What the witnesses say of one clip, by name; not all are asked about each."""
Table = Mapping[int, tuple[int, Opinions]]
"""seed → (checksum of the recipe, opinions)"""


DIGITS = 9
"""Of a number, so many tell clips apart: the last of sixteen depend on the processor, on whose registers NumPy computes
a logarithm."""


def checksum(*made_of: Any) -> int:
    """Of everything that a clip follows from (plain data), besides the code of the stages."""
    return zlib.crc32(json.dumps(_shortened(made_of), sort_keys=True).encode())


def _shortened(value: Any) -> Any:
    """With numbers of `DIGITS` digits, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list | tuple) else value


def read(path: Path) -> Table:
    """Empty where there is no such file."""
    if not path.exists():
        return {}
    with gzip.open(path, "rt", newline="") as handle:
        return {int(row[0]): (int(row[1]), _parse(row[2:])) for row in csv.reader(handle)}


def write(table: Table, path: Path) -> None:
    """The same table gives the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
        for seed, (recipe, said) in sorted(table.items()):
            values = [f"{said[name]:g}" if name in said else "" for name in WITNESSES]
            packed.write(f"{seed},{recipe},{','.join(values)}\n".encode())


def _parse(values: Iterable[str]) -> Opinions:
    return {name: float(value) for name, value in zip(WITNESSES, values, strict=True) if value}
