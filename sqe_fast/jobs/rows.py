"""Rows on disk or in a pipe: JSONL and CSV, one line a row, whole lines only; and what an earlier job left behind.

A recording has one row, or one for each of its channels that is heard by itself; with a timeline, one for each window
before each of them. So a job that is resumed can tell whether all of a row's windows are there; whether all of the last
recording's channels are, it cannot, and does it again.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, NamedTuple, Protocol

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.lines import Layout, LineFile, json_object
from sqe_fast.results import Evaluation

COLUMNS = tuple(Evaluation("").to_row())
TIMELINE_COLUMNS = tuple(Evaluation("").to_rows()[-1])

Row = Mapping[str, Any]
"""As `Evaluation.to_row` and `to_rows` give it."""
Given = Mapping[str, Any]
"""What a list says of a recording beside its name."""
GIVEN = "given"
"""The key of it in a JSONL row; in CSV, columns named "given.…"."""


class RowWriter(Protocol):
    def write(self, evaluations: Sequence[Evaluation], given: Given) -> None:
        """All of one recording. Raises UnusableError where they cannot be written."""


class Stored(NamedTuple):
    """What of a row in a file a resumed job must know."""

    file: str
    channel: int | None
    failed: bool
    model: str
    rated: bool
    described: bool
    timeline: bool
    """It closes the rows of the recording's windows."""


@dataclass
class Done:
    """The recordings that an output already holds. Holds the files' names, and nothing else of the rows."""

    files: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    models: set[str] = field(default_factory=set)
    described: set[bool] = field(default_factory=set)
    """Whether rows with ratings have a description."""
    timelines: set[bool] = field(default_factory=set)
    """Whether rows close a timeline."""

    def add(self, record: list[Stored]) -> None:
        """The rows of one recording."""
        self.files[record[0].file] += 1
        self.failed += any(row.failed for row in record)
        for row in record:
            self.models |= {row.model} - {""}
            self.timelines.add(row.timeline)
            if row.rated and not row.failed:
                self.described.add(row.described)

    def take(self, file: str) -> bool:
        """Is there a recording of this file that no earlier `take` has used up?"""
        if not self.files.get(file):
            return False
        self.files[file] -= 1
        return True


def jsonl_line(row: Row, given: Given) -> bytes:
    whole = {**row, GIVEN: dict(given)} if given else row
    try:
        return json.dumps(whole, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is not UTF-8: escaped, it reads back as the same name
        return json.dumps(whole).encode() + b"\n"


def csv_line(row: Row, given: Given, names: Sequence[str] = ()) -> bytes:
    """Causes ("hum=0.970"), flags and stretches without speech ("30.300-150.000 sound") are joined by ";", an error is
    "code: message", line breaks are written as \\n: a row is one line. What a list says of `names` follows."""
    error = row["error"]
    flat = {
        **row,
        "causes": ";".join(f"{cause['name']}={cause['probability']:.3f}" for cause in row["causes"]),
        "flags": ";".join(row["flags"]),
        "no_speech": ";".join(f"{each['start']:.3f}-{each['end']:.3f} {each['kind']}" for each in row["no_speech"]),
        "error": f"{error['code']}: {error['message']}" if error else None,
    }
    return _csv_bytes([_flat(value) for value in (*flat.values(), *(given.get(name) for name in names))])


def csv_header(columns: Sequence[str], given: Sequence[str] = ()) -> bytes:
    """`given` names what the lists of a job say of its recordings."""
    return _csv_bytes([*columns, *(f"{GIVEN}.{name}" for name in given)])


def _csv_bytes(values: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _flat(value: Any) -> Any:
    return value.replace("\r", "\\r").replace("\n", "\\n") if isinstance(value, str) else value


@dataclass(frozen=True)
class Format:
    """How rows become lines, and what of a line a resumed job must know."""

    line: Callable[[Row, Given], bytes]
    layout: Layout[Stored]
    key: Callable[[str], str]
    """A file's name as a stored row has it."""
    timeline: bool

    def lines(self, evaluations: Sequence[Evaluation], given: Given) -> bytes:
        rows = (row for each in evaluations for row in (each.to_rows() if self.timeline else [each.to_row()]))
        return b"".join(self.line(row, given) for row in rows)


def _same_recording(row: Stored, following: Stored | None) -> bool:
    """The channels of a recording stand in their order; behind the last one more may have been torn off."""
    if row.channel is None or following is None:
        return row.channel is not None
    return row.file == following.file and following.channel is not None and following.channel > row.channel


def _parse_jsonl(line: bytes) -> Stored | None:
    row = json_object(line)
    if row.get("start") is not None:
        return None
    rated, described = row["mos"] is not None, row["description"] is not None
    return Stored(row["file"], row["channel"], row["error"] is not None, row["model"], rated, described, "start" in row)


def _parse_csv(line: bytes, columns: Sequence[str]) -> Stored | None:
    try:
        [values] = csv.reader([line.decode("utf-8", "surrogateescape")])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    row = dict(zip(columns, values, strict=True))
    if row.get("start"):
        return None
    rated, described = bool(row["mos"]), bool(row["description"])
    channel = int(row["channel"]) if row["channel"] else None
    return Stored(row["file"], channel, bool(row["error"]), row["model"], rated, described, "start" in row)


def format_of(name: str, given: Sequence[str] = (), *, timeline: bool = False) -> Format:
    """ "jsonl" or "csv"; `given` names what the lists of a job say of its recordings, which in CSV are columns."""
    if name == "jsonl":
        return Format(jsonl_line, Layout(_parse_jsonl, joined=_same_recording), str, timeline)
    own = TIMELINE_COLUMNS if timeline else COLUMNS
    columns = (*own, *(f"{GIVEN}.{each}" for each in given))
    return Format(
        partial(csv_line, names=tuple(given)),
        Layout(partial(_parse_csv, columns=columns), csv_header(own, given), _same_recording),
        _flat,
        timeline,
    )


class PipeRows:
    """Rows to an open binary stream, such as standard output; flushed recording by recording."""

    def __init__(
        self, stream: BinaryIO, format_name: str, given: Sequence[str] = (), *, timeline: bool = False
    ) -> None:
        self._stream = stream
        self._format = format_of(format_name, given, timeline=timeline)
        self._put(self._format.layout.header)

    def write(self, evaluations: Sequence[Evaluation], given: Given) -> None:
        self._put(self._format.lines(evaluations, given))

    def _put(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise UnusableError(f"cannot write to standard output: {error.strerror}") from error


class RowFile:
    """Rows to a file that this job alone writes, those of a recording in one write at its end. A context manager.

    With `resume` the rows that are there stay, what may be torn at the end is cut off, and `done` tells them; with
    `retry_errors` recordings that have an error are taken out.
    Raises UnusableError: not writable, in use by another job, not empty without `resume`, or not rows of this format.
    """

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
        self.path = path
        self.format = format_of(format_name, given, timeline=timeline)
        self.done = Done()
        self._lines = LineFile(path)
        try:
            self._claim(resume)
            if retry_errors:
                self._drop_errors()
        except BaseException:
            self._lines.close()
            raise

    def _claim(self, resume: bool) -> None:
        if resume and not self._lines.regular:
            raise UnusableError(f"{self.path}: not a regular file, so nothing can be resumed from it")
        if not self._lines.empty and not resume:
            raise UnusableError(f"{self.path}: is not empty: continue it with --resume, or choose another file")
        if not self._lines.empty:
            for record in self._lines.read_back(self.format.layout):
                self.done.add(record)
        if self._lines.empty:
            self._lines.append(self.format.layout.header)

    def _drop_errors(self) -> None:
        if not self.done.failed:
            return
        self.done = Done()
        self._lines.keep(self.format.layout, self._is_kept)

    def _is_kept(self, record: list[Stored]) -> bool:
        failed = any(row.failed for row in record)
        if not failed:
            self.done.add(record)
        return not failed

    def write(self, evaluations: Sequence[Evaluation], given: Given) -> None:
        self._lines.append(self.format.lines(evaluations, given))

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
