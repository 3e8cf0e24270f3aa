"""What a row is, and how it becomes a line of JSONL or CSV; what of a row on disk a resumed job must know.

A recording has one row, or one for each of its channels that is heard by itself; with a timeline, one for each window
before each of them. So a job that is resumed can tell whether all of a row's windows are there; whether all of the last
recording's channels are, it cannot, and does it again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from sqe_fast.jobs.lines import Layout, json_object
from sqe_fast.results import RATINGS, Evaluation

Row = Mapping[str, Any]
"""As `rows_of` gives it: what JSON can say."""
Given = Mapping[str, Any]
"""What a list says of a recording beside its name."""
GIVEN = "given"
"""The key of it in a JSONL row; in CSV, columns named "given.…"; in Parquet a column of JSON."""
_STRETCH = re.compile(r"([0-9.]+)-([0-9.]+) (\w+)")
HASHED = "sha256:"
"""How the fingerprint of bytes begins."""


@dataclass(frozen=True)
class Origin:
    """Where the rows of a recording come from: with the file's name and the model, what tells them from others."""

    given: Given = field(default_factory=dict)
    excerpt: str | None = None
    """"3.5+2.0": seconds where a part begins, and of its length; "3.5+": to the end."""
    fingerprint: str | None = None
    """"183422:1764501234123456789", the size in bytes and the time of the last change in nanoseconds of a file;
    "sha256:…" of bytes that came in an archive or a table; None for what has neither, as a pipe."""
    options: str = ""
    """What was asked for, as far as it changes results: "describe=yes channels=auto"."""


def start_of(excerpt: str | None) -> float:
    """Seconds into its file at which a recording starts. Raises ValueError for what is no excerpt."""
    if excerpt is None:
        return 0.0
    start, plus, length = excerpt.partition("+")
    try:
        seconds, reach = float(start), float(length or 1.0)
    except ValueError:
        seconds = reach = math.nan
    if not (plus and 0 <= seconds < math.inf and 0 < reach < math.inf):
        raise ValueError(f"excerpt {excerpt!r} is no start and length, as 3.5+2.0")
    return seconds


_OF_ORIGIN = ("excerpt", "fingerprint", "options")
COLUMNS = (*Evaluation("").to_row(), *_OF_ORIGIN)
TIMELINE_COLUMNS = (*Evaluation("").to_rows()[-1], *_OF_ORIGIN)


def rows_of(evaluations: Sequence[Evaluation], origin: Origin, *, timeline: bool = False) -> Iterator[Row]:
    """All rows of a recording, in order."""
    of_origin = {name: getattr(origin, name) for name in _OF_ORIGIN}
    if origin.given:
        of_origin[GIVEN] = dict(origin.given)
    for evaluation in evaluations:
        for row in evaluation.to_rows() if timeline else [evaluation.to_row()]:
            yield row | of_origin


class Stored(NamedTuple):
    """What of a recording's or a channel's own row must be known: to resume, and to sum a job up."""

    file: str
    channel: int | None
    excerpt: str | None
    fingerprint: str | None
    options: str
    model: str
    timeline: bool
    """It closes the rows of the recording's windows."""
    error: str | None
    """Its code."""
    flags: tuple[str, ...]
    ratings: tuple[float, ...]
    """In the order of RATINGS; () where there are none."""
    duration: float | None
    no_speech: tuple[tuple[str, float], ...]
    """Kind and seconds of what was passed over."""

    @classmethod
    def of(cls, row: Row) -> Stored | None:
        """None for a window's row. Raises KeyError or TypeError for what is no row."""
        if row.get("start") is not None:
            return None
        return cls(
            row["file"],
            row["channel"],
            row["excerpt"],
            row["fingerprint"],
            row["options"] or "",
            row["model"],
            "start" in row,
            row["error"]["code"] if row["error"] else None,
            tuple(row["flags"]),
            tuple(row[name] for name in RATINGS) if row["mos"] is not None else (),
            row["duration"],
            tuple((each["kind"], each["end"] - each["start"]) for each in row["no_speech"]),
        )


def same_recording(row: Stored, following: Stored | None) -> bool:
    """The channels of a recording stand in their order; behind the last one more may have been torn off."""
    if row.channel is None or following is None:
        return row.channel is not None
    same = (row.file, row.excerpt) == (following.file, following.excerpt)
    return same and following.channel is not None and following.channel > row.channel


def jsonl_line(row: Row) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is not UTF-8: escaped, it reads back as the same name
        return json.dumps(row).encode() + b"\n"


def csv_line(row: Row, names: Sequence[str] = ()) -> bytes:
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
    given = flat.pop(GIVEN, {})
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

    line: Callable[[Row], bytes]
    layout: Layout[Stored]
    key: Callable[[str], str]
    """A file's name as a stored row has it."""
    timeline: bool

    def lines(self, rows: Sequence[Row]) -> bytes:
        return b"".join(map(self.line, rows))


def format_of(name: str, given: Sequence[str] = (), *, timeline: bool = False) -> Format:
    """ "jsonl" or "csv"; `given` names what the lists of a job say of its recordings, which in CSV are columns."""
    if name == "jsonl":
        return Format(jsonl_line, Layout(_parse_jsonl, joined=same_recording), str, timeline)
    own = TIMELINE_COLUMNS if timeline else COLUMNS
    columns = (*own, *(f"{GIVEN}.{each}" for each in given))
    return Format(
        partial(csv_line, names=tuple(given)),
        Layout(partial(_parse_csv, columns=columns), csv_header(own, given), same_recording),
        _flat,
        timeline,
    )


def _parse_jsonl(line: bytes) -> Stored | None:
    try:
        return Stored.of(json_object(line))
    except TypeError as error:
        raise ValueError(str(error)) from error


def _parse_csv(line: bytes, columns: Sequence[str]) -> Stored | None:
    try:
        [values] = csv.reader([line.decode("utf-8", "surrogateescape")])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    row = dict(zip(columns, values, strict=True))
    return Stored.of(csv_row(row))


def csv_row(flat: Mapping[str, str]) -> Mapping[str, Any]:
    """The cells of a row as `csv_line` fills them → the row."""
    given = {name.removeprefix(f"{GIVEN}."): text for name, text in flat.items() if name.startswith(f"{GIVEN}.")}
    row: dict[str, Any] = {name: text or None for name, text in flat.items() if not name.startswith(f"{GIVEN}.")}
    for name in (*RATINGS, "mos_std", "duration", "start", "end"):
        if row.get(name) is not None:
            row[name] = float(row[name])
    row["file"] = flat["file"]
    row["channel"] = int(row["channel"]) if row.get("channel") is not None else None
    row["causes"] = [_cause(text) for text in _parts(flat, "causes")]
    row["flags"] = _parts(flat, "flags")
    row["no_speech"] = [_stretch(text) for text in _parts(flat, "no_speech")]
    if row.get("error") is not None:
        code, _, message = row["error"].partition(": ")
        row["error"] = {"code": code, "message": message}
    return row | ({GIVEN: given} if given else {})


def _parts(flat: Mapping[str, str], name: str) -> list[str]:
    return [part for part in flat.get(name, "").split(";") if part]


def _cause(text: str) -> dict[str, Any]:
    name, _, probability = text.rpartition("=")
    return {"name": name, "dimension": "", "probability": float(probability)}


def _stretch(text: str) -> dict[str, Any]:
    match = _STRETCH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no stretch without speech")
    return {"start": float(match[1]), "end": float(match[2]), "kind": match[3]}
