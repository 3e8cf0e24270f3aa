"""Tables → what a page's script reads: one small JSON of facts, and compressed blocks of columns and texts.

A block is base64 of gzip. Columns are little-endian: scores [6, n] of uint16, in thousandths, 0 for none; of lists the
ends [n + 1] and the entries of uint32, in the facts' vocabularies, and probabilities of uint8, in hundredths. Details
and addresses are JSON, `CHUNK` rows a block, so that a page unpacks only what it shows.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from sqe_fast.report.files import Files
from sqe_fast.report.pairs import Pairs
from sqe_fast.report.table import IntArray, Lists, Table

CHUNK = 500

Block = tuple[str, str]
"""Its name, and what is in it."""


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


class Vocabulary:
    """The names of what lists of both sides hold."""

    def __init__(self, *sides: Lists) -> None:
        self.numbers: dict[str, int] = {}
        for side in sides:
            for name in side.names:
                self.numbers.setdefault(name, len(self.numbers))

    def blocks(self, name: str, lists: Lists, rows: IntArray, *, weighted: bool = False) -> Iterator[Block]:
        """Of the lists of `rows` [n]; −1 stands for an empty one."""
        ends = np.asarray(lists.ends, np.int64)
        starts = np.where(rows >= 0, ends[rows], 0)
        counts = np.where(rows >= 0, ends[rows + 1] - starts, 0)
        taken = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        known = np.array([self.numbers[each] for each in lists.names], np.int64)
        entries = np.asarray(lists.entries, np.int64)[taken]
        yield f"{name}-ends", packed(np.concatenate([[0], np.cumsum(counts)]).astype("<u4").tobytes())
        yield f"{name}-entries", packed((known[entries] if len(entries) else entries).astype("<u4").tobytes())
        if weighted:
            weights = np.asarray(lists.weights, np.float32)[taken]
            yield f"{name}-weights", packed(np.round(100 * weights).astype("u1").tobytes())


class Vocabularies:
    def __init__(self, *sides: Table) -> None:
        self.errors = Vocabulary(*(side.errors for side in sides))
        self.flags = Vocabulary(*(side.flags for side in sides))
        self.causes = Vocabulary(*(side.causes for side in sides))
        self._dimensions = {name: each for side in sides for name, each in side.dimensions.items()}

    def facts(self) -> dict[str, Any]:
        return {
            "errors": list(self.errors.numbers),
            "flags": list(self.flags.numbers),
            "causes": list(self.causes.numbers),
            "dimensions": [self._dimensions.get(name, "") for name in self.causes.numbers],
        }

    def blocks(self, table: Table, files: Files, rows: IntArray, prefix: str = "") -> Iterator[Block]:
        """Of `rows` of a table, −1 for none."""
        there = rows >= 0
        scores = np.where(there & ~np.isnan(table.scores[:, rows]), np.round(1_000 * table.scores[:, rows]), 0)
        yield f"{prefix}scores", packed(scores.astype("<u2").tobytes())
        yield from self.errors.blocks(f"{prefix}errors", table.errors, rows)
        yield from self.flags.blocks(f"{prefix}flags", table.flags, rows)
        yield from self.causes.blocks(f"{prefix}causes", table.causes, rows, weighted=True)
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK].tolist()
            details = ",".join("null" if row < 0 else table.details[row] for row in chunk)
            addresses = json.dumps([None if row < 0 else files.address(table.names[row]) for row in chunk])
            text = f'{{"details":[{details}],"addresses":{addresses}}}'
            yield f"{prefix}details-{first // CHUNK}", packed(text.encode())


def blocks(now: Table, files: Files, known: Vocabularies) -> Iterator[Block]:
    rows = np.arange(len(now))
    yield "names", packed(json.dumps(now.names).encode())
    yield "starts", packed(now.starts.astype("<f4").tobytes())
    yield "durations", packed(np.nan_to_num(now.durations, nan=-1.0).astype("<f4").tobytes())
    yield "channels", packed(now.channels.astype("<i2").tobytes())
    yield from known.blocks(now, files, rows)


def blocks_before(now: Table, before: Table, files: Files, known: Vocabularies, pairs: Pairs) -> Iterator[Block]:
    """Of the other side, row by row of this one."""
    rows = np.full(len(now), -1)
    rows[pairs.now] = pairs.before
    yield "before-names", packed(json.dumps([None if row < 0 else before.names[row] for row in rows]).encode())
    yield from known.blocks(before, files, rows, "before-")
