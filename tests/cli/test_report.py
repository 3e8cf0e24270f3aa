"""`sqe report`: from the rows of a job to a page, and what is said on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sqe_fast.cli import main, process
from tests.support.rows_at_random import evaluations, write_rows


def sqe(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path / "rows.jsonl", evaluations(200))


def test_a_page_is_made_and_summed_up(rows: Path) -> None:
    failed = sum(evaluation.error is not None for evaluation in evaluations(200))
    result = sqe("report", "rows.jsonl")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith(f"report.html: 200 rows, {failed} failed; 0.")
    assert Path("report.html").read_bytes().startswith(b"<!doctype html>")


def test_a_comparison_says_how_many_are_paired(rows: Path) -> None:
    write_rows(rows.with_name("before.csv"), evaluations(150, seed=1))
    result = sqe("report", "rows.jsonl", "--before", "before.csv", "-o", "x.html", "--embed", "2", "--worst", "3")
    assert result.exit_code == 0
    assert "200 rows" in result.stderr
    assert "150 of them paired" in result.stderr


def test_help_names_exit_codes_and_examples() -> None:
    text = sqe("report", "-h").stdout
    assert "  sqe report after.jsonl --before before.jsonl --embed 20" in text
    assert "3    the page cannot be written" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.jsonl"], process.USAGE, "none.jsonl: cannot be read: No such file"),
        (["rows.jsonl", "--before", "none.csv"], process.USAGE, "none.csv: cannot be read"),
        (["rows.jsonl", "--audio", "none"], process.USAGE, "none: no folder"),
        (["rows.jsonl", "-o", "rows.jsonl"], process.USAGE, "rows.jsonl: holds rows"),
        (["rows.jsonl", "-o", "none/x.html"], process.UNUSABLE, "none/x.html: cannot be written: No such file"),
        (["rows.jsonl", "--worst", "-1"], process.USAGE, "greater than or equal to 0"),
        ([__file__], process.USAGE, "has no rows as sqe score writes them"),
    ],
)
def test_what_is_wrong_is_said(rows: Path, arguments: list[str], code: int, message: str) -> None:
    before = rows.read_bytes()
    result = sqe("report", *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert rows.read_bytes() == before
