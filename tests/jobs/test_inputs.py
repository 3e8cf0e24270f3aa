"""Files, folders, manifests and standard input: what a job is asked to score, in order, no faster than needed."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from sqe_fast.jobs import inputs
from sqe_fast.jobs.inputs import InputError, Item, expand


def items(*names: str, stdin: bytes = b"") -> list[Item]:
    return list(expand(names, io.BytesIO(stdin)))


def codes(found: Iterable[Item]) -> list[str]:
    """Paths as they are; error rows as "file code"."""
    return [item if isinstance(item, str) else f"{item.file} {item.error.code}" for item in found]  # type: ignore[union-attr]


def test_a_folder_gives_its_sound_files_sorted(tmp_path: Path) -> None:
    for name in (
        "b/2.FLAC",
        "b/1.wav",
        "a.mp3",
        "b/notes.txt",
        "b/c/x.opus",
        "z.wav",
        "list.csv",
        "a/9.ogg",
        "c/0.ogg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    expected = ["a.mp3", "z.wav", "a/9.ogg", "b/1.wav", "b/2.FLAC", "b/c/x.opus", "c/0.ogg"]
    assert items(str(tmp_path)) == [str(tmp_path / name) for name in expected]


def test_a_folder_without_sound_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sound files"):
        items(str(tmp_path))
    with pytest.raises(InputError, match="no sound files"):
        inputs.check(["a.wav", str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.txt", "one.wav\r\n\nsub/two.wav\n/three.wav"),
        ("m.csv", 'id,Path\n1,one.wav\n2,"sub/two.wav"\n3,/three.wav\n'),
        ("m.csv", "path,file\nx,one.wav\nx,sub/two.wav\nx,/three.wav\n"),
        ("m.csv", "\ufefffile,path\none.wav,x\nsub/two.wav,x\n/three.wav,x\n"),  # as spreadsheets write UTF-8
        ("m.jsonl", '{"file": "one.wav"}\n\n{"path": "sub/two.wav", "id": 2}\n{"file": "/three.wav", "path": "x"}\n'),
    ],
)
def test_manifests(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert items(str(path)) == [str(tmp_path / "one.wav"), str(tmp_path / "sub/two.wav"), "/three.wav"]


def test_bad_lines_of_a_manifest_are_rows_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file": "/1"}\n{"file"\n{"name": "x"}\n{"file": 7}\n"text"\n{"file": "/2"}\n')
    wrong = [f"{path}:{line} bad_input" for line in (2, 3, 4, 5)]
    assert codes(items(str(path), "b.wav")) == ["/1", *wrong, "/2", "b.wav"]
    path = tmp_path / "m.csv"
    path.write_text("id,file\n1,/1\n2,\n3\n4,/2\n")
    assert codes(items(str(path))) == ["/1", f"{path}:3 bad_input", f"{path}:4 bad_input", "/2"]


def test_a_manifest_that_is_not_there_or_has_no_column(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.txt")
    assert codes(items(absent, "b.wav")) == [f"{absent} not_found", "b.wav"]
    path = tmp_path / "m.csv"
    path.write_text("name\nx.wav\n")
    with pytest.raises(InputError, match="no column"):
        inputs.check([str(path)])


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text('file\n/1\n"' + "/2\n" * 100_000)
    with pytest.raises(InputError, match="not CSV"):
        items(str(path))


def test_stdin_gives_names_that_are_not_utf8(tmp_path: Path) -> None:
    assert items("x.wav", "-", "y.wav", stdin=b"a b.wav\n\xff.wav\n") == ["x.wav", "a b.wav", "\udcff.wav", "y.wav"]


def test_a_manifest_is_read_as_it_is_needed(tmp_path: Path) -> None:
    """A manifest may be longer than memory: nothing is read beyond what was taken."""
    path = tmp_path / "m.txt"
    path.write_text("/a.wav\n" * 200_000)
    found = expand([str(path)], io.BytesIO())
    assert list(islice(found, 2)) == ["/a.wav", "/a.wav"]
