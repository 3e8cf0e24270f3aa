"""Rows that a job has written, read back one at a time, whatever their number: JSONL and CSV."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqe_fast.jobs.lists import InputError
from sqe_fast.jobs.rows import GIVEN
from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS

_STRETCH = re.compile(r"([0-9.]+)-([0-9.]+) (\w+)")


@dataclass(frozen=True)
class NoRow:
    """A line that is no row. `line` counts from 1."""

    line: int
    message: str


def read_rows(path: Path) -> Iterator[dict[str, Any] | NoRow]:
    """Rows as `Evaluation.to_row` and `to_rows` give them, with what a list said of the recording under "given"; what
    an older row or a CSV does not tell (a cause's dimension) is empty. A line that is no row costs none but itself.

    Raises InputError where the file cannot be read.
    """
    try:
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
        try:
            if not line.endswith(b"\n"):
                raise ValueError("torn: a job is still writing it, or was killed")
            yield _checked(parse(line))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            yield NoRow(number, f"no {error}" if isinstance(error, KeyError) else str(error))


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
        return _unflattened(dict(zip(columns, values, strict=True)))

    return parse


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _unflattened(flat: Mapping[str, str]) -> Mapping[str, Any]:
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
    error = row.get("error")
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
