"""Files of lines that grow by whole lines: what a killed process leaves torn is cut off, and the rest goes on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sqe_fast.errors import UnusableError

Parsed = TypeVar("Parsed")


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

    def read_back(self, parse: Callable[[bytes], Parsed | None], header: bytes = b"") -> Iterator[Parsed]:
        """`parse` of each whole line below the header; None for a line that counts only with the one that follows. A
        torn last line, and those that count only with it, are cut off once all were taken, not before: a file of
        something else stays as it is. Raises UnusableError for another header, and where `parse` raises ValueError or
        KeyError."""
        end = position = 0
        with open(os.dup(self._fd), "rb") as file:
            file.seek(0)
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if number == 1 and header:
                    if line != header:
                        raise UnusableError(f"{self.path}: its first line is not the header of our rows")
                    end = position
                    continue
                try:
                    parsed = parse(line)
                except (ValueError, KeyError) as error:
                    raise UnusableError(f"{self.path}: line {number} is not a row: {error}") from error
                if parsed is not None:
                    end = position
                    yield parsed
        os.ftruncate(self._fd, end)

    def keep(self, wanted: Callable[[bytes], bool | None]) -> None:
        """Leave only the lines that are wanted; None for one that stays or goes with the next. The file is exchanged
        for a new one, so a job that is killed meanwhile leaves all of them. Raises UnusableError where no file can be
        written beside it."""
        beside = f"{self.path}.new"
        try:
            new = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(os.dup(self._fd), "rb") as file, open(os.dup(new), "wb") as kept:
                file.seek(0)
                kept.writelines(_wanted(file, wanted))
                kept.flush()
                os.fsync(kept.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            raise UnusableError(f"{beside}: cannot be written: {error.strerror}") from error
        os.close(self._fd)
        self._fd = new

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


def _wanted(lines: Iterable[bytes], wanted: Callable[[bytes], bool | None]) -> Iterator[bytes]:
    together = []
    for line in lines:
        together.append(line)
        if (stays := wanted(line)) is not None:
            if stays:
                yield from together
            together.clear()


class JsonLines:
    """JSON objects, one a line, in a file that goes on where an earlier run stopped. A context manager.

    `entries` are the objects that the file holds. Raises UnusableError as LineFile does.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = LineFile(str(path))
        try:
            self.entries = list(self._file.read_back(json_object))
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
