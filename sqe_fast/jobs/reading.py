"""Rows that a job has written, read back one at a time, whatever their number: JSONL, CSV and Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from sqe_fast.jobs import parquet
from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.rows import GIVEN, csv_row, start_of
from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS

Line = TypeVar("Line")


@dataclass(frozen=True)
class NoRow:
    """A line, or row of a table, that is no row of ours. `line` counts from 1."""

    line: int
    message: str


def read_rows(path: Path) -> Iterator[dict[str, Any] | NoRow]:
    """Rows as `Evaluation.to_row` and `to_rows` give them, with what a list said of the recording under "given"; what
    an older row or a CSV does not tell (a cause's dimension) is empty. A line that is no row costs none but itself.

    Raises InputError where the file cannot be read, UnusableError where a folder is not one of ours.
    """
    try:
        if path.is_dir():
            for number, row in enumerate(parquet.read_rows(path), 1):
                yield _read(number, dict, row)
            return
        with path.open("rb") as file:
            yield from _lines(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[dict[str, Any] | NoRow]:
    parse: Callable[[bytes], Mapping[str, Any]] = _of_json
    for number, line in enumerate(file, 1):
        if number == 1 and line.startswith(b"file,"):
            parse = _of_csv(line)
            continue
        if not line.strip():
            continue
        yield _read(number, parse if line.endswith(b"\n") else _torn, line)


def _torn(_: bytes) -> Mapping[str, Any]:
    raise ValueError("torn: a job is still writing it, or was killed")


def _read(number: int, parse: Callable[[Line], Mapping[str, Any]], line: Line) -> dict[str, Any] | NoRow:
    try:
        return _checked(parse(line))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        return NoRow(number, f"no {error}" if isinstance(error, KeyError) else str(error))


def _of_json(line: bytes) -> Mapping[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("not an object")
    return row


def _of_csv(header: bytes) -> Callable[[bytes], Mapping[str, Any]]:
    [columns] = csv.reader([_text(header)])

    def parse(line: bytes) -> Mapping[str, Any]:
        try:
            [values] = csv.reader([_text(line)])
        except csv.Error as error:
            raise ValueError(str(error)) from error
        return csv_row(dict(zip(columns, values, strict=True)))

    return parse


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _checked(row: Mapping[str, Any]) -> dict[str, Any]:
    """With all that a row has, in the types that it has. Raises ValueError, KeyError or TypeError."""
    if not isinstance(row["file"], str):
        raise ValueError("file is no text")
    ratings = {name: _number(row, name, RATING_MIN, RATING_MAX) for name in RATINGS}
    if len({value is None for value in ratings.values()}) > 1:
        raise ValueError("some ratings are there and others are not")
    channel = row.get("channel")
    if channel is not None and (type(channel) is not int or channel < 0):
        raise ValueError("channel is no number of one")
    error, excerpt = row.get("error"), _string(row, "excerpt")
    start_of(excerpt)
    spans = {name: _number(row, name) for name in ("start", "end") if name in row}
    return {
        "file": row["file"],
        "channel": channel,
        **spans,
        **ratings,
        "mos_std": _number(row, "mos_std", 0.0),
        "causes": [
            {
                "name": str(cause["name"]),
                "dimension": str(cause.get("dimension") or ""),
                "probability": _number(cause, "probability", 0.0, 1.0) or 0.0,
            }
            for cause in row.get("causes") or []
        ],
        "description": _string(row, "description"),
        "flags": [str(flag) for flag in row.get("flags") or []],
        "no_speech": [
            {"start": _number(each, "start"), "end": _number(each, "end"), "kind": str(each["kind"])}
            for each in row.get("no_speech") or []
        ],
        "duration": _number(row, "duration", 0.0),
        "model": _string(row, "model") or "",
        "error": None if error is None else {"code": str(error["code"]), "message": str(error["message"])},
        "excerpt": excerpt,
        GIVEN: dict(row.get(GIVEN) or {}),
    }


def _number(row: Mapping[str, Any], name: str, least: float = -math.inf, most: float = math.inf) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is no number")
    if not least <= value <= most:
        raise ValueError(f"{name} is {value:g}, and {least:g} to {most:g} were expected")
    return float(value)


def _string(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
