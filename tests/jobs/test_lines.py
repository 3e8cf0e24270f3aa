"""Files that grow by whole lines, as every stage of training keeps its work; rows of a job are in test_run.py."""

from pathlib import Path

import pytest

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.lines import JsonLines

ENTRIES = [{"seed": 1, "text": "tête"}, {"seed": 2, "text": "a\nb"}, {"seed": 3, "text": ""}]


def write(path: Path) -> list[dict[str, object]]:
    """As a stage does: what is there stays, what is missing is added; what was there."""
    with JsonLines(path) as file:
        found = list(file.entries)
        for entry in ENTRIES[len(found) :]:
            file.append(entry)
        assert file.entries == ENTRIES
    return found


def test_a_run_that_was_killed_goes_on_from_every_byte(tmp_path: Path) -> None:
    """An entry that was half written is written again, and no whole one is lost or doubled."""
    path = tmp_path / "folder" / "file.jsonl"
    assert write(path) == []
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        assert write(path) == ENTRIES[: whole[:end].count(b"\n")]
        assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["precious notes\nand mo", "[1]\n", "\n", '{"seed": 1}\nnot JSON\n{"se'])
def test_a_file_of_something_else_is_left_as_it_is(text: str, tmp_path: Path) -> None:
    """Not even its torn last line is cut off."""
    path = tmp_path / "file.jsonl"
    path.write_text(text)
    with pytest.raises(UnusableError, match=r"line \d is not a row"):
        JsonLines(path)
    assert path.read_text() == text
    write(tmp_path / "other.jsonl")


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    """Each would append what the other has, and every clip would have its captions twice."""
    path = tmp_path / "file.jsonl"
    with JsonLines(path), pytest.raises(UnusableError, match="another job"):
        JsonLines(path)
    write(path)


def test_lines_are_on_disk_when_they_were_appended(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "file.jsonl") as file:
        file.append(ENTRIES[0])
        assert (tmp_path / "file.jsonl").read_bytes().endswith(b"}\n")
