"""What `sqe score` was given → the recordings to score, lazily: files, folders, lists, archives, tables and `-`."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs import archives, lists, tables
from sqe_fast.jobs.contents import Content
from sqe_fast.jobs.lists import Entry, InputError, Part, Wrong, file_name, lines_of
from sqe_fast.jobs.parquet import LOCK
from sqe_fast.jobs.suffixes import AUDIO_SUFFIXES, names_sound, refused
from sqe_fast.results import Evaluation

if TYPE_CHECKING:
    import pyarrow as pa

STDIN = "-"
SHARD_SUFFIXES = (*archives.SUFFIXES, *tables.SUFFIXES)
_STATE = "state.json"
"""Of a dataset that `datasets` saved to disk."""
_HEAD = 4_096
"""Bytes that tell sound from names, and from other files."""


@dataclass(frozen=True)
class Listed:
    """A file to score, with what its list says of it beside; or standard input itself, which is a recording."""

    file: str
    """As its row names it."""
    given: Mapping[str, Any] | None = None
    content: Content | None = None
    """What is scored, where it is not the file of that name."""
    part: Part | None = None
    """Only so much of it is scored."""
    fingerprint: str | None = None
    """Of bytes: what tells them from others of that name."""


Item = str | Listed | Evaluation
"""A file to score; or, where there is none, the error row that stands in its place."""


def file_of(item: Item) -> str:
    """As its row names it."""
    return item if isinstance(item, str) else item.file


@dataclass(frozen=True)
class Look:
    """How inputs are looked at."""

    column: str | None = None
    """Of a list or table, that names the recordings, or holds them."""
    raw: bool = False
    """Files without a header are PCM; standard input is a recording."""
    read: bool = True
    """What archives and tables hold is read; else only what it is called, and what is said of it."""


PLAINLY = Look()


def expand(inputs: Iterable[str], stdin: BinaryIO, look: Look = PLAINLY) -> Iterator[Item]:
    """The items of all inputs, in order. Nothing is held: folders are walked and lists read as items are taken.

    A folder gives its sound files, recursively, sorted by name, and an error row for each that cannot be scored; one
    without any, what its archives and tables hold. A list is what `lists`, `archives` and `tables` read; its relative
    paths start at its own folder. `-` is a recording on `stdin`, or else a list of names there; with `raw`, always the
    former. Raises InputError for what makes no sense as a whole.
    """
    for name in inputs:
        if name == STDIN:
            yield from _standard_input(stdin, look.raw)
        elif os.path.isdir(name):
            yield from _folder(name, look)
        elif _is_list(name):
            yield from _list(name, look)
        else:
            yield name


def check(inputs: Iterable[str], column: str | None = None) -> None:
    """Raise InputError early, for what can be known before anything is scored."""
    for name in inputs:
        if name != STDIN and (os.path.isdir(name) or _is_list(name)):
            next(expand([name], io.BytesIO(), Look(column, read=False)), None)


def given_names(inputs: Iterable[str], column: str | None = None) -> tuple[str, ...]:
    """What the lists among the inputs say beside the files' names: each key once, in order. Reads them through."""
    names: dict[str, None] = {}
    for name in inputs:
        if name != STDIN:
            for item in expand([name], io.BytesIO(), Look(column, read=False)):
                names |= dict.fromkeys(item.given or () if isinstance(item, Listed) else ())
    return tuple(names)


def _is_list(path: str) -> bool:
    return lists.reader_of(path) is not None or _is_shard(path)


def _is_shard(path: str) -> bool:
    """An archive or a table."""
    return path.lower().endswith(SHARD_SUFFIXES)


def _standard_input(stdin: BinaryIO, raw: bool) -> Iterator[Item]:
    if raw or _is_sound(_head_of(stdin)):
        yield Listed(STDIN, content=stdin)
        return
    found = False
    for line in lines_of(stdin):
        if line:
            found = True
            yield file_name(line)
    if not found:
        raise InputError("standard input: neither sound nor names of files came")


def _head_of(stdin: BinaryIO) -> bytes:
    """The first bytes, which stay there to be read."""
    if isinstance(stdin, io.BufferedReader):
        return stdin.peek(_HEAD)[:_HEAD]
    start = stdin.tell()
    head = stdin.read(_HEAD)
    stdin.seek(start)
    return head


def _is_sound(head: bytes) -> bool:
    """Or at least no list: no name holds a zero byte."""
    from sqe_fast.audio.formats.mpeg import frame_of
    from sqe_fast.audio.formats.names import recognised

    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    return not utf16 and (b"\0" in head or frame_of(head[:4]) is not None or recognised(io.BytesIO(head)) is not None)


def _folder(folder: str, look: Look) -> Iterator[Item]:
    found = heard = False
    refusals: list[OSError] = []
    shards: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=refusals.append):
        folders.sort()
        passed = [*(_unreadable(error) for error in refusals), *_linked(parent, folders)]
        refusals.clear()
        shards += _shards(parent, sorted(names))
        for item in (*passed, *_of_folder(parent, sorted(names), look.raw)):
            found, heard = True, heard or not isinstance(item, Evaluation)
            yield item
    for error in refusals:
        found = True
        yield _unreadable(error)
    if not heard:
        for shard in shards:
            for item in _list(shard, look):
                found = True
                yield item
    if not found:
        raise InputError(f"{folder}: no sound files in this folder (looked for {' '.join(sorted(AUDIO_SUFFIXES))})")


def _shards(parent: str, names: list[str]) -> Iterator[str]:
    """The archives and tables of a folder, but not our own rows. `datasets` names those that it saved; it keeps others
    of its own beside them."""
    if LOCK in names:
        return
    saved = _saved(os.path.join(parent, _STATE)) if _STATE in names else None
    for name in names if saved is None else saved:
        if _is_shard(name) and not name.startswith((".", "_", "cache-")):
            yield os.path.join(parent, name)


def _saved(state: str) -> list[str] | None:
    try:
        with open(state, "rb") as file:
            return [str(each["filename"]) for each in json.load(file)["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_folder(parent: str, names: list[str], raw: bool) -> Iterator[Item]:
    """What of a folder's files is sound, or looks like it."""
    for name in names:
        path = os.path.join(parent, name)
        known = names_sound(name)
        if why := refused(name, raw=raw):
            yield _error(path, ErrorCode.UNSUPPORTED_FORMAT, why)
        elif known and _is_special(path):
            yield _error(path, ErrorCode.UNREADABLE, "a pipe or device in a folder is not read: pass it by itself")
        elif known or (not _is_list(name) and _holds_sound(path)):
            yield path


def _linked(parent: str, folders: list[str]) -> Iterator[Item]:
    for name in folders:
        if os.path.islink(path := os.path.join(parent, name)):
            yield _error(path, ErrorCode.BAD_INPUT, "a link to a folder is not followed: pass the folder itself")


def _unreadable(error: OSError) -> Evaluation:
    return _error(str(error.filename), ErrorCode.UNREADABLE, f"the folder cannot be read ({error.strerror})")


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:  # its row will say
        return False
    return not stat.S_ISREG(mode)


def _holds_sound(path: str) -> bool:
    """A file whose name says nothing of sound begins like a sound file."""
    from sqe_fast.audio.containers import begins_like_sound

    if _is_special(path):
        return False
    try:
        with open(path, "rb") as file:
            return begins_like_sound(file.read(_HEAD))
    except OSError:
        return False


def _list(path: str, look: Look) -> Iterator[Item]:
    parent, found = os.path.dirname(path), False
    try:
        for entry in _entries(path, look):
            found = True
            yield _item(path, parent, entry)
    except OSError as error:
        code = ErrorCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ErrorCode.UNREADABLE
        yield _error(path, code, f"the list cannot be read ({error.strerror or error}): check its path")
        return
    if not found:
        raise InputError(f"{path}: an empty list: it names no recording")


def _entries(path: str, look: Look) -> Iterator[Entry]:
    """Raises OSError where the list cannot be opened."""
    if path.lower().endswith(archives.SUFFIXES):
        yield from archives.entries(path, raw=look.raw, read=look.read)
    elif path.lower().endswith(tables.SUFFIXES):
        yield from tables.entries(path, look.column, read=look.read)
    else:
        read = lists.reader_of(path)
        assert read is not None
        with open(path, "rb") as file:
            yield from read(path, lines_of(file), look.column)


def of_table(table: pa.Table, column: str | None) -> Iterator[Item]:
    """The recordings of an Arrow table in memory. Raises InputError where no column has any."""
    return (_item("the table", "", entry) for entry in tables.entries_of(table, column))


def _item(path: str, parent: str, entry: Entry) -> Item:
    if isinstance(entry, Wrong):
        return _error(_place(path, parent, entry.place), entry.code, entry.message)
    name = os.path.join(parent, entry.name)
    if not entry.given and entry.content is None:
        return name
    return Listed(name, entry.given, entry.content, entry.part, entry.fingerprint)


def _place(path: str, parent: str, place: int | str | None) -> str:
    if isinstance(place, str):
        return os.path.join(parent, place)
    return path if place is None else f"{path}:{place}"


def _error(file: str, code: ErrorCode, message: str) -> Evaluation:
    return Evaluation(file=file, error=ClipError(code, message))
