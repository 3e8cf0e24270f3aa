"""Files of lines that grow by whole lines: what a killed process leaves torn is cut off, and the rest goes on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from sqe_fast.errors import UnusableError

Parsed = TypeVar("Parsed")


def _alone(*_: object) -> bool:
    return False


@dataclass(frozen=True)
class Layout(Generic[Parsed]):
    """How lines are rows, and rows records, which stand and fall together."""

    parse: Callable[[bytes], Parsed | None]
    """None for a line that belongs to the row behind it. Raises ValueError or KeyError where a line is not a row."""
    header: bytes = b""
    joined: Callable[[Parsed, Parsed | None], bool] = _alone
    """Whether a row is, or may be, of one record with the next; None: there is no next yet."""


class LineFile:
    """A file that this process alone writes, line by line at its end. A context manager.

    A line that the disk has no room for is taken back, so the file always ends in a whole line.
    Raises UnusableError where the file cannot be written, or another process is writing it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UnusableError(f"{path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise UnusableError(f"{path}: another job is writing it: wait, or choose another file") from error
        if not self._is_at(path):
            os.close(self._fd)
            raise UnusableError(f"{path}: another job has just exchanged it: try again")
        self.regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        """Not a pipe or a device, of which nothing can be read back."""

    def _is_at(self, path: str) -> bool:
        """The file that was locked is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(path))
        except FileNotFoundError:
            return False

    @property
    def empty(self) -> bool:
        return not self.regular or not os.fstat(self._fd).st_size

    def read_back(self, layout: Layout[Parsed]) -> Iterator[list[Parsed]]:
        """The rows of each record. What is torn at the end, or may be, is cut off once all were taken, not before: a
        file of something else stays as it is. Raises UnusableError for another header, and for what is no row."""
        with self._reading() as file:
            end = len(layout.header) if file.read(len(layout.header)) == layout.header else 0
            file.seek(0)
            for lines, rows in self._records(file, layout):
                yield rows
                end += sum(map(len, lines))
        os.ftruncate(self._fd, end)

    def keep(self, layout: Layout[Parsed], wanted: Callable[[list[Parsed]], bool]) -> None:
        """Leave only the records that are wanted. The file is exchanged for a new one: a job that is killed meanwhile
        leaves all of them. Raises UnusableError where no file can be written beside it."""
        beside = f"{self.path}.new"
        try:
            new = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._reading() as file, open(os.dup(new), "wb") as kept:
                kept.write(layout.header)
                for lines, rows in self._records(file, layout):
                    if wanted(rows):
                        kept.writelines(lines)
                kept.flush()
                os.fsync(kept.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            raise UnusableError(f"{beside}: cannot be written: {error.strerror}") from error
        os.close(self._fd)
        self._fd = new

    def _reading(self) -> BinaryIO:
        file = open(os.dup(self._fd), "rb")  # noqa: SIM115 (its callers close it)
        file.seek(0)
        return file

    def _records(self, file: BinaryIO, layout: Layout[Parsed]) -> Iterator[tuple[list[bytes], list[Parsed]]]:
        """Lines and rows of each record that is there to its end."""
        lines: list[bytes] = []
        rows: list[Parsed] = []
        waiting: list[bytes] = []
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            if number == 1 and layout.header:
                if line != layout.header:
                    raise UnusableError(f"{self.path}: its first line is not the header of our rows")
                continue
            try:
                row = layout.parse(line)
            except (ValueError, KeyError) as error:
                raise UnusableError(f"{self.path}: line {number} is not a row: {error}") from error
            waiting.append(line)
            if row is None:
                continue
            if rows and not layout.joined(rows[-1], row):
                yield lines, rows
                lines, rows = [], []
            lines += waiting
            rows.append(row)
            waiting = []
        if rows and not layout.joined(rows[-1], None):
            yield lines, rows

    def append(self, line: bytes) -> None:
        """Raises UnusableError where the line cannot be written."""
        start = os.fstat(self._fd).st_size
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            if self.regular:
                with contextlib.suppress(OSError):  # a shorter file needs no room; if even that fails, resume repairs
                    os.ftruncate(self._fd, start)
            raise UnusableError(
                f"{self.path}: cannot be written: {error.strerror}; earlier rows are complete"
            ) from error

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> LineFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class JsonLines:
    """JSON objects, one a line, in a file that goes on where an earlier run stopped. A context manager.

    `entries` are the objects that the file holds. Raises UnusableError as LineFile does.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = LineFile(str(path))
        try:
            self.entries = [entry for record in self._file.read_back(Layout(json_object)) for entry in record]
        except BaseException:
            self._file.close()
            raise

    def append(self, entry: Mapping[str, Any]) -> None:
        self._file.append(json.dumps(entry).encode() + b"\n")
        self.entries.append(dict(entry))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def json_object(line: bytes) -> dict[str, Any]:
    """Raises ValueError for anything else."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    return entry
