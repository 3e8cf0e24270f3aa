"""Tar archives, as WebDataset packs them: what is in them, what is said of it, and that nothing is lost in silence."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from sqe_fast.jobs import contents, inputs
from sqe_fast.jobs.inputs import Item, Listed, Look, expand, file_of
from sqe_fast.jobs.lists import InputError
from sqe_fast.results import Evaluation
from tests.support.audio_samples import encoded, speech
from tests.support.memory import peak_bytes, reset_peak

WAV = encoded(speech())
Member = tuple[str, bytes]


def pack(path: Path, *members: Member, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def items(*paths: Path, look: Look = inputs.PLAINLY) -> list[Item]:
    return list(expand(map(str, paths), io.BytesIO(), look))


def told(found: list[Item], parent: Path) -> list[str]:
    return [
        file_of(item).removeprefix(f"{parent}/") + (f" {item.error.code}" if isinstance(item, Evaluation) else "")  # type: ignore[union-attr]
        for item in found
    ]


SAMPLES = (
    ("a/0.json", b'{"speaker": "x", "mos": 3.5}'),
    ("a/0.wav", WAV),
    ("a/0.txt", b"hello \n"),
    ("a/1.left.wav", WAV + b"1"),
    ("a/1.right.wav", WAV + b"2"),
    ("a/1.cls", b"7"),
    ("a/2.png", b"\x89PNG\r\n\x1a\n"),
    ("a/3.bin", WAV),
    ("a/4.json", b"not JSON"),
    ("a/4.wav", WAV),
)


@pytest.mark.parametrize(
    ("name", "mode"), [("s.tar", "w"), ("s.tar.gz", "w:gz"), ("s.tgz", "w:gz"), ("s.tar.xz", "w:xz")]
)
def test_a_sample_and_what_is_said_of_it(name: str, mode: str, tmp_path: Path) -> None:
    """Sound without its transcript, or with that of the next sample."""
    path = pack(tmp_path / name, *SAMPLES, mode=mode)
    found = items(path)
    assert told(found, path) == ["a/0.wav", "a/1.left.wav", "a/1.right.wav", "a/3.bin", "a/4.wav"]
    assert [item.given for item in found if isinstance(item, Listed)] == [
        {"speaker": "x", "mos": 3.5, "txt": "hello"},
        {"cls": "7"},
        {"cls": "7"},
        None,
        {"json": "not JSON"},
    ]
    assert [item.content for item in found if isinstance(item, Listed)] == [WAV, WAV + b"1", WAV + b"2", WAV, WAV]
    prints = [item.fingerprint for item in found if isinstance(item, Listed)]
    assert prints[0] == prints[3] == prints[4]
    assert len({*prints}) == 3
    assert inputs.given_names([str(path)]) == ("speaker", "mos", "txt", "cls", "json")
    assert len(items(path, look=Look(read=False))) == len(found)


def test_what_is_not_scored_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "s.tar", ("._a.wav", b"\0\5\x16\7"), ("b.gsm", b"x" * 99), ("c.wav", WAV))
    with tarfile.open(path, "a") as archive:
        for name, kind in (("d.wav", tarfile.SYMTYPE), ("notes", tarfile.SYMTYPE), ("e", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert told(items(path), path) == [
        "._a.wav unsupported_format", "b.gsm unsupported_format", "c.wav", "d.wav bad_input",
    ]  # fmt: skip
    assert told(items(path, look=Look(raw=True)), path)[1] != "b.gsm unsupported_format"


@pytest.mark.parametrize("kind", ["", ":gz"])
def test_an_archive_that_is_cut_anywhere(kind: str, tmp_path: Path) -> None:
    """The standard library takes half an archive for a whole one: samples are lost, and nothing is said."""
    whole = pack(
        tmp_path / "whole.tar", *((f"{n}.wav", bytes([n]) * 3_000) for n in range(5)), mode=f"w{kind}"
    ).read_bytes()
    path = tmp_path / "cut.tar"
    ends = [*range(1, len(whole) if kind else 5 * 3_584, max(1, len(whole) // 61)), 3_584, 2 * 3_584]
    for end in (end for end in ends if end < len(whole)):
        path.write_bytes(whole[:end])
        *before, last = items(path)
        assert isinstance(last, Evaluation)
        assert (last.file, last.error and last.error.code) == (str(path), "unreadable")
        assert told(before, path) == [f"{n}.wav" for n in range(len(before))]


def test_damage_in_the_middle_and_archives_that_were_joined(tmp_path: Path) -> None:
    one = pack(tmp_path / "1.tar", ("1.wav", WAV), ("2.wav", WAV)).read_bytes()
    two = pack(tmp_path / "2.tar", ("3.wav", WAV)).read_bytes()
    path = tmp_path / "s.tar"
    path.write_bytes(one + two)
    assert told(items(path), path) == ["1.wav", "2.wav", "3.wav"]
    second = one.index(b"2.wav")
    path.write_bytes(one[:second] + b"\xff" * 512 + one[second + 512 :])
    assert told(items(path), tmp_path) == ["s.tar/1.wav", "s.tar unreadable"]
    path.write_bytes(b"\xff" * 5_000)
    assert told(items(path), tmp_path) == ["s.tar unreadable"]


def test_archives_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    assert told(items(tmp_path / "absent.tar", Path("b.wav")), tmp_path) == ["absent.tar not_found", "b.wav"]
    with pytest.raises(InputError, match="empty"):
        inputs.check([str(pack(tmp_path / "s.tar", ("a.txt", b"x")))])


def test_a_folder_of_shards(tmp_path: Path) -> None:
    for n in (1, 0):
        pack(tmp_path / f"shard-{n}.tar", (f"{n}.wav", WAV))
    assert told(items(tmp_path), tmp_path) == ["shard-0.tar/0.wav", "shard-1.tar/1.wav"]
    (tmp_path / "z.wav").touch()  # a folder of sound with an archive of it beside: each recording once
    assert told(items(tmp_path), tmp_path) == ["z.wav"]


def test_an_archive_is_read_as_it_is_needed(tmp_path: Path) -> None:
    """Neither its members nor their headers are gathered: 40,000 of them, and 200 MB."""
    path = tmp_path / "s.tar"
    data = os.urandom(5_000)
    pack(path, *((f"{n:06}.wav", data) for n in range(40_000)))
    start = reset_peak()
    found: Iterator[Item] = expand([str(path)], io.BytesIO())
    assert sum(1 for _ in found) == 40_000
    assert peak_bytes() - start < 20 << 20
    assert len(list(islice(expand([str(path)], io.BytesIO()), 3))) == 3


def test_a_long_recording_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "IN_MEMORY", len(WAV) - 1)
    path = pack(tmp_path / "s.tar", ("a.wav", WAV), ("b.wav", WAV[:-2]))
    long, short = items(path)
    assert isinstance(long, Listed)
    assert isinstance(short, Listed)
    assert not isinstance(long.content, bytes)
    assert long.content.read() == WAV  # type: ignore[union-attr]
    assert isinstance(short.content, bytes)
    assert long.fingerprint == contents.fingerprint(WAV)
    monkeypatch.setattr(contents, "MOST", len(WAV) - 1)
    assert told(items(path), path) == ["a.wav too_long", "b.wav"]
