"""Rows on disk or in a pipe: JSONL and CSV, one line a row, whole lines only; and what an earlier job left behind."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from sqe_fast.errors import UnusableError
from sqe_fast.results import Evaluation

COLUMNS = tuple(Evaluation("").to_row())


class RowWriter(Protocol):
    def write(self, evaluation: Evaluation) -> None:
        """Raises UnusableError where the row cannot be written."""


@dataclass
class Done:
    """The rows that an output already holds. Holds the files' names, and nothing else of the rows."""

    files: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    models: set[str] = field(default_factory=set)

    def take(self, file: str) -> bool:
        """Is there a row for this file that no earlier `take` has used up?"""
        if not self.files.get(file):
            return False
        self.files[file] -= 1
        return True


def jsonl_line(evaluation: Evaluation) -> bytes:
    row = evaluation.to_row()
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is not UTF-8: escaped, it reads back as the same name
        return json.dumps(row).encode() + b"\n"


def csv_line(evaluation: Evaluation) -> bytes:
    """Flags are joined by ";", an error is "code: message", line breaks are written as \\n: a row is one line."""
    row = evaluation.to_row()
    row["flags"] = ";".join(evaluation.flags)
    row["error"] = str(evaluation.error) if evaluation.error else None
    return _csv_bytes([_flat(value) for value in row.values()])


def _csv_bytes(values: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _flat(value: Any) -> Any:
    return value.replace("\r", "\\r").replace("\n", "\\n") if isinstance(value, str) else value


@dataclass(frozen=True)
class Format:
    """How rows become lines, and what of a line a resumed job must know."""

    line: Callable[[Evaluation], bytes]
    header: bytes
    parse: Callable[[bytes], tuple[str, bool, str]]
    """A line → file, has an error, model. Raises ValueError or KeyError where it is not a row."""
    key: Callable[[str], str]
    """A file's name as `parse` gives it back."""


def _parse_jsonl(line: bytes) -> tuple[str, bool, str]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("not an object")
    return row["file"], row["error"] is not None, row["model"]


def _parse_csv(line: bytes) -> tuple[str, bool, str]:
    [values] = csv.reader([line.decode("utf-8", "surrogateescape")])
    row = dict(zip(COLUMNS, values, strict=True))
    return row["file"], bool(row["error"]), row["model"]


FORMATS = {
    "jsonl": Format(jsonl_line, b"", _parse_jsonl, str),
    "csv": Format(csv_line, _csv_bytes(list(COLUMNS)), _parse_csv, _flat),
}


class PipeRows:
    """Rows to an open binary stream, such as standard output; flushed row by row."""

    def __init__(self, stream: BinaryIO, format_name: str) -> None:
        self._stream = stream
        self._format = FORMATS[format_name]
        self._put(self._format.header)

    def write(self, evaluation: Evaluation) -> None:
        self._put(self._format.line(evaluation))

    def _put(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise UnusableError(f"cannot write to standard output: {error.strerror}") from error


class RowFile:
    """Rows to a file that this job alone writes, each in one write at its end. A context manager.

    A row that the disk has no room for is taken back, so the file always ends in a whole row. With `resume` the rows
    that are there stay, a torn last line is cut off, and `done` tells them.
    Raises UnusableError: not writable, in use by another job, not empty without `resume`, or not rows of this format.
    """

    def __init__(self, path: str, format_name: str, *, resume: bool) -> None:
        self.path = path
        self.format = FORMATS[format_name]
        self.done = Done()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UnusableError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            self._claim(resume)
        except BaseException:
            os.close(self._fd)
            raise

    def _claim(self, resume: bool) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnusableError(f"{self.path}: another job is writing it: wait, or choose another file") from error
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        if not self._regular:
            if resume:
                raise UnusableError(f"{self.path}: not a regular file, so nothing can be resumed from it")
        elif os.fstat(self._fd).st_size:
            if not resume:
                raise UnusableError(f"{self.path}: is not empty: --resume goes on with it, or choose another file")
            self._read_back()
        if not self._regular or not os.fstat(self._fd).st_size:
            self._put(self.format.header)

    def _read_back(self) -> None:
        end = 0
        for number, line in enumerate(self._old_lines(), 1):
            if not line.endswith(b"\n"):
                break
            end += len(line)
            if number == 1 and self.format.header:
                if line != self.format.header:
                    raise UnusableError(f"{self.path}: its first line is not the header of our rows")
                continue
            try:
                file, failed, model = self.format.parse(line)
            except (ValueError, KeyError) as error:
                raise UnusableError(f"{self.path}: line {number} is not a row: {error}") from error
            self.done.files[file] += 1
            self.done.failed += failed
            self.done.models |= {model} - {""}
        os.ftruncate(self._fd, end)

    def _old_lines(self) -> Iterator[bytes]:
        with open(os.dup(self._fd), "rb") as file:
            file.seek(0)
            yield from file

    def write(self, evaluation: Evaluation) -> None:
        self._put(self.format.line(evaluation))

    def _put(self, data: bytes) -> None:
        start = os.fstat(self._fd).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            if self._regular:
                with contextlib.suppress(OSError):  # a shorter file needs no room; if even that fails, resume repairs
                    os.ftruncate(self._fd, start)
            raise UnusableError(f"{self.path}: cannot be written: {error.strerror}; earlier rows are whole") from error

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
