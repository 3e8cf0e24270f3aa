"""Recordings in tar archives, as WebDataset keeps them: read as a stream, a sample at a time.

A sample is what follows one another under one name up to its first dot: "a/7.flac", "a/7.json", "a/7.txt". What it says
beside its sound is carried to the rows.
"""

from __future__ import annotations

import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.contents import held
from sqe_fast.jobs.lists import Entry, Named, Wrong
from sqe_fast.jobs.suffixes import names_sound, refused

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_OBJECTS = ("json", "jsn")
_TEXTS = ("txt", "text", "transcript", "cls", "cls2", "class", "count", "index", "inx", "id")
"""Endings under which WebDataset keeps what is known of a sample."""
_MOST_TEXT = 1 << 20
"""Bytes of it that are read."""
_MOST_SOUNDS = 16
"""Recordings of one sample that are held until it ends."""
_HEAD = 4_096
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


class _Member(tarfile.TarInfo):
    """Says where an archive is cut or damaged. The standard library ends there as if all had been read."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Member:
        assert isinstance(tarfile_, _Archive)
        try:
            member = super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            tarfile_.ended = True
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            if tarfile_.ended:
                raise
            raise tarfile.ReadError("no end mark") from None
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None
        tarfile_.ended = False
        return member


class _Archive(tarfile.TarFile):
    tarinfo = _Member
    members: list[tarfile.TarInfo]
    ended = False
    """The mark that ends an archive was read; another one may follow."""


@dataclass
class _Sample:
    key: str = ""
    sounds: list[Named] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry]:
        for sound in self.sounds:
            yield Named(sound.name, {**self.given} or None, content=sound.content, fingerprint=sound.fingerprint)


def entries(path: str, *, raw: bool, read: bool) -> Iterator[Entry]:
    """The recordings of an archive, in its order; without `read`, only their names and what is said of them. An archive
    that is cut or damaged gives an entry that says so behind what came before. Raises FileNotFoundError or another
    OSError where it cannot be opened."""
    base = os.path.basename(path)
    sample = _Sample()
    with open(path, "rb") as file:
        try:
            with _Archive.open(fileobj=file, mode="r:*", ignore_zeros=True) as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # else they are all kept
                    key, ending = _split(member.name)
                    if key != sample.key or len(sample.sounds) >= _MOST_SOUNDS:
                        yield from sample.entries()
                        sample = _Sample(key, given=sample.given if key == sample.key else {})
                    found = _take(archive, member, ending, sample, f"{base}/{member.name}", raw=raw, read=read)
                    if found is not None:
                        yield found
        except _BROKEN as error:
            yield from sample.entries()
            yield Wrong(None, ErrorCode.UNREADABLE, f"the archive is cut or damaged: what follows is lost ({error})")
            return
    yield from sample.entries()


def _split(name: str) -> tuple[str, str]:
    """ "a/7.left.wav" → "a/7", "left.wav" """
    parent, base = os.path.split(name)
    first, _, ending = base.partition(".")
    return os.path.join(parent, first), ending.lower()


def _take(
    archive: _Archive, member: tarfile.TarInfo, ending: str, sample: _Sample, name: str, *, raw: bool, read: bool
) -> Wrong | None:
    """Put a member where it belongs; or what is wrong with it."""
    if member.isdir():
        return None
    why = refused(name, raw=raw)
    if why is not None:
        return Wrong(name, ErrorCode.UNSUPPORTED_FORMAT, why)
    if not member.isreg():
        if not names_sound(name):
            return None
        return Wrong(name, ErrorCode.BAD_INPUT, "a link or device in an archive is not followed: pack the file itself")
    file = archive.extractfile(member)
    assert file is not None
    if ending in (*_OBJECTS, *_TEXTS):
        sample.given |= _said(file.read(_MOST_TEXT), ending)
    elif names_sound(name) or _begins_like_sound(file):
        try:
            content, fingerprint = held(file, member.size) if read else (None, None)
        except ClipError as error:
            return Wrong(name, error.code, error.message)
        sample.sounds.append(Named(name, content=content, fingerprint=fingerprint))
    return None


def _begins_like_sound(file: IO[bytes]) -> bool:
    from sqe_fast.audio.containers import begins_like_sound

    head = file.read(_HEAD)
    file.seek(0)
    return begins_like_sound(head)


def _said(text: bytes, ending: str) -> dict[str, Any]:
    whole = text.decode("utf-8", "replace")
    if ending in _OBJECTS:
        try:
            value = json.loads(whole)
        except ValueError:
            return {ending: whole}
        return value if isinstance(value, dict) else {ending: value}
    return {ending: whole.strip()}
