"""Lists of recordings, as people keep them: names a line, tables, JSON, Kaldi's wav.scp, playlists."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqe_fast.errors import ErrorCode
from sqe_fast.jobs.contents import Content

NEMO = "audio_filepath"
NAME_COLUMNS = ("file", "path", NEMO, "filepath", "file_name", "filename", "audio", "wav")
"""The column of a table, or key of a JSON object, that names the recording, unless one is asked for; the first that is
there. Hugging Face's folders say file_name, NeMo's manifests audio_filepath."""
_DELIMITERS = ",;\t|"
_NO_NAME = ErrorCode.BAD_INPUT


class InputError(ValueError):
    """The inputs make no sense as a whole (exit code 2)."""


Part = tuple[float, float | None]
"""Of a recording that a manifest cuts: where it starts, and how long it is (None: to the end), in seconds."""


@dataclass(frozen=True)
class Named:
    """An entry that names a recording, and what else its list says of it."""

    name: str
    given: Mapping[str, Any] | None = None
    part: Part | None = None
    content: Content | None = None
    """Of an entry that holds its recording."""
    fingerprint: str | None = None
    """Of the content."""


@dataclass(frozen=True)
class Wrong:
    """An entry that cannot be understood."""

    place: int | str | None
    """A line, counted from 1; the name of an archive's member; None: all that follows is wrong."""
    code: ErrorCode
    message: str


Entry = Named | Wrong
Reader = Callable[[str, Iterator[str], str | None], Iterator[Entry]]
"""The list's name, its lines without their ends, the column that was asked for."""


def reader_of(path: str) -> Reader | None:
    """By suffix; None for what is no list."""
    return _READERS.get(Path(path).suffix.lower())


def lines_of(file: BinaryIO) -> Iterator[str]:
    """The lines of a text: UTF-8, or UTF-16 where a byte-order mark says so; other bytes are carried through.

    Nothing is read ahead but a buffer.
    """
    mark = file.read(4)
    encoding = "utf-16" if mark[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    whole = io.BufferedReader(_Rejoined(mark, file))
    with io.TextIOWrapper(whole, encoding, errors="surrogateescape", newline="\n") as text:
        for line in text:
            yield line.rstrip("\r\n")


class _Rejoined(io.RawIOBase):
    """A file whose first bytes were read already. It is left open."""

    def __init__(self, first: bytes, file: BinaryIO) -> None:
        self._first = first
        self._read = getattr(file, "read1", file.read)  # what is there: a pipe's lines are not waited for in thousands

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        data = self._first[: len(target)] or self._read(len(target))
        self._first = self._first[len(target) :]
        target[: len(data)] = data
        return len(data)


def file_name(text: str) -> str:
    """File names are bytes: those of the text, whatever the locale calls them."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _names(_: str, lines: Iterator[str], __: str | None) -> Iterator[Entry]:
    return (Named(file_name(line)) for line in lines if line)


def _playlist(_: str, lines: Iterator[str], __: str | None) -> Iterator[Entry]:
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if name and not name.startswith("#"):
            yield local(number, name, None)


def _kaldi(_: str, lines: Iterator[str], __: str | None) -> Iterator[Entry]:
    """An utterance's id and its file, or a command that would give it."""
    for number, line in enumerate(lines, 1):
        utterance, _, name = line.strip().partition(" ")
        name = name.strip()
        if name.endswith("|"):
            yield Wrong(number, _NO_NAME, "a command: commands of a list are not run; pass the files that it makes")
        elif name:
            yield local(number, name, {"utterance": utterance})
        elif utterance:
            yield Wrong(number, _NO_NAME, "give an utterance's id, a blank, and its file")


def local(number: int, name: str, given: Mapping[str, Any] | None) -> Entry:
    if "://" in name and not name.startswith("file://"):
        return Wrong(number, _NO_NAME, f"{name}: an address: nothing is fetched; pass a file")
    return Named(file_name(name.removeprefix("file://")), given)


def _table(path: str, lines: Iterator[str], column: str | None) -> Iterator[Entry]:
    first = next(lines, "")
    delimiter = "\t" if path.lower().endswith((".tsv", ".tab")) else max(_DELIMITERS, key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    index = _name_column(path, names, column)
    rows = csv.reader(lines, delimiter=delimiter)
    for row in _rows(path, rows):
        if len(row) > index and row[index]:
            given = {name: value for i, (name, value) in enumerate(zip(names, row, strict=False)) if i != index}
            yield Named(file_name(row[index]), given or None)
        elif row:
            yield Wrong(rows.line_num + 1, _NO_NAME, f"no {names[index]} in this line")


def _name_column(path: str, names: list[str], column: str | None) -> int:
    if column is not None:
        if column not in names:
            raise InputError(f"{path}: no column {column!r} in its first line: {', '.join(names) or 'it is empty'}")
        return names.index(column)
    lower = [name.lower() for name in names]
    found = next((lower.index(name) for name in NAME_COLUMNS if name in lower), None)
    if found is None:
        raise InputError(
            f"{path}: no column named {', '.join(NAME_COLUMNS[:-1])} or {NAME_COLUMNS[-1]} in its first line: name one "
            "with --column"
        )
    return found


def _rows(path: str, rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:  # an unclosed quote swallows the rest of a file: no single row can be blamed
        raise InputError(f"{path}: is not CSV: {error}") from error


def _json(path: str, lines: Iterator[str], column: str | None) -> Iterator[Entry]:
    """An object a line, as NeMo writes it under .json too; or one array of objects or names."""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("[") and number == 1:
            yield from _json_array(path, "\n".join([line, *lines]), column)
            return
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            yield Wrong(number, _NO_NAME, f"this line is not JSON: {error}")
            continue
        yield _json_entry(number, entry, column)


def _json_array(path: str, text: str, column: str | None) -> Iterator[Entry]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: is neither an array nor lines of JSON: {error}") from error
    for number, entry in enumerate(entries, 1):
        yield Named(file_name(entry)) if isinstance(entry, str) else _json_entry(number, entry, column)


def _json_entry(number: int, entry: Any, column: str | None) -> Entry:
    keys: tuple[str, ...] = NAME_COLUMNS if column is None else (column,)
    named = entry if isinstance(entry, dict) else {}
    key = next((key for key in keys if key in named), None)
    name = named.get(key) if key else None
    if not isinstance(name, str) or not name:
        wanted = f'"{column}"' if column else f'"{keys[0]}" or "{keys[1]}", or name another key with --column'
        return Wrong(number, _NO_NAME, f"give an object with {wanted}")
    part = part_of(named) if key == NEMO else None
    if isinstance(part, str):
        return Wrong(number, _NO_NAME, part)
    return Named(file_name(name), {other: value for other, value in named.items() if other != key} or None, part)


def part_of(entry: Mapping[str, Any]) -> Part | str | None:
    """What NeMo reads of an utterance that has an "offset"; or what is wrong with it. Without one, "duration" says how
    long the file is."""
    offset, duration = entry.get("offset"), entry.get("duration")
    if offset is None:
        return None
    for seconds in (offset, duration):
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            return f"offset {offset!r}, duration {duration!r}: give both in seconds"
    return offset, duration


_READERS: dict[str, Reader] = {
    ".txt": _names,
    ".lst": _names,
    ".list": _names,
    ".scp": _kaldi,
    ".m3u": _playlist,
    ".m3u8": _playlist,
    ".csv": _table,
    ".tsv": _table,
    ".tab": _table,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
}
LIST_SUFFIXES = tuple(_READERS)
