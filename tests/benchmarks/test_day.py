"""The day of a card: parts that fail, hang or cannot be there stop no other, and the table says all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import day
from benchmarks.gpu.__main__ import LEVELS
from benchmarks.gpu.day import Outcome, Part, main, parts, run, table

SHELL = [sys.executable, "-c"]


def test_the_parts_fit_the_budget() -> None:
    for dry in (False, True):
        made = parts(Path("out"), dry, "90")
        assert sum(part.limit_s for part in made) <= day.BUDGET_S
        assert [part.name for part in made] == ["build", "tests", "sanitizer", *day.LEVELS]
    assert set(day.LEVELS) == set(LEVELS)


def test_what_is_tested_exists() -> None:
    for name in (*day.TESTS, *day.DRY_TESTS, day.SANITIZED[0]):
        assert (day.ROOT / name).is_file(), name


@pytest.mark.parametrize(
    ("command", "state", "said"),
    [
        ([*SHELL, "print('fine')"], "done", ""),
        ([*SHELL, "print('why'); raise SystemExit(3)"], "failed", "why"),
        # What a part has started ends with it: else it would hold the card.
        (["bash", "-c", "echo slow; sleep 60 & wait"], "too long", "slow"),
    ],
)
def test_a_part_ends_in_one_of_three_ways(tmp_path: Path, command: list[str], state: str, said: str) -> None:
    found = run(Part("part", 5, command), tmp_path, {})
    assert (found.state, found.said) == (state, said)


def test_what_needs_a_program_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    found = run(Part("part", 5, ["no-such-program"], "no-such-program"), tmp_path, {})
    assert found == Outcome("part", "left out", 0.0, "no-such-program is not installed")


def test_a_day_goes_on_and_says_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = json.dumps(
        {"level": "ceiling", "case": "product", "peer": None, "right": True, "tera_flops_per_second": 800.0}
    )
    half = json.dumps(
        {"level": "kernel", "case": "linear", "peer": "torch", "right": False, "tera_flops_per_second": 400}
    )
    write = f"open({str(tmp_path / 'rows.jsonl')!r}, 'a').write({row + chr(10) + half + chr(10)!r})"
    made = [Part("first", 5, [*SHELL, "raise SystemExit('broken')"]), Part("second", 20, [*SHELL, write])]
    monkeypatch.setattr(day, "parts", lambda *_: made)
    assert main([str(tmp_path), "--dry"]) == 1
    said = capsys.readouterr().out
    assert "| first | failed |" in said
    assert "| second | done |" in said
    assert "| kernel | linear | torch | False |  |  |  |  | 50% |" in said
    assert "    broken" in said
    kept = json.loads((tmp_path / "day.json").read_text())
    assert [part["state"] for part in kept["parts"]] == ["failed", "done"]
    assert len(kept["rows"]) == 2
    assert (tmp_path / "table.md").read_text() in said


def test_only_the_parts_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Part(name, 5, [*SHELL, f"open({str(tmp_path / name)!r}, 'w')"]) for name in ("one", "two")]
    monkeypatch.setattr(day, "parts", lambda *_: made)
    assert main([str(tmp_path), "--only", "two"]) == 0
    assert not (tmp_path / "one").exists()
    assert (tmp_path / "two").exists()
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--only", "three"])


def test_an_empty_day_has_a_table() -> None:
    assert table([], []).startswith("| part |")


def test_the_script_carries_the_commit_along(tmp_path: Path) -> None:
    """In a copy without .git, by a file that was written before; and a folder of wheels may hold what does not fit."""
    for name in ("benchmarks/gpu/day.sh", "benchmarks/gpu/day.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((day.ROOT / name).read_bytes())
    (tmp_path / "benchmarks/gpu/day.py").write_text("import os, sys; print(os.environ['SQE_COMMIT'], *sys.argv[1:])")
    for package in ("benchmarks", "benchmarks/gpu"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / ".commit").write_text("0123abc\n")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/no_such_package-1-py3-none-any.whl").write_bytes(b"")
    command = ["bash", str(tmp_path / "benchmarks/gpu/day.sh"), "--dry", "out"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0123abc", "--dry", "out"]
    assert "not installed: wheels/no_such_package" in done.stderr
