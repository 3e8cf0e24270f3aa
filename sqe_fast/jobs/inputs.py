"""What `sqe score` was given → the files to score, lazily: files, folders, lists and `-`."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.lists import InputError, Named, Part, Wrong, file_name, lines_of, reader_of
from sqe_fast.results import Evaluation

AUDIO_SUFFIXES = frozenset(
    {
        ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".avi", ".awb", ".caf",
        ".flac", ".flv", ".htk", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpga", ".nist",
        ".oga", ".ogg", ".opus", ".qcp", ".ra", ".rf64", ".snd", ".sph", ".spx", ".tta", ".voc", ".w64", ".wav",
        ".wave", ".webm", ".wma", ".wv",
    }
)  # fmt: skip
"""What is scored of a folder. A file given by name is tried whatever its suffix."""
RAW_SUFFIXES = frozenset(
    {".al", ".alaw", ".g722", ".g726", ".g729", ".gsm", ".pcm", ".raw", ".sln", ".ul", ".ulaw", ".vox"}
)
"""Of files that say nothing of what is in them."""
STDIN = "-"
_HEAD = 4_096
"""Bytes that tell sound from names, and from other files."""


@dataclass(frozen=True)
class Listed:
    """A file to score, with what its list says of it beside; or standard input itself, which is a recording."""

    file: str
    """As its row names it."""
    given: Mapping[str, Any] | None = None
    stream: BinaryIO | None = None
    part: Part | None = None
    """Only so much of it is scored."""


Item = str | Listed | Evaluation
"""A file to score; or, where there is none, the error row that stands in its place."""


def file_of(item: Item) -> str:
    """As its row names it."""
    return item if isinstance(item, str) else item.file


def expand(inputs: Iterable[str], stdin: BinaryIO, column: str | None = None, *, raw: bool = False) -> Iterator[Item]:
    """The items of all inputs, in order. Nothing is held: folders are walked and lists read as items are taken.

    A folder gives its sound files, recursively, sorted by name, and an error row for each that cannot be scored. A list
    is what `lists` reads; its relative paths start at its own folder. `-` is a recording on `stdin`, or else a list of
    names there; with `raw`, always the former. Raises InputError for what makes no sense as a whole.
    """
    for name in inputs:
        if name == STDIN:
            yield from _standard_input(stdin, raw)
        elif os.path.isdir(name):
            yield from _folder(name, raw)
        elif reader_of(name) is not None:
            yield from _list(name, column)
        else:
            yield name


def check(inputs: Iterable[str], column: str | None = None) -> None:
    """Raise InputError early, for what can be known before anything is scored."""
    for name in inputs:
        if name != STDIN and (os.path.isdir(name) or reader_of(name) is not None):
            next(expand([name], io.BytesIO(), column), None)


def given_names(inputs: Iterable[str], column: str | None = None) -> tuple[str, ...]:
    """What the lists among the inputs say beside the files' names: each key once, in order. Reads them through."""
    names: dict[str, None] = {}
    for name in inputs:
        if name != STDIN and not os.path.isdir(name) and reader_of(name) is not None:
            for item in expand([name], io.BytesIO(), column):
                names |= dict.fromkeys(item.given or () if isinstance(item, Listed) else ())
    return tuple(names)


def _standard_input(stdin: BinaryIO, raw: bool) -> Iterator[Item]:
    if raw or _is_sound(_head_of(stdin)):
        yield Listed(STDIN, stream=stdin)
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


def _folder(folder: str, raw: bool) -> Iterator[Item]:
    found = False
    refused: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=refused.append):
        folders.sort()
        passed = [*(_unreadable(error) for error in refused), *_linked(parent, folders)]
        refused.clear()
        for item in (*passed, *_of_folder(parent, sorted(names), raw)):
            found = True
            yield item
    for error in refused:
        found = True
        yield _unreadable(error)
    if not found:
        raise InputError(f"{folder}: no sound files in this folder (looked for {' '.join(sorted(AUDIO_SUFFIXES))})")


def _of_folder(parent: str, names: list[str], raw: bool) -> Iterator[Item]:
    """What of a folder's files is sound, or looks like it."""
    for name in names:
        path = os.path.join(parent, name)
        suffix = os.path.splitext(name)[1].lower()
        known = suffix in AUDIO_SUFFIXES or suffix in RAW_SUFFIXES
        if known and name.startswith("._"):
            yield _error(path, ErrorCode.UNSUPPORTED_FORMAT, "what macOS keeps beside a file: pass the file itself")
        elif suffix in RAW_SUFFIXES and not raw:
            why = "sound without a header: score it by itself and say what it is made of, with --raw"
            yield _error(path, ErrorCode.UNSUPPORTED_FORMAT, why)
        elif known and _is_special(path):
            yield _error(path, ErrorCode.UNREADABLE, "a pipe or device in a folder is not read: pass it by itself")
        elif known or (reader_of(name) is None and _holds_sound(path)):
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


def _list(path: str, column: str | None) -> Iterator[Item]:
    read = reader_of(path)
    assert read is not None
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below; only opening may fail as a row)
    except OSError as error:
        code = ErrorCode.NOT_FOUND if isinstance(error, FileNotFoundError) else ErrorCode.UNREADABLE
        yield _error(path, code, f"the list cannot be read ({error.strerror}): check its path")
        return
    parent, found = os.path.dirname(path), False
    with file:
        for entry in read(path, lines_of(file), column):
            found = True
            yield _item(path, parent, entry)
    if not found:
        raise InputError(f"{path}: an empty list: it names no recording")


def _item(path: str, parent: str, entry: Named | Wrong) -> Item:
    if isinstance(entry, Wrong):
        return _error(f"{path}:{entry.line}", entry.code, entry.message)
    name = os.path.join(parent, entry.name)
    return Listed(name, entry.given, part=entry.part) if entry.given else name


def _error(file: str, code: ErrorCode, message: str) -> Evaluation:
    return Evaluation(file=file, error=ClipError(code, message))
