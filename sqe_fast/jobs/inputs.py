"""What `sqe score` was given → the files to score, lazily: files, folders, manifests and `-`."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.results import Evaluation

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64"}
)
"""What is scored of a folder. A file given by name is tried whatever its suffix."""
MANIFEST_COLUMNS = ("file", "path")
"""The column of a CSV manifest, or key of a JSONL one, that names the recording; the first that is there."""
STDIN = "-"

Item = str | Evaluation
"""A file to score; or, where an entry cannot be understood, the error row that stands in its place."""


class InputError(ValueError):
    """The inputs make no sense as a whole (exit code 2)."""


def expand(inputs: Iterable[str], stdin: BinaryIO) -> Iterator[Item]:
    """The items of all inputs, in order. Nothing is held: folders are walked and manifests read as items are taken.

    A folder gives its sound files, recursively, sorted by name. A manifest is a .txt with a path a line, a .csv with a
    column or a .jsonl with a key named `file` or `path`; its relative paths start at its own folder. `-` reads paths
    from `stdin`, a line each. Raises InputError for a folder without sound files and a CSV without the column.
    """
    for name in inputs:
        reader = _MANIFESTS.get(Path(name).suffix.lower())
        if name == STDIN:
            yield from _lines(stdin)
        elif os.path.isdir(name):
            yield from _folder(name)
        elif reader is not None:
            yield from _manifest(name, reader)
        else:
            yield name


def check(inputs: Iterable[str]) -> None:
    """Raise InputError early, for what can be known before anything is scored."""
    for name in inputs:
        if name != STDIN and (os.path.isdir(name) or Path(name).suffix.lower() == ".csv"):
            next(expand([name], io.BytesIO()), None)


def _folder(folder: str) -> Iterator[Item]:
    found = False
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES:
                found = True
                yield os.path.join(parent, name)
    if not found:
        raise InputError(f"{folder}: no sound files in this folder (looked for {' '.join(sorted(AUDIO_SUFFIXES))})")


def _manifest(manifest: str, read: Callable[[str, BinaryIO], Iterator[Item]]) -> Iterator[Item]:
    parent = os.path.dirname(manifest)
    try:
        file = open(manifest, "rb")  # noqa: SIM115 (closed below; only opening may fail as a row)
    except OSError as error:
        code = ErrorCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ErrorCode.UNREADABLE
        yield _error(manifest, code, f"the manifest cannot be read ({error.strerror}): check its path")
        return
    with file:
        for item in read(manifest, file):
            yield os.path.join(parent, item) if isinstance(item, str) else item


def _lines(file: BinaryIO) -> Iterator[str]:
    for line in file:
        # File names are bytes: os.fsdecode carries those that are not UTF-8 through to open().
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            yield name


def _txt(_: str, file: BinaryIO) -> Iterator[Item]:
    return _lines(file)


def _csv(manifest: str, file: BinaryIO) -> Iterator[Item]:
    rows = csv.reader(line.decode("utf-8-sig" if first else "utf-8", "surrogateescape") for first, line in _first(file))
    header = [column.strip().lower() for column in next(rows, [])]
    column = next((header.index(name) for name in MANIFEST_COLUMNS if name in header), None)
    if column is None:
        raise InputError(f"{manifest}: no column named {' or '.join(MANIFEST_COLUMNS)} in its first line")
    for row in _rows(manifest, rows):
        if len(row) > column and row[column]:
            yield row[column]
        elif row:
            yield _error(f"{manifest}:{rows.line_num}", ErrorCode.BAD_INPUT, f"no {header[column]} in this line")


def _rows(manifest: str, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:  # an unclosed quote swallows the rest of a file: no single row can be blamed
        raise InputError(f"{manifest}: is not CSV: {error}") from error


def _jsonl(manifest: str, file: BinaryIO) -> Iterator[Item]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            yield _error(f"{manifest}:{number}", ErrorCode.BAD_INPUT, f"this line is not JSON: {error}")
            continue
        named = entry if isinstance(entry, dict) else {}
        name = next((named[key] for key in MANIFEST_COLUMNS if key in named), None)
        if isinstance(name, str) and name:
            yield name
        else:
            yield _error(f"{manifest}:{number}", ErrorCode.BAD_INPUT, 'give an object with a "file" or "path"')


def _first(lines: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    for number, line in enumerate(lines):
        yield number == 0, line


def _error(file: str, code: ErrorCode, message: str) -> Evaluation:
    return Evaluation(file=file, error=ClipError(code, message))


_MANIFESTS = {".txt": _txt, ".csv": _csv, ".jsonl": _jsonl}
