"""Where rows go: a pipe, or a file or folder that one job writes alone and a later one goes on with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.done import Done
from sqe_fast.jobs.lines import LineFile
from sqe_fast.jobs.rows import Origin, Stored, format_of, rows_of
from sqe_fast.results import Evaluation

if TYPE_CHECKING:
    from sqe_fast.jobs.parquet import RowFolder

FORMATS = ("jsonl", "csv", "parquet")


class RowWriter(Protocol):
    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        """All of one recording. Raises UnusableError where they cannot be written."""


class PipeRows:
    """Rows to an open binary stream, such as standard output; flushed recording by recording."""

    def __init__(
        self, stream: BinaryIO, format_name: str, given: Sequence[str] = (), *, timeline: bool = False
    ) -> None:
        self._stream = stream
        self._format = format_of(format_name, given, timeline=timeline)
        self._put(self._format.layout.header)

    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        self._put(self._format.lines(list(rows_of(evaluations, origin, timeline=self._format.timeline))))

    def _put(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise UnusableError(f"cannot write to standard output: {error.strerror}") from error


class RowStore(ABC):
    """Rows that this job alone writes, and that a later job may go on with. A context manager.

    With `resume` the rows that are there stay, what may be torn at the end is cut off, and `done` tells them.
    Raises UnusableError: not writable, in use by another job, not empty without `resume`, or not rows of this format.
    """

    done: Done

    def __init__(self, path: str, *, resume: bool, retry_errors: bool) -> None:
        self.path = path
        self.done = Done()
        self._retry_errors = retry_errors
        self._open()
        try:
            self._claim(resume)
        except BaseException:
            self.close()
            raise

    def _claim(self, resume: bool) -> None:
        if self._is_empty():
            self._begin()
            return
        if not resume:
            raise UnusableError(f"{self.path}: is not empty: continue it with --resume, or choose another output")
        self.look()
        if self._is_empty():
            self._begin()

    def look(self) -> None:
        """Read what is there, anew."""
        self.done = Done()
        for record in self._read_back():
            self.done.add(record)

    def go_on(self, model: str, options: str) -> None:
        """To be called before the first row. What is to be done again is taken out: with `retry_errors` recordings that
        have an error, and rows that were replaced. Raises UnusableError, and leaves all as it is, where the output
        holds rows of another model or of other options."""
        if others := self.done.models - {model}:
            raise UnusableError(
                f"{self.path}: holds rows of {', '.join(sorted(others))}, this is {model}: choose another output"
            )
        if others := self.done.options - {options}:
            raise UnusableError(f"{self.path}: {_difference(min(others), options)}, or choose another output")
        if self.done.replaced or (self._retry_errors and self.done.summary.failed):
            self._thin(retry_errors=self._retry_errors)

    def finish(self) -> None:
        """To be called behind the last row: what was replaced is taken out."""
        if self.done.replaced:
            self._thin(retry_errors=False)

    def _thin(self, *, retry_errors: bool) -> None:
        before, self.done = self.done, Done()

        def is_kept(record: list[Stored]) -> bool:
            kept = before.holds(record) and not (retry_errors and any(row.error is not None for row in record))
            if kept:
                self.done.add(record)
            return kept

        self._keep(is_kept)

    @abstractmethod
    def _open(self) -> None:
        """Lock the output."""

    @abstractmethod
    def _is_empty(self) -> bool:
        """No row is there."""

    @abstractmethod
    def _begin(self) -> None:
        """Write what stands before the first row."""

    @abstractmethod
    def _read_back(self) -> Iterator[list[Stored]]:
        """The rows of each recording. What is torn, or may be, is taken out once all were taken."""

    @abstractmethod
    def _keep(self, wanted: Callable[[list[Stored]], bool]) -> None:
        """Leave only the recordings that are wanted, each asked for once and in order."""

    @abstractmethod
    def stored_name(self, file: str) -> str:
        """A file's name as a stored row has it."""

    @abstractmethod
    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class RowFile(RowStore):
    """A file of lines: JSONL or CSV. Those of a recording are written at once."""

    def __init__(
        self,
        path: str,
        format_name: str,
        given: Sequence[str] = (),
        *,
        resume: bool,
        retry_errors: bool = False,
        timeline: bool = False,
    ) -> None:
        self._format = format_of(format_name, given, timeline=timeline)
        super().__init__(path, resume=resume, retry_errors=retry_errors)

    def _open(self) -> None:
        self._lines = LineFile(self.path)

    def _is_empty(self) -> bool:
        return self._lines.empty

    def _begin(self) -> None:
        self._lines.append(self._format.layout.header)

    def _claim(self, resume: bool) -> None:
        if resume and not self._lines.regular:
            raise UnusableError(f"{self.path}: not a regular file, so nothing can be resumed from it")
        super()._claim(resume)

    def _read_back(self) -> Iterator[list[Stored]]:
        return self._lines.read_back(self._format.layout)

    def _keep(self, wanted: Callable[[list[Stored]], bool]) -> None:
        self._lines.keep(self._format.layout, wanted)

    def stored_name(self, file: str) -> str:
        return self._format.key(file)

    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        self._lines.append(self._format.lines(list(rows_of(evaluations, origin, timeline=self._format.timeline))))

    def close(self) -> None:
        self._lines.close()


def open_rows(
    path: str | Path,
    format_name: str,
    given: Sequence[str] = (),
    *,
    resume: bool,
    retry_errors: bool = False,
    timeline: bool = False,
) -> RowFile | RowFolder:
    """By the format's name, one of FORMATS. Raises UnusableError as RowStore does."""
    if format_name == "parquet":
        from sqe_fast.jobs.parquet import RowFolder

        return RowFolder(str(path), resume=resume, retry_errors=retry_errors, timeline=timeline)
    return RowFile(str(path), format_name, given, resume=resume, retry_errors=retry_errors, timeline=timeline)


def _difference(held: str, wanted: str) -> str:
    """ "holds rows with --channels mix, this is with --channels auto: go on with the same options" """
    there, here = (dict(part.partition("=")[::2] for part in text.split()) for text in (held, wanted))
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    told = [" ".join(_flag(name, options.get(name)) for name in names) for options in (there, here)]
    return f"holds rows with {told[0]}, this is with {told[1]}: go on with the same options"


def _flag(name: str, value: str | None) -> str:
    """As the command line has it."""
    if value is None:
        return f"no --{name}"
    return {"yes": f"--{name}", "no": f"--no-{name}"}.get(value, f"--{name} {value}")
