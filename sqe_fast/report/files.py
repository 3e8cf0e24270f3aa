"""Where the recordings of rows are: rows name them as a job was given them, often from the folder it ran in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from sqe_fast.jobs.lists import InputError
from sqe_fast.report.table import Table

_TRIED = 200
"""Names that are looked for to find the folder that all are named from."""


@dataclass(frozen=True)
class Files:
    """Names of recordings → their files, and how a page in `page` (a folder) calls these."""

    root: Path
    page: Path

    def path(self, name: str) -> Path:
        return self.root / name

    def address(self, name: str) -> str | None:
        """A relative URL of no scheme and no host, whatever the name: bytes that are not letters, digits or one of
        "/_.-~" are written as %XX. None for what can be no file's name."""
        try:
            relative = os.fsencode(os.path.relpath(os.path.join(self.root, name), self.page))
        except UnicodeEncodeError:
            return None
        return f"./{quote(relative)}"


def files_of(table: Table, rows: Path, audio: Path | None, page: Path) -> Files:
    """Names are of files in `audio`; without it, in the current folder, or in that of `rows` where only that has any.
    Raises InputError where `audio` is no folder."""
    if audio is not None:
        if not audio.is_dir():
            raise InputError(f"{audio}: no folder that recordings could be in")
        return Files(audio.absolute(), page.absolute())
    places = [Path.cwd(), rows.absolute().parent]
    found = next((place for place in places if _has_any(place, table)), places[0])
    return Files(found, page.absolute())


def _has_any(place: Path, table: Table) -> bool:
    return any(is_file(place / name) for name in islice(table.names, _TRIED))


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False
