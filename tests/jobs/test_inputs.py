"""Files, folders, manifests and standard input: what a job is asked to score, in order, no faster than needed."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest
import soxr

from sqe_fast.jobs import inputs
from sqe_fast.jobs.inputs import Item, Listed, Look, expand, file_of
from sqe_fast.jobs.lists import InputError
from sqe_fast.results import Evaluation
from tests.support.audio_samples import RATE, encoded, speech
from tests.support.codecs import by_ffmpeg


def items(*names: str, stdin: bytes = b"", column: str | None = None) -> list[Item]:
    return list(expand(names, io.BytesIO(stdin), Look(column)))


def files(found: Iterable[Item]) -> list[str]:
    return [file_of(item) for item in found]


def codes(found: Iterable[Item]) -> list[str]:
    """Paths as they are; error rows as "file code"."""
    return [f"{item.file} {item.error.code}" if isinstance(item, Evaluation) else file_of(item) for item in found]  # type: ignore[union-attr]


def given(found: Iterable[Item]) -> list[object]:
    return [item.given if isinstance(item, Listed) else None for item in found]


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
        ("m.txt", "\ufeffone.wav\nsub/two.wav\n/three.wav"),
        ("m.tsv", "id\tpath\n1\tone.wav\n2\tsub/two.wav\n3\t/three.wav\n"),
        ("m.csv", "id;file\n1;one.wav\n2;sub/two.wav\n3;/three.wav\n"),
        ("wav.scp", "a one.wav\nb  sub/two.wav\n\nc /three.wav\n"),
        ("m.m3u", "\ufeff#EXTM3U\n#EXTINF:12,One\none.wav\r\nsub/two.wav\nfile:///three.wav\n"),
        ("nemo.json", '{"audio_filepath": "one.wav"}\n{"audio_filepath": "sub/two.wav"}\n{"file": "/three.wav"}\n'),
        ("m.json", '[\n "one.wav", {"path": "sub/two.wav"},\n "/three.wav"]\n'),
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
    assert files(items(str(path))) == [str(tmp_path / "one.wav"), str(tmp_path / "sub/two.wav"), "/three.wav"]


def test_bad_lines_of_a_manifest_are_rows_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file": "/1"}\n{"file"\n{"name": "x"}\n{"file": 7}\n"text"\n{"file": "/2"}\n')
    wrong = [f"{path}:{line} bad_input" for line in (2, 3, 4, 5)]
    assert codes(items(str(path), "b.wav")) == ["/1", *wrong, "/2", "b.wav"]
    path = tmp_path / "m.csv"
    path.write_text("id,file\n1,/1\n2,\n3\n4,/2\n")
    assert codes(items(str(path))) == ["/1", f"{path}:3 bad_input", f"{path}:4 bad_input", "/2"]


def test_a_manifest_may_name_parts_of_a_recording(tmp_path: Path) -> None:
    """NeMo's: the whole of an hour rated for each of its utterances. A duration alone is that of the file."""
    path = tmp_path / "m.json"
    path.write_text(
        '{"audio_filepath": "/1", "offset": 3.5, "duration": 2}\n{"audio_filepath": "/1", "offset": 0}\n'
        '{"audio_filepath": "/1", "duration": 9.0}\n{"audio_filepath": "/1", "offset": "3.5", "duration": 2}\n'
        '{"file": "/1", "offset": 3.5, "duration": 2}\n'
    )
    listed = items(str(path))
    assert codes(listed) == ["/1", "/1", "/1", f"{path}:4 bad_input", "/1"]
    parts = [item.part if isinstance(item, inputs.Listed) else None for item in listed]
    assert parts == [(3.5, 2), (0, None), None, None, None]


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


def test_a_list_in_utf16(tmp_path: Path) -> None:
    """As spreadsheets write "Unicode text"."""
    path = tmp_path / "m.tsv"
    path.write_text("file\tid\n/tête.wav\t1\n", encoding="utf-16")
    assert files(items(str(path))) == ["/tête.wav"]


def test_what_a_list_says_beside_the_name_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("id,file,mos\n1,/a.wav,3.2\n2,/b.wav,\n")
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"file": "/a.wav", "text": "one", "duration": 1.5}\n{"file": "/b.wav"}\n')
    scp = tmp_path / "wav.scp"
    scp.write_text("utt1 /a.wav\n")
    assert given(items(str(table))) == [{"id": "1", "mos": "3.2"}, {"id": "2", "mos": ""}]
    assert given(items(str(lines))) == [{"text": "one", "duration": 1.5}, None]
    assert given(items(str(scp))) == [{"utterance": "utt1"}]
    everything = ["x.wav", str(table), str(lines), str(scp)]
    assert inputs.given_names(everything) == ("id", "mos", "text", "duration", "utterance")


def test_a_column_that_is_asked_for(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("file,clip\n/no.wav,/a.wav\n")
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"file": "/no.wav", "clip": "/a.wav"}\n')
    assert files(items(str(table), str(lines), column="clip")) == ["/a.wav", "/a.wav"]
    with pytest.raises(InputError, match="file, clip"):
        items(str(table), column="take")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.txt", ""), ("m.txt", "\n\n"), ("m.csv", "file\n"), ("m.csv", ""), ("m.tsv", "id\tpath\n"),
        ("m.jsonl", "\n"), ("m.json", "[]"), ("wav.scp", ""), ("m.m3u", "#EXTM3U\n"),
    ],
)  # fmt: skip
def test_an_empty_list_says_so(name: str, text: str, tmp_path: Path) -> None:
    """A list whose rows were lost on the way: nothing scored, and nothing said."""
    path = tmp_path / name
    path.write_text(text)
    for look in (lambda: items(str(path)), lambda: inputs.check([str(path)])):
        with pytest.raises(InputError, match=r"empty|no column"):
            look()


def test_standard_input_that_gives_nothing_says_so() -> None:
    with pytest.raises(InputError, match="standard input"):
        items("-", stdin=b"\n")


def test_addresses_and_commands_are_not_followed(tmp_path: Path) -> None:
    playlist, scp = tmp_path / "m.m3u", tmp_path / "wav.scp"
    playlist.write_text("https://example.org/a.mp3\n/b.wav\n")
    scp.write_text("a sox x.wav -t wav - |\nb /b.wav\nc\n")
    assert codes(items(str(playlist))) == [f"{playlist}:1 bad_input", "/b.wav"]
    assert codes(items(str(scp))) == [f"{scp}:1 bad_input", "/b.wav", f"{scp}:3 bad_input"]


SOUNDS = {
    "wav": encoded(speech()),
    "flac": encoded(speech(), file_format="FLAC"),
    "ogg": encoded(speech(), file_format="OGG", subtype="VORBIS"),
    "mp3": encoded(speech(), file_format="MP3"),
    "au": encoded(speech(), file_format="AU"),
    "m4a": by_ffmpeg(speech(), "ipod", "aac"),
    "webm": by_ffmpeg(soxr.resample(speech(), RATE, 48_000), "webm", "libopus", 48_000),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_sound_on_standard_input_is_a_recording(kind: str) -> None:
    """`cat a.wav | sqe score -`: its bytes were taken for names."""
    [item] = items("-", stdin=SOUNDS[kind])
    assert isinstance(item, Listed)
    assert item.file == "-"
    assert item.content is not None
    assert item.content.read() == SOUNDS[kind]


def test_a_folder_tells_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 of 14 scored, the rest not mentioned."""
    for name in ("a.wav", "b.m4a", "c.sph", "d.mp2", "e.amr", "notes.txt", "list.csv", "picture.png"):
        (tmp_path / name).touch()
    (tmp_path / "._a.wav").write_bytes(b"\0\5\x16\7")
    (tmp_path / "call.gsm").touch()
    (tmp_path / "no_suffix").write_bytes(SOUNDS["wav"][:2_000])
    (tmp_path / "voice.dat").write_bytes(SOUNDS["m4a"])
    (tmp_path / "song").write_bytes(SOUNDS["mp3"])
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(999))
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(999))
    (tmp_path / "notes.xml").write_text("<a>" * 500, encoding="utf-16")
    (tmp_path / "random.bin").write_bytes(b"\xff\xf1\x0b\x77" * 300)
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    found = [line.removeprefix(f"{tmp_path}/") for line in codes(items(str(tmp_path)))]
    assert found == [
        "linked bad_input", "._a.wav unsupported_format", "a.wav", "b.m4a", "c.sph", "call.gsm unsupported_format",
        "d.mp2", "e.amr", "gone.wav", "no_suffix", "pipe.wav unreadable", "song", "voice.dat", "locked unreadable",
    ]  # fmt: skip


def test_a_folder_of_raw_sound_is_scored_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.ul").touch()
    assert files(expand([str(tmp_path)], io.BytesIO(), Look(raw=True))) == [str(tmp_path / "a.ul")]
