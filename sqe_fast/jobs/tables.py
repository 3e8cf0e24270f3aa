"""Lists in Parquet and Arrow, which name recordings or hold them, as Hugging Face's `datasets` keeps them. Read row by
row: nothing is held but a batch of rows that name files, or one row that holds its recording."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqe_fast.errors import ErrorCode
from sqe_fast.jobs.contents import fingerprint
from sqe_fast.jobs.lists import NAME_COLUMNS, NEMO, Entry, InputError, Named, Wrong, file_name, local, part_of
from sqe_fast.jobs.parquet import arrow

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".arrow", ".feather")
_BATCH, _HEAVY_BATCH = 256, 4
"""Rows that are read at once: of names, and of sound."""
_SHORT = len("sha256:") + 12
_BUFFER = 1 << 20
"""Bytes that are read ahead of each column."""
_ARROW_FILE = b"ARROW1"


def entries(path: str, column: str | None, *, read: bool) -> Iterator[Entry]:
    """The recordings of a table, in its order; without `read`, only their names and what is said of them. A table that
    is damaged gives an entry that says so. Raises InputError where no column has recordings, UnusableError without
    pyarrow, and OSError where the file cannot be opened."""
    arrow_ = arrow()
    with open(path, "rb"):
        pass
    number = 0
    try:
        for sound, batch in _batches(path, column, read=read):
            step = 1 if _is_heavy(batch.schema.field(sound).type) else _BATCH
            for start in range(0, len(batch), step):
                for row in batch.slice(start, step).to_pylist():
                    number += 1
                    value = row.pop(sound)
                    given = {name: _plain(each) for name, each in row.items()}
                    yield _entry(os.path.basename(path), number, sound, value, given, read=read)
    except (arrow_.ArrowException, OSError) as error:
        yield Wrong(None, ErrorCode.UNREADABLE, f"the table is damaged: what follows is lost ({error})")


def entries_of(table: pa.Table, column: str | None) -> Iterator[Entry]:
    """The recordings of a table in memory: a column as in a file, or `bytes` beside their `path`. What has no name is
    called by its fingerprint. Raises InputError where no column has recordings."""
    types, names = arrow().types, table.schema.names
    pair = column is None and "bytes" in names and types.is_struct(table.schema.field("bytes").type) is False
    sound, carried = ("bytes", [*names]) if pair else _columns("the table", table.schema, column)
    for number in range(len(table)):
        [row] = table.slice(number, 1).select(list(dict.fromkeys([sound, *carried]))).to_pylist()
        value = row.pop(sound)
        if pair:
            value = {"bytes": value, "path": row.pop("path", None)}
        given = {name: _plain(each) for name, each in row.items() if not isinstance(each, bytes)}
        yield _entry("", number + 1, sound, value, given, read=True)


def _batches(path: str, column: str | None, *, read: bool) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The name of the column of recordings, and rows of it and of what is carried. Without `read`, sound stays where it
    is."""
    pa = arrow()
    if path.lower().endswith(".parquet"):
        with pa.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            sound, carried = _columns(path, file.schema_arrow, column)
            kind = file.schema_arrow.field(sound).type
            wanted = (
                f"{sound}.path"
                if not read and pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
                else sound
            )
            size = _HEAVY_BATCH if wanted == sound and _is_heavy(kind) else _BATCH
            for batch in file.iter_batches(size, columns=[wanted, *carried]):
                yield sound, batch
        return
    with pa.memory_map(path) as mapped:
        whole = mapped.read(len(_ARROW_FILE)) == _ARROW_FILE
        mapped.seek(0)
        reader = pa.ipc.open_file(mapped) if whole else pa.ipc.open_stream(mapped)
        sound, carried = _columns(path, reader.schema, column)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if whole else iter(reader)
        for batch in batches:
            yield sound, batch.select([sound, *carried])


def _columns(path: str, schema: pa.Schema, column: str | None) -> tuple[str, list[str]]:
    """That of recordings, and those that are carried to the rows."""
    sound = _sound_column(path, schema, column)
    return sound, [field.name for field in schema if field.name != sound and _is_carried(field.type)]


def _is_heavy(kind: pa.DataType) -> bool:
    """Its values may hold recordings."""
    types = arrow().types
    return not (types.is_string(kind) or types.is_large_string(kind))


def _sound_column(path: str, schema: pa.Schema, column: str | None) -> str:
    """The column that was asked for; else one that holds sound; else one that names files."""
    names = list(schema.names)
    if column is not None:
        if column not in names:
            raise InputError(f"{path}: no column {column!r}: it has {', '.join(names)}")
        return column
    declared = _features(schema)
    holding = [name for name in names if _holds_sound(schema.field(name).type) and name not in declared]
    lower = {name.lower(): name for name in reversed(names)}
    named = [lower[name] for name in NAME_COLUMNS if name in lower]
    audio = [name for name in names if declared.get(name) == "Audio"]
    found = [*audio, *(name for name in named if name in holding), *holding, *named]
    if not found:
        raise InputError(f"{path}: no column of recordings among {', '.join(names)}: name one with --column")
    return str(found[0])


def _features(schema: pa.Schema) -> dict[str, str]:
    """What `datasets` says of its columns: "Audio", "Image", "Value"."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: str(feature["_type"]) for name, feature in told.items() if feature.get("_type") != "Value"}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _holds_sound(kind: pa.DataType) -> bool:
    if not arrow().types.is_struct(kind):
        return False
    names = {kind.field(index).name for index in range(kind.num_fields)}
    return "bytes" in names or {"array", "sampling_rate"} <= names


def _is_carried(kind: pa.DataType) -> bool:
    """Bytes, as pictures are, are not carried to rows."""
    types = arrow().types
    binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return not binary and not _holds_sound(kind)


def _entry(base: str, number: int, column: str, value: Any, given: Mapping[str, Any], *, read: bool) -> Entry:
    if isinstance(value, str) and value:
        part = part_of(given) if column == NEMO else None
        if isinstance(part, str):
            return Wrong(number, ErrorCode.BAD_INPUT, part)
        return _named(number, value, given, part)
    held = {"bytes": value} if isinstance(value, bytes) else value
    if isinstance(held, Mapping):
        path = held.get("path")
        data, array, rate = held.get("bytes"), held.get("array"), held.get("sampling_rate")
        name = _called(base, number, path, data)
        if data:
            return (
                Named(name, given or None, content=data, fingerprint=fingerprint(data)) if read else Named(name, given)
            )
        if array is not None and rate is not None:
            import numpy as np

            samples = np.asarray(array, np.float32)
            content = {"array": samples, "sampling_rate": rate}
            return Named(name, given or None, content=content, fingerprint=fingerprint(samples.tobytes()))
        if isinstance(path, str) and path:
            return _named(number, path, given, None)
    return Wrong(number, ErrorCode.BAD_INPUT, f"no recording in {column!r} of this row: {type(value).__name__}")


def _called(base: str, number: int, path: Any, data: Any) -> str:
    """By its name within the table, and without one by its place; by its content where the table has no name."""
    if isinstance(path, str) and path:
        return f"{base}/{file_name(path).lstrip('/')}" if base else file_name(path)
    return f"{base}:{number}" if base or not data else fingerprint(data)[:_SHORT]


def _named(number: int, name: str, given: Mapping[str, Any], part: Any) -> Entry:
    found = local(number, name, given or None)
    return Named(found.name, found.given, part) if isinstance(found, Named) else found


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | bool | int) else str(value)
