"""Rows in a folder of Parquet parts: the same rows as in JSONL, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet
import pytest

from sqe_fast.audio.timeline import Timeline
from sqe_fast.errors import UnusableError
from sqe_fast.jobs import parquet, run
from sqe_fast.jobs.inputs import Item, Listed
from sqe_fast.jobs.outputs import RowFile
from sqe_fast.jobs.parquet import LOCK, Parts, RowFolder, read_rows
from tests.support.fake_scorer import FakeScorer

ROOT = Path(__file__).parents[2]
NAMES = [f"dir/{n}{'bad' if n % 7 == 3 else ''}{' call' if n % 5 == 4 else ''}.wav" for n in range(40)]
EITHER = pytest.mark.parametrize("timeline", [None, Timeline()], ids=["", "timeline"])


def score(
    path: Path,
    items: Iterable[Item],
    *,
    resume: bool = False,
    retry_errors: bool = False,
    timeline: Timeline | None = None,
    part_rows: int = 7,
    scorer: FakeScorer | None = None,
) -> run.Progress:
    options: dict[str, Any] = {"resume": resume, "retry_errors": retry_errors, "timeline": timeline is not None}
    with RowFolder(str(path), part_rows=part_rows, **options) as writer:
        return run.run(scorer or FakeScorer(), items, writer, run.Choices(timeline=timeline))


def parts_of(folder: Path) -> list[Path]:
    return [folder / name for name in Parts(folder).names()]


def in_jsonl(path: Path, items: Iterable[Item], timeline: Timeline | None = None) -> list[dict[str, Any]]:
    with RowFile(str(path), "jsonl", resume=False, timeline=timeline is not None) as writer:
        run.run(FakeScorer(), items, writer, run.Choices(timeline=timeline))
    return [json.loads(line) for line in path.read_text().splitlines()]


@EITHER
def test_the_rows_are_those_of_jsonl(timeline: Timeline | None, tmp_path: Path) -> None:
    listed = [Listed("x.wav", {"id": 7, "text": "ü", "tags": ["a", None]}), *NAMES]
    expected = in_jsonl(tmp_path / "rows.jsonl", listed, timeline)
    score(tmp_path / "rows", listed, timeline=timeline)
    assert list(read_rows(tmp_path / "rows")) == expected
    assert len(parts_of(tmp_path / "rows")) > 3
    table = pyarrow.dataset.dataset(tmp_path / "rows").to_table()  # as any reader of Parquet folders
    assert table.column("file").to_pylist() == [row["file"] for row in expected]
    assert table.column("mos").to_pylist() == [row["mos"] for row in expected]
    assert json.loads(table.column("given")[0].as_py()) == {"id": 7, "text": "ü", "tags": ["a", None]}
    assert {path.name for path in (tmp_path / "rows").iterdir()} - {LOCK} == {
        path.name for path in parts_of(tmp_path / "rows")
    }


class Killed(Exception):
    pass


@EITHER
@pytest.mark.parametrize("when", range(4))
def test_a_job_that_is_killed_between_any_two_steps(
    when: int, timeline: Timeline | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a part is written, while it is, before it has its name, and before its journal is gone."""
    expected = in_jsonl(tmp_path / "rows.jsonl", NAMES, timeline)
    path = tmp_path / "rows"

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    def half(part: Path) -> None:
        (part.parent / f"_{part.name}.new").write_bytes(b"PAR1")

    commit = RowFolder._commit
    for step in range(1, 6):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            count = 0

            def commits(self: RowFolder, journal: Path) -> None:
                nonlocal count
                count += 1
                if count < 3:  # the first two parts of a run are written
                    commit(self, journal)
                elif when == 0:
                    raise Killed
                elif when == 1:
                    half(journal.with_name(journal.name[1:].replace("jsonl", "parquet")))
                    raise Killed
                elif when == 2:
                    patched.setattr(os, "fsync", kill)
                    commit(self, journal)
                else:
                    patched.setattr(Path, "unlink", kill)
                    commit(self, journal)

            patched.setattr(RowFolder, "_commit", commits)
            with RowFolder(str(path), resume=step > 1, timeline=timeline is not None, part_rows=4) as writer:
                run.run(FakeScorer(), NAMES, writer, run.Choices(timeline=timeline))
        rows = list(read_rows(path))
        assert rows == expected[: len(rows)]
        if len(rows) == len(expected):
            break
    progress = score(path, NAMES, resume=True, timeline=timeline)
    assert progress.skipped + progress.written == len(NAMES)
    assert list(read_rows(path)) == expected
    assert {path.name for path in path.iterdir()} - {LOCK} == {part.name for part in parts_of(path)}


@EITHER
def test_a_journal_that_is_torn_at_any_byte(timeline: Timeline | None, tmp_path: Path) -> None:
    expected = in_jsonl(tmp_path / "rows.jsonl", NAMES[:12], timeline)
    score(tmp_path / "whole", NAMES[:6], timeline=timeline, part_rows=1_000)
    [part] = parts_of(tmp_path / "whole")
    journal = b"".join(parquet.jsonl_line(row) for row in expected[len(pyarrow.parquet.read_table(part)) :])
    for end in range(0, len(journal), 97):
        path = tmp_path / str(end)
        path.mkdir()
        os.link(part, path / part.name)
        (path / "_part-000002.jsonl").write_bytes(journal[:end])
        scorer = FakeScorer()
        progress = score(path, NAMES[:12], resume=True, timeline=timeline, scorer=scorer)
        assert list(read_rows(path)) == expected
        assert (progress.written + progress.skipped, scorer.given) == (12, progress.written)


def test_errors_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    score(path, [*NAMES, "3bad call.wav"])
    failed = [row["file"] for row in read_rows(path) if row["error"]]
    assert score(path, NAMES, resume=True).failed == len({*failed})
    kept = [row for row in read_rows(path) if not row["error"]]
    scorer = FakeScorer()
    progress = score(path, NAMES, resume=True, retry_errors=True, scorer=scorer)
    assert scorer.asked == [name for name in NAMES if "bad" in name]
    assert [row for row in read_rows(path) if not row["error"]] == kept
    assert (progress.failed, progress.summary.recordings) == (len(scorer.asked), len(NAMES))


def test_what_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(UnusableError, match=r"notes\.txt"):
        score(folder, NAMES, resume=True)
    (folder / "notes.txt").unlink()
    pyarrow.parquet.write_table(pyarrow.table({"file": ["a.wav"]}), folder / "part-000001.parquet")
    with pytest.raises(UnusableError, match="not a row of ours"):
        score(folder, NAMES, resume=True)
    (folder / "part-000001.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(UnusableError, match="cannot be read or written"):
        score(folder, NAMES, resume=True)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UnusableError, match="folder"):
        score(tmp_path / "file", NAMES)


def test_one_writer_and_only_with_resume(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with RowFolder(str(path), resume=False):
        for resume in (False, True):
            with pytest.raises(UnusableError, match="another job"):
                RowFolder(str(path), resume=resume)
    score(path, NAMES)
    before = {part: part.read_bytes() for part in parts_of(path)}
    with pytest.raises(UnusableError, match="not empty"):
        score(path, NAMES)
    for choices in (run.Choices(describe=False), run.Choices(channels="mix"), run.Choices(timeline=Timeline())):
        with (
            RowFolder(str(path), resume=True, retry_errors=True) as writer,
            pytest.raises(UnusableError, match="go on with the same options"),
        ):
            run.run(FakeScorer(), NAMES, writer, choices)
    assert {part: part.read_bytes() for part in parts_of(path)} == before


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    names = ["\udcff.wav", "\udcff bad.wav"]
    score(tmp_path / "rows", names)
    assert [row["file"] for row in read_rows(tmp_path / "rows")] == ["\\udcff.wav", "\\udcff bad.wav"]
    assert score(tmp_path / "rows", names, resume=True).skipped == 2


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['pyarrow'] = None\n"
        "from sqe_fast.cli import main, options\nfrom tests.support.fake_scorer import FakeScorer\n"
        "options.open_evaluator = lambda *options: FakeScorer()\nmain.main()"
    )
    for arguments in (["a.wav", "-o", str(tmp_path / "rows.parquet")], [str(tmp_path / "list.parquet")]):
        (tmp_path / "list.parquet").touch()
        command = [sys.executable, "-c", code, "score", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 3
        assert 'pip install "sqe-fast[jobs]"' in done.stderr
        assert not (tmp_path / "rows.parquet").exists()


JOB = """
import sys, time
from sqe_fast.jobs import run
from sqe_fast.jobs.parquet import RowFolder
from tests.support.fake_scorer import FakeScorer

class Slow(FakeScorer):
    def evaluation(self, file, describe=True):
        time.sleep(0.001)
        return super().evaluation(file, describe)

with RowFolder(sys.argv[1], resume=True, part_rows=20) as writer:
    run.run(Slow(), (f"{n}.wav" for n in range(300)), writer)
"""


def test_a_job_that_is_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for enough in (30, 90, 150):
        process = subprocess.Popen([sys.executable, "-c", JOB, str(path)], cwd=ROOT)
        while not path.exists() or sum(1 for _ in read_rows_now(path)) < enough:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", JOB, str(path)], cwd=ROOT, check=True)
    assert [row["file"] for row in read_rows(path)] == [f"{n}.wav" for n in range(300)]


def read_rows_now(path: Path) -> list[Any]:
    """While the job goes on, files come and go between two looks."""
    try:
        return list(read_rows(path))
    except OSError:
        return []
