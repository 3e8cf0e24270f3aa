"""Rows in Parquet: a folder of part files.

Rows go line by line into a journal beside the parts, as JSONL; when it is long enough, and at the end, it becomes a
part, which appears whole or not at all. So a job that is killed loses no row, and nothing ever reads half a part.
Parts are called part-000001.parquet and so on, in the order of their rows; what begins with "_", readers of Parquet
folders pass over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.lines import LineFile
from sqe_fast.jobs.outputs import RowStore
from sqe_fast.jobs.rows import GIVEN, Origin, Row, Stored, format_of, jsonl_line, rows_of, same_recording
from sqe_fast.results import DIMENSIONS, RATINGS, Evaluation

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 20_000
"""Rows of a journal from which on it becomes a part."""
LOCK = "_sqe_fast.lock"
"""Beside the parts of a folder of our rows."""
_PART = re.compile(r"part-(\d{6,})(-[0-9a-f]+)?\.parquet")
_JOURNAL = re.compile(r"_part-(\d{6,})\.jsonl")
_BATCH = 4_096
"""Rows that are read at once."""
_STORED_COLUMNS = (
    "file", "channel", *RATINGS, "flags", "no_speech", "duration", "model", "error",
    "excerpt", "fingerprint", "options",
)  # fmt: skip


def arrow() -> Any:
    """pyarrow. Raises UnusableError where it is not installed."""
    try:
        import pyarrow.fs
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UnusableError('Parquet and Arrow need pyarrow: pip install "sqe-fast[jobs]"') from error
    return pyarrow


def schema(*, timeline: bool) -> pa.Schema:
    """Columns as JSONL has keys; what a list says of a recording is JSON in `given`."""
    pa = arrow()
    text, number = pa.string(), pa.float64()
    cause = pa.struct([("name", text), ("dimension", text), ("probability", number)])
    stretch = pa.struct([("start", number), ("end", number), ("kind", text)])
    return pa.schema(
        [
            ("file", text),
            ("channel", pa.int32()),
            *([("start", number), ("end", number)] if timeline else []),
            ("mos", number),
            ("mos_std", number),
            *((name, number) for name in DIMENSIONS),
            ("causes", pa.list_(cause)),
            ("description", text),
            ("flags", pa.list_(text)),
            ("no_speech", pa.list_(stretch)),
            ("duration", number),
            ("model", text),
            ("error", pa.struct([("code", text), ("message", text)])),
            ("excerpt", text),
            ("fingerprint", text),
            ("options", text),
            (GIVEN, text),
        ]
    )


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Of at least one row. What is not UTF-8, as a file's name may be, is escaped: "\\udcff"."""
    return arrow().Table.from_pylist([_plain(row) for row in rows], schema=schema(timeline="start" in rows[0]))


def _plain(row: Row) -> Row:
    error = row["error"]
    return {
        **row,
        "file": escaped(row["file"]),
        "error": error and {**error, "message": escaped(error["message"])},
        GIVEN: json.dumps(row[GIVEN]) if GIVEN in row else None,
    }


def escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class Parts:
    """The part files of a folder, or of a bucket as Arrow's file systems name it ("s3://bucket/rows"). A part is there
    whole, or not at all. Raises UnusableError for a place that Arrow does not know, and where it cannot be read or
    written."""

    def __init__(self, place: str | os.PathLike[str]) -> None:
        pa = arrow()
        self.place = os.fspath(place)
        try:
            if "://" in self.place:
                self._files, self._root = pa.fs.FileSystem.from_uri(self.place)
            else:
                self._files, self._root = pa.fs.LocalFileSystem(), os.path.abspath(self.place)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnusableError(f"{self.place}: cannot be opened: {error}") from error
        self.local = isinstance(self._files, pa.fs.LocalFileSystem)

    def names(self) -> list[str]:
        """In the order of their rows."""
        selector = arrow().fs.FileSelector(self._root, allow_not_found=True)
        with self._failing():
            return sorted(
                found.base_name for found in self._files.get_file_info(selector) if _PART.fullmatch(found.base_name)
            )

    @property
    def following(self) -> int:
        """The number of the next part."""
        return max((int(name[5:].partition(".")[0].partition("-")[0]) for name in self.names()), default=0) + 1

    def make(self) -> None:
        with self._failing():
            self._files.create_dir(self._root)

    def write(self, table: pa.Table, name: str) -> None:
        new = f"_{name}.new" if self.local else name  # in a bucket, a file appears when it is closed
        with self._failing(name):
            arrow().parquet.write_table(table, self._at(new), filesystem=self._files, compression="zstd")
            if self.local:
                with open(self._at(new), "rb+") as file:
                    os.fsync(file.fileno())
                self._files.move(self._at(new), self._at(name))

    def rows(self, name: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """As Parquet has them. `columns`: of these, those that are there."""
        with self._failing(name), arrow().parquet.ParquetFile(self._at(name), filesystem=self._files) as file:
            names = columns and [each for each in (*columns, "start") if each in file.schema_arrow.names]
            for batch in file.iter_batches(_BATCH, columns=names):
                yield from batch.to_pylist()

    def records(self, name: str) -> Iterator[list[Stored]]:
        """Of a part, which holds recordings as a whole. Raises UnusableError where it is none of ours."""
        record: list[Stored] = []
        for number, row in enumerate(self.rows(name, _STORED_COLUMNS), 1):
            try:
                stored = Stored.of(row)
            except (KeyError, TypeError) as error:
                raise UnusableError(f"{self.place}/{name}: row {number} is not a row of ours: {error}") from error
            if stored is None:
                continue
            if record and not same_recording(record[-1], stored):
                yield record
                record = []
            record.append(stored)
        if record:
            yield record

    def keep(self, wanted: Callable[[list[Stored]], bool]) -> None:
        """Leave only the recordings that are wanted. Windows stand before their recording's row, and go with it."""
        for name in self.names():
            decided = iter([keep for record in self.records(name) for keep in [wanted(record)] * len(record)])
            rows, kept, windows = 0, [], []
            for row in self.rows(name):
                rows += 1
                windows.append(row)
                if row.get("start") is None:
                    kept += windows if next(decided) else []
                    windows = []
            if not kept:
                with self._failing(name):
                    self._files.delete_file(self._at(name))
            elif len(kept) < rows:
                self.write(arrow().Table.from_pylist(kept, schema=schema(timeline="start" in kept[0])), name)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _failing(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except (arrow().ArrowException, OSError) as error:
            raise UnusableError(f"{self.place}{name and '/'}{name}: cannot be read or written: {error}") from error


def read_rows(place: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The rows of a folder or bucket as JSONL has them, those of a killed job that no part holds yet included."""
    parts = Parts(place)
    for name in parts.names():
        for row in parts.rows(name):
            given = row.pop(GIVEN)
            yield row | {GIVEN: json.loads(given)} if given else row
    for journal in _journals(Path(place)) if parts.local and "://" not in parts.place else []:
        with journal.open("rb") as lines:
            yield from (json.loads(line) for line in lines if line.endswith(b"\n"))


def _journals(folder: Path) -> list[Path]:
    """Those that are no part yet. One that has become a part is what a job left that was killed just then."""
    found = sorted(path for path in folder.iterdir() if _JOURNAL.fullmatch(path.name))
    return [path for path in found if not path.with_name(_part_of(path)).exists()]


def _part_of(journal: Path) -> str:
    return journal.name.removeprefix("_").replace(".jsonl", ".parquet")


class RowParts(RowStore):
    """Parts that others write, in a folder or a bucket: what is there, and what is to be taken out. A bucket has no
    lock."""

    def __init__(self, place: str, *, resume: bool, retry_errors: bool = False) -> None:
        self.parts = Parts(place)
        super().__init__(place, resume=resume, retry_errors=retry_errors)

    def _open(self) -> None:
        self.parts.make()

    def _is_empty(self) -> bool:
        return not self.parts.names()

    def _begin(self) -> None:
        """A folder has no head."""

    def _read_back(self) -> Iterator[list[Stored]]:
        for name in self.parts.names():
            yield from self.parts.records(name)

    def _keep(self, wanted: Callable[[list[Stored]], bool]) -> None:
        self.parts.keep(wanted)

    def stored_name(self, file: str) -> str:
        return escaped(file)

    def close(self) -> None:
        """Nothing is held."""


class RowFolder(RowParts):
    """A folder of part files, and the journal of the next; see above. `part_rows`: how long a journal becomes."""

    def __init__(
        self,
        path: str,
        *,
        resume: bool,
        retry_errors: bool = False,
        timeline: bool = False,
        part_rows: int = PART_ROWS,
    ) -> None:
        if "://" in path:
            raise UnusableError(f"{path}: an address: choose a folder (sqe_fast.jobs.ray_data writes to buckets)")
        self._folder = Path(path)
        self._timeline = timeline
        self._part_rows = part_rows
        self._format = format_of("jsonl", timeline=timeline)
        self._journal: LineFile | None = None
        self._rows = 0
        """In the journal."""
        super().__init__(path, resume=resume, retry_errors=retry_errors)

    def _open(self) -> None:
        try:
            self._folder.mkdir(exist_ok=True)
            strange = next((path.name for path in self._folder.iterdir() if not _is_ours(path.name)), None)
        except OSError as error:
            what = "is a file: rows in Parquet are a folder" if self._folder.is_file() else f"{error.strerror}"
            raise UnusableError(f"{self.path}: cannot be written: {what}") from error
        if strange is not None:
            raise UnusableError(f"{self.path}: holds {strange}, which is none of our part files: choose another folder")
        self._lock = LineFile(str(self._folder / LOCK))
        for left in (path for path in self._folder.iterdir() if path.name.endswith(".new")):
            left.unlink()
        waiting = set(_journals(self._folder))
        for path in [path for path in self._folder.iterdir() if _JOURNAL.fullmatch(path.name)]:
            if path not in waiting:
                path.unlink()

    def _is_empty(self) -> bool:
        return super()._is_empty() and not any(path.stat().st_size for path in _journals(self._folder))

    def _read_back(self) -> Iterator[list[Stored]]:
        yield from super()._read_back()
        for journal in _journals(self._folder):
            with LineFile(str(journal)) as lines:
                yield from lines.read_back(self._format.layout)
            self._commit(journal)

    def _keep(self, wanted: Callable[[list[Stored]], bool]) -> None:
        self._end_journal()
        super()._keep(wanted)

    def write(self, evaluations: Sequence[Evaluation], origin: Origin) -> None:
        if self._journal is None:
            self._journal = LineFile(str(self._folder / f"_part-{self.parts.following:06}.jsonl"))
        rows = list(rows_of(evaluations, origin, timeline=self._timeline))
        self._journal.append(b"".join(map(jsonl_line, rows)))
        self._rows += len(rows)
        if self._rows >= self._part_rows:
            self._end_journal()

    def _end_journal(self) -> None:
        if self._journal is not None:
            path = Path(self._journal.path)
            self._journal.close()
            self._journal, self._rows = None, 0
            self._commit(path)

    def _commit(self, journal: Path) -> None:
        try:
            if journal.stat().st_size:
                with journal.open("rb") as lines:
                    tables = []
                    while rows := [json.loads(line) for line in islice(lines, _BATCH)]:
                        tables.append(table_of(rows))
                self.parts.write(arrow().concat_tables(tables), _part_of(journal))
            journal.unlink()
        except OSError as error:
            raise UnusableError(f"{journal}: cannot become a part: {error.strerror}; its rows are complete") from error

    def close(self) -> None:
        try:
            self._end_journal()
        finally:
            self._lock.close()


def _is_ours(name: str) -> bool:
    return _PART.fullmatch(name) is not None or name.startswith(("_", "."))
