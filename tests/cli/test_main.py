"""The command line: what goes where, exit codes, and what a person sees."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from sqe_fast.answer.template import TEMPLATE
from sqe_fast.audio import Channels, Limits, Raw
from sqe_fast.audio.timeline import Timeline
from sqe_fast.cli import main, options
from sqe_fast.cli.terminal import TableRows, progress_text, shortened
from sqe_fast.errors import UnusableError
from sqe_fast.jobs.rows import Origin
from sqe_fast.jobs.run import Progress
from sqe_fast.jobs.summary import Summary
from sqe_fast.options import Sandbox, Serving
from sqe_fast.results import Comparison, Evaluation, Stretch
from tests.support.fake_scorer import FakeScorer, mos_of, timed
from tests.support.terminals import on_a_terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the evaluator was opened with."""
    calls: list[tuple[Any, ...]] = []

    def open_fake(model: str, serving: Serving, limits: Limits | None) -> FakeScorer:
        calls.append((model, serving, limits))
        return FakeScorer()

    monkeypatch.setattr(options, "open_evaluator", open_fake)
    return calls


def sqe(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main.app, list(arguments), input=stdin)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- score -----------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_jsonl_and_nothing_else() -> None:
    result = sqe("score", "a.wav", "b.wav")
    assert result.exit_code == 0
    assert [row["file"] for row in rows(result.stdout)] == ["a.wav", "b.wav"]
    assert rows(result.stdout)[0]["description"]
    assert result.stderr == ""


def test_no_describe() -> None:
    assert rows(sqe("score", "a.wav", "--no-describe").stdout)[0]["description"] is None


@pytest.mark.parametrize("describe", ["--describe", "--no-describe"])
def test_a_timeline_has_a_row_for_each_window(describe: str, tmp_path: Path) -> None:
    spans = [(0.0, 4.0), (2.0, 6.0), (4.0, 8.0), (None, None)]
    command = ["score", "a.wav", "b.wav", "--timeline", "--window", "4", "--hop", "2", describe]
    found = rows(sqe(*command).stdout)
    assert [(row["file"], row["start"], row["end"]) for row in found] == [
        (file, *span) for file in ("a.wav", "b.wav") for span in spans
    ]
    assert [row["description"] is not None for row in found] == [False, False, False, describe == "--describe"] * 2
    assert sqe(*command, "-o", str(tmp_path / "rows.csv")).exit_code == 0
    table = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text())))
    assert [(row["start"], row["end"], row["mos"]) for row in table] == [
        tuple("" if value is None else str(value) for value in (row["start"], row["end"], row["mos"])) for row in found
    ]
    assert rows(sqe("score", "a.wav", "--timeline").stdout)[0]["end"] == 5.0
    assert "start" not in rows(sqe("score", "a.wav").stdout)[0]


def test_some_failed() -> None:
    result = sqe("score", "a.wav", "bad.wav", "c.wav")
    assert result.exit_code == 1
    assert [row["error"] is None for row in rows(result.stdout)] == [True, False, True]
    assert "1 of 3 items failed" in result.stderr


def test_stdin_and_csv() -> None:
    result = sqe("score", "-", "--format", "csv", stdin="a.wav\nb.wav\n")
    assert [row["file"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["a.wav", "b.wav"]


def test_what_a_list_says_is_carried_to_the_rows(tmp_path: Path) -> None:
    """Rows that can no longer be joined with the speakers and human ratings that their list has."""
    path = tmp_path / "list.tsv"
    path.write_text("id\tpath\tmos\n7\ta.wav\t3.5\n8\tbad.wav\t\n")
    found = rows(sqe("score", str(path), "b.wav").stdout)
    assert [row.get("given") for row in found] == [{"id": "7", "mos": "3.5"}, {"id": "8", "mos": ""}, None]
    table = list(csv.DictReader(io.StringIO(sqe("score", str(path), "b.wav", "--format", "csv").stdout)))
    assert [(row["given.id"], row["given.mos"]) for row in table] == [("7", "3.5"), ("8", ""), ("", "")]
    assert table[0]["mos"] == str(rows(sqe("score", str(path)).stdout)[0]["mos"])
    output = str(tmp_path / "out.csv")
    assert sqe("score", str(path), "-o", output).exit_code == 1
    assert sqe("score", str(path), "b.wav", "-o", output, "--resume").exit_code == 1
    assert len(Path(output).read_text().splitlines()) == 4


def test_two_talkers_have_two_rows() -> None:
    result = sqe("score", "a.wav", "call.wav", "bad call.wav")
    found = [(row["file"], row["channel"]) for row in rows(result.stdout)]
    assert found == [("a.wav", None), *((name, channel) for name in ("call.wav", "bad call.wav") for channel in (0, 1))]
    assert (result.exit_code, "1 of 3 items failed" in result.stderr) == (1, True)
    assert [row["channel"] for row in rows(sqe("score", "call.wav", "--channels", "mix").stdout)] == [None]
    assert [row["channel"] for row in rows(sqe("score", "a.wav", "--channels", "each").stdout)] == [0, 1]
    assert [row["channel"] for row in rows(sqe("score", "call.wav", "a.wav", "--channels", "1").stdout)] == [1, 1]
    table = list(csv.DictReader(io.StringIO(sqe("score", "a.wav", "call.wav", "--format", "csv").stdout)))
    assert [row["channel"] for row in table] == ["", "0", "1"]
    drawn = sqe("score", "call.wav", "a.wav", "--format", "table").stdout
    assert [line.split("  ")[0] for line in drawn.splitlines() if ".wav" in line] == [
        "call.wav ch 0",
        "call.wav ch 1",
        "a.wav",
    ]


@pytest.mark.parametrize(("name", "first"), [("out.CSV", "file,"), ("out.jsonl", '{"file"'), ("out", '{"file"')])
def test_an_output_file(name: str, first: str, tmp_path: Path) -> None:
    path = tmp_path / name
    result = sqe("score", "a.wav", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text().startswith(first)
    again = sqe("score", "a.wav", "b.wav", "-o", str(path))
    assert again.exit_code == 3
    assert "--resume" in again.stderr
    assert sqe("score", "a.wav", "b.wav", "-o", str(path), "--resume").exit_code == 0
    assert path.read_text().count("a.wav") == path.read_text().count("b.wav") == 1


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_failures_are_tried_again(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has been repaired, and a row that says for ever that it is broken."""
    path = tmp_path / f"out.{suffix}"
    assert sqe("score", "a.wav", "bad.wav", "c.wav", "-o", str(path)).exit_code == 1
    before = path.read_text()
    arguments = ["score", "a.wav", "bad.wav", "c.wav", "-o", str(path), "--resume"]
    assert sqe(*arguments).exit_code == 1
    assert path.read_text() == before
    assert sqe(*arguments, "--retry-errors").exit_code == 1
    assert sorted(path.read_text().splitlines()) == sorted(before.splitlines())
    monkeypatch.setattr(options, "open_evaluator", lambda *_: Repaired())
    result = sqe(*arguments, "--retry-errors")
    assert (result.exit_code, result.stderr[:44]) == (0, "3 recordings, 15.8 s of audio: 1 scored now,")
    assert path.read_text().count("bad.wav") == 1
    assert "too_short" not in path.read_text()
    assert sorted(tmp_path.iterdir()) == [path]


class Repaired(FakeScorer):
    """Nothing is bad any more."""

    def evaluation(self, file: str, describe: bool = True) -> Evaluation:
        return replace(super().evaluation(file.replace("bad", "good"), describe), file=file)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize(("first", "then"), [("--describe", "--no-describe"), ("--no-describe", "--describe")])
def test_rows_of_two_kinds_are_not_mixed(first: str, then: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{suffix}"
    assert sqe("score", "a.wav", first, "-o", str(path)).exit_code == 0
    before = path.read_bytes()
    result = sqe("score", "a.wav", "b.wav", then, "-o", str(path), "--resume")
    assert result.exit_code == 3
    assert first in result.stderr
    assert path.read_bytes() == before
    assert sqe("score", "a.wav", "b.wav", first, "-o", str(path), "--resume").exit_code == 0


def test_a_job_sums_up(tmp_path: Path) -> None:
    """Nobody reads a million rows to see that half of them are errors."""
    names = [f"{n}.wav" for n in range(8)] + ["bad.wav", "call.wav"]
    result = sqe("score", *names, "-o", str(tmp_path / "rows.parquet"))
    lines = result.stderr.splitlines()
    assert lines[0] == "10 recordings, 52.5 s of audio: 10 scored now, 0 already there, 1 failed"
    assert lines[1] == "  rows           11: channels that are heard by themselves have one each"
    assert lines[2] == "  noisiness       5 % 4.2   25 % 4.2   50 % 4.2   75 % 4.2   95 % 4.2"
    assert [line.split()[0] for line in lines[2:7]] == ["noisiness", "coloration", "discontinuity", "loudness", "mos"]
    assert lines[7:9] == ["  flags          clipped 10, no_speech 10", "  errors         too_short 1"]
    assert "1 of 10 items failed" in lines[9]
    again = sqe("score", *names, "-o", str(tmp_path / "rows.parquet"), "--resume")
    assert again.stderr.splitlines()[0].endswith(": 0 scored now, 10 already there, 1 failed")
    assert again.stderr.splitlines()[1:] == lines[1:]


def test_resumed_failures_still_count(tmp_path: Path) -> None:
    path = str(tmp_path / "out.jsonl")
    assert sqe("score", "bad.wav", "-o", path).exit_code == 1
    result = sqe("score", "bad.wav", "-o", path, "--resume")
    assert result.exit_code == 1
    assert "1 of 1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["score"],
        ["score", "a.wav", "--format", "xml"],
        ["score", "a.wav", "--resume"],
        ["score", "a.wav", "-o", "x.jsonl", "--retry-errors"],
        ["score", "a.wav", "-o", "x.json"],
        ["score", "a.wav", "-o", "x.tsv"],
        ["score", "a.wav", "-o", "x.txt", "--format", "table"],
        ["score", "a.wav", "--format", "parquet"],
        ["compare", "a.wav", "b.wav", "--format", "parquet"],
        ["score", "a.wav", "--threads", "0"],
        ["score", "a.wav", "--window", "5"],
        ["score", "a.wav", "--timeline", "--window", "31"],
        ["score", "a.wav", "--timeline", "--window", "5", "--hop", "2"],
        ["score", "a.wav", "--raw", "rate=8000,encoding=mp3"],
        ["score", "a.wav", "--channels", "left"],
        ["score", "a.wav", "--channels", "-1"],
        ["compare", "a.wav", "b.wav", "--channels", "each"],
        ["rank", "a.wav", "b.wav", "--channels", "each"],
        ["rank", "a.wav", "b.wav", "-o", "{empty}/ranking.parquet"],
        ["rank", "a.wav", "b.wav", "-o", "{empty}/absent/ranking.csv"],
        ["rank", "a.wav", "b.wav", "-o", "{empty}/ranking.csv", "--format", "table"],
        ["compare", "a.wav", "b.wav", "--raw", "8000"],
        ["score", "{list}", "--column", "take"],
        ["score", "{list}"],
        ["score", "{empty}"],
        ["score", "{csv}"],
        ["compare", "a.wav"],
        ["compare", "a.wav", "b.wav", "--format", "csv"],
        ["export", "{empty}/absent"],
        ["nonsense"],
    ],
)
def test_usage(arguments: list[str], tmp_path: Path, opened: list[Any]) -> None:
    """Refused before a model is loaded."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "m.csv").write_text("name\nx.wav\n")
    (tmp_path / "empty.tsv").write_text("file\n")
    places = {"empty": tmp_path / "empty", "csv": tmp_path / "m.csv", "list": tmp_path / "empty.tsv"}
    filled = [argument.format(**places) for argument in arguments]
    result = sqe(*filled)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert opened == []


def test_options_reach_the_evaluator(opened: list[Any]) -> None:
    """Two options of one type exchanged on their way, or a default that stands in two places and differs."""
    sqe("score", "a.wav")
    sqe("score", "a.wav", "--model", "dir", "--device", "cuda:1", "--threads", "2", "--slots", "3", "--no-sandbox")
    sqe("compare", "a.wav", "b.wav", "--device", "torch-cpu", "--adapter", "lora", "--max-length", "99")
    sqe("info", "--device", "cuda", "--encoder", "onnx", "--precision", "bf16")
    assert opened == [
        ("tiny", Serving(sandbox=Sandbox()), None),
        ("dir", Serving(device="cuda:1", threads=2, slots=3), None),
        ("tiny", Serving(device="torch-cpu", adapter=Path("lora"), max_length=99), None),
        ("tiny", Serving(device="cuda", encoder="onnx", precision="bf16"), None),
    ]


def test_help_names_exit_codes_and_examples() -> None:
    """A newcomer's first questions: what do I type, and what does a status of 3 mean?"""
    for command in ("score", "compare", "rank", "monitor"):
        text = sqe(command, "-h").stdout
        assert f"  sqe {command} " in text
        assert "3    model, device or output unusable" in text


@pytest.mark.parametrize(
    ("command", "missing", "told"),
    [
        (["serve"], "starlette", 'serve needs starlette: pip install "sqe-fast[serve]"'),
        (["export", "."], "onnx", 'export needs onnx: pip install "sqe-fast[train]"'),
    ],
)
def test_a_missing_extra_is_named(command: list[str], missing: str, told: str) -> None:
    """A traceback of an import in the place of the line that installs it."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['sqe', *{command!r}]\n"
        "from sqe_fast.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"sqe: {told}")
    assert "Traceback" not in done.stderr


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "sqe_fast", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("sqe-fast ")


@pytest.mark.parametrize("command", [["score", "a.wav"], ["compare", "a.wav", "b.wav"], ["info"]])
def test_unusable(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UnusableError("no CUDA device")

    monkeypatch.setattr(options, "open_evaluator", refuse)
    result = sqe(*command)
    assert result.exit_code == 3
    assert (result.stdout, result.stderr) == ("", "sqe: no CUDA device\n")


def test_a_full_disk_is_exit_3() -> None:
    assert sqe("score", "a.wav", "-o", "/dev/full").exit_code == 3


# --- compare, info ---------------------------------------------------------------------------------------------------


def test_compare() -> None:
    result = sqe("compare", "a.wav", "b.wav")
    assert result.exit_code == 0
    [row] = rows(result.stdout)
    assert (row["winner"], row["probability"], row["a"]["file"]) == ("A", 0.8125, "a.wav")
    assert sqe("compare", "a.wav", "bad.wav").exit_code == 1


def test_compare_takes_what_score_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of which one talker is compared, and PCM without a header."""
    compared: list[tuple[Any, ...]] = []

    class Listening(FakeScorer):
        def compare(self, a: Any, b: Any, describe: bool = True, channels: Channels = "auto") -> Comparison:
            compared.append((a, b, channels))
            return super().compare("a", "b", describe, channels)

    monkeypatch.setattr(options, "open_evaluator", lambda *_: Listening())
    [row] = rows(sqe("compare", "a.wav", "b.wav", "--channels", "1").stdout)
    assert (row["a"]["channel"], row["b"]["channel"]) == (1, 1)
    assert sqe("compare", "a.ul", "b.ul", "--raw", "rate=8000,encoding=mulaw,channels=2").exit_code == 0
    assert compared == [
        ("a.wav", "b.wav", 1),
        (Raw("a.ul", 8_000, "mulaw", 2), Raw("b.ul", 8_000, "mulaw", 2), "auto"),
    ]


def test_compare_as_a_table() -> None:
    text = sqe("compare", "a.wav", "b.wav", "--format", "table").stdout
    assert text.index("a.wav") < text.index("b.wav") < text.index("A is better") < text.index("less hiss")
    assert "0.81" in text
    assert "no verdict" in sqe("compare", "a.wav", "bad.wav", "--format", "table").stdout


@pytest.mark.parametrize("format_", ["table", "jsonl"])
def test_a_comparison_without_a_verdict_is_exit_1(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip against silence: no error, no verdict, and a script that goes on as if there were one."""

    class Silent(FakeScorer):
        def compare(self, a: str, b: str, describe: bool = True, channels: Channels = "auto") -> Comparison:
            return Comparison(self.evaluation(a, False), Evaluation(b, flags=("silent",)))

    monkeypatch.setattr(options, "open_evaluator", lambda *_: Silent())
    assert sqe("compare", "a.wav", "silence.wav", "--format", format_).exit_code == 1


def test_rank() -> None:
    result = sqe("rank", "a.wav", "b.wav", "c.wav")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert [row["place"] for row in found] == [1, 2, 3]
    assert [row["mos"] for row in found] == sorted((round(mos_of(f"{name}.wav"), 3) for name in "abc"), reverse=True)
    assert [(row["tied"], row["probability"]) for row in found] == [(False, 0.8125), (True, 0.8125), (None, None)]
    assert [row["description"] for row in found] == [None] * 3
    assert rows(sqe("rank", "a.wav", "b.wav", "--describe").stdout)[0]["description"] == "A has less hiss."


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_what_a_list_says_stands_in_the_ranking(format_: str, tmp_path: Path) -> None:
    """Values that stay in the order of the list while the recordings are sorted; an error of a list left out."""
    path = tmp_path / "list.tsv"
    path.write_text("id\tpath\n7\ta.wav\n8\tbad.wav\n9\tc.wav\n")
    missing = str(tmp_path / "none.csv")
    result = sqe("rank", str(path), missing, "--format", format_)
    assert result.exit_code == 1
    assert "2 of 4 items failed" in result.stderr
    if format_ == "csv":
        found = [(row["file"], row["given.id"], row["place"]) for row in csv.DictReader(io.StringIO(result.stdout))]
    else:
        found = [
            (row["file"], row.get("given", {}).get("id", ""), str(row["place"] or "")) for row in rows(result.stdout)
        ]
    ids = {str(tmp_path / "a.wav"): "7", str(tmp_path / "bad.wav"): "8", str(tmp_path / "c.wav"): "9", missing: ""}
    assert [(file, id) for file, id, _ in found] == [(file, ids[file]) for file, _, _ in found]
    assert [place for _, _, place in found] == ["1", "2", "", ""]
    assert {file for file, _, _ in found} == set(ids)


def test_rank_as_a_table() -> None:
    text = sqe("rank", "a.wav", "bad.wav", "b.wav", "c.wav", "--describe", "--format", "table").stdout
    order = [
        "1. better than the next (probability: 0.81)",
        "less hiss",
        "2. tie with the next",
        "3. last",
        "not ranked",
    ]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert text.index("bad.wav") > text.index("3. last")


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_ranking_in_a_file(suffix: str, tmp_path: Path) -> None:
    """The same bytes as on standard output, in place of what stood there."""
    path = tmp_path / f"ranking.{suffix}"
    path.write_text("what was there, and longer than any ranking\n" * 99)
    result = sqe("rank", "a.wav", "b.wav", "c.wav", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text() == sqe("rank", "a.wav", "b.wav", "c.wav", "--format", suffix).stdout


def test_a_ranking_that_cannot_be_written_is_exit_3(tmp_path: Path) -> None:
    result = sqe("rank", "a.wav", "b.wav", "-o", str(tmp_path), "--format", "csv")
    assert result.exit_code == 3
    assert "cannot be written" in result.stderr


def test_a_ranking_into_a_closed_pipe_is_exit_3() -> None:
    command = f"{sys.executable} -m sqe_fast rank missing.wav > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 3
    assert "No space left" in done.stderr


def test_info(tmp_path: Path) -> None:
    card = {
        "name": "small",
        "template": TEMPLATE,
        "sha256": {"model.safetensors": "ab" * 32, "tokenizer.json": "cd" * 32},
    }
    (tmp_path / "sqe_fast.json").write_text(json.dumps(card))
    result = sqe("info", "--model", str(tmp_path))
    assert result.exit_code == 0
    facts = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert facts["runner"] == "fake"
    assert facts["sha256"] == "ab" * 32
    assert facts["template"] == TEMPLATE
    assert {"folder", "size", "licence", "numpy", "soundfile", "soxr"} <= set(facts)


def test_version_and_help() -> None:
    assert re.fullmatch(r"sqe-fast \S+\n", sqe("--version").stdout)
    for command in ("score", "report", "compare", "rank", "monitor", "info", "export"):
        assert command in sqe("--help").stdout
        assert sqe(command, "--help").exit_code == 0


def test_help_loads_no_model() -> None:
    code = (
        "import sys\nfrom sqe_fast.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit: pass\n"
        "print({'numpy', 'onnxruntime', 'soundfile', 'tokenizers', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "set()\n"


# --- what a person sees ----------------------------------------------------------------------------------------------


def test_a_table_tells_where_nobody_speaks() -> None:
    """A page of times for a call of many pauses; the recording's own for one that is not rated at all."""
    stretches = tuple(Stretch(60.0 * n, 60.0 * n + 9.5, "sound" if n else "pause") for n in range(8))
    rated = replace(FakeScorer().evaluation("a.wav"), no_speech=stretches)
    stream = io.StringIO()
    table = TableRows(Console(file=stream, width=200, force_terminal=False))
    table.write([rated], Origin())
    table.write([replace(rated, ratings=None, no_speech=stretches[:1])], Origin())
    text = " ".join(stream.getvalue().split())
    assert text.count("nobody speaks: ") == 1
    assert "nobody speaks: 0.0–9.5 s (pause), 1:00–1:10 (sound), 2:00–2:10 (sound)," in text
    assert "5:00–5:10 (sound), 2 more" in text


def drawn(width: int, *files: str, timeline: Timeline | None = None) -> list[str]:
    stream = io.StringIO()
    table = TableRows(Console(file=stream, width=width, force_terminal=False))
    for file in files:
        table.write([timed(FakeScorer().evaluation(file), timeline)], Origin())
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_table_fits_and_its_columns_stand_under_their_heads(width: int) -> None:
    lines = drawn(width, "a.wav", "a/very/long/path/" * 9 + "end.wav", "bad.wav")
    assert all(len(line) <= width for line in lines)
    heading, first = lines[0].split(), lines[1].split()
    assert heading[:2] == ["file", "mos"]
    assert first == ["a.wav", f"{mos_of('a.wav'):.1f}", "±0.4", "4.2", "3.0", "2.0", "1.5", "5.2", "s"]
    for head, value in zip(heading[2:6], ["4.2", "3.0", "2.0", "1.5"], strict=True):
        assert lines[0].index(head) + len(head) == lines[1].index(value) + len(value)
    assert "discontinuity" in lines[0] if width >= 100 else "breaks" in lines[0]
    assert any(line.startswith("…") and "end.wav" in line for line in lines)
    assert "    causes: packet loss (97%), unclear noise (50%)" in lines
    assert "    flags: clipped=0.120, no_speech" in lines
    assert any("too_short: pass at least 0.4 s" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40])
def test_a_narrow_terminal_shows_every_rating(width: int) -> None:
    """Ratings that are cropped away at the right."""
    lines = drawn(width, "a/very/long/path/" * 9 + "a.wav", "bad.wav")
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    name = "a/very/long/path/" * 9 + "a.wav"
    assert f"mos {mos_of(name):.1f} ±0.4, noisiness 4.2, coloration 3.0, discontinuity 2.0, loudness 1.5" in text
    assert "not rated" in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_windows_stand_under_their_recording(width: int) -> None:
    lines = drawn(width, "a.wav", "bad.wav", timeline=Timeline(4.0, 2.0))
    assert all(len(line) <= width for line in lines)
    spans = ("0.0–4.0 s", "2.0–6.0 s", "4.0–8.0 s")
    first, second, last = ([line[:11] for line in lines].index(f"  {span}") for span in spans)
    ratings = slice(lines[1].index(" ±") - 3, lines[1].index("1.5") + 3)
    assert lines[first][ratings] == lines[last][ratings] == lines[1][ratings]
    assert lines[first + 1] == "    packet loss (97%)"
    assert lines[second].split()[-1] == "silent"
    assert second == first + 2
    assert lines[last + 2].startswith("bad.wav")


def test_a_narrow_terminal_shows_every_window() -> None:
    text = " ".join(" ".join(drawn(40, "a.wav", timeline=Timeline(4.0, 2.0))).split())
    assert f"0.0–4.0 s: mos {mos_of('a.wav'):.1f} ±0.4, noisiness 4.2" in text
    assert "loudness 1.5; packet loss (97%) 2.0–6.0 s: silent 4.0–8.0 s: mos" in text


def test_names_are_made_safe_for_a_terminal() -> None:
    assert shortened("a\x1b[31m\n\udcff.wav", 40) == "a?[31m??.wav"
    assert shortened("abcdef", 4) == "…def"
    assert shortened("abcd", 4) == "abcd"


def test_progress() -> None:
    progress = Progress(20, 10, 300.0, Summary(failed=2))
    assert progress_text(progress, 70, 10.0) == "30/70, 2.0 a second, 30 × real time, 20.0 s left, 2 failed"
    assert progress_text(Progress(written=1), None, 1.0) == "1, 1.0 a second, 0 × real time"
    for total, left in ((126, "2:05"), (3_662, "1:01:01"), (36_001, "10:00:00")):
        assert progress_text(Progress(written=1), total, 1.0).endswith(f", {left} left")


RUN = """
import sys, time
from sqe_fast.audio import Channels, Raw
from sqe_fast.cli import main, options
from tests.support.fake_scorer import FakeScorer

seconds = float(sys.argv.pop(1))

class Slow(FakeScorer):
    def evaluation(self, file, describe=True):
        time.sleep(seconds)
        return super().evaluation(file, describe)

options.open_evaluator = lambda *options: Slow()
main.main()
"""


def command(seconds: float, *arguments: str) -> list[str]:
    return [sys.executable, "-c", RUN, str(seconds), *arguments]


def run_in_bash(redirection: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    shell = ["bash", "-c", f'"$@" {redirection}', "-", *command(0.0, *arguments)]
    kept = {**os.environ, **environment}
    return subprocess.run(
        shell, capture_output=True, text=True, cwd=ROOT, env=kept, timeout=120, stdin=subprocess.DEVNULL
    )


def test_closed_streams(tmp_path: Path) -> None:
    """A daemon's child, started without standard streams: AttributeError."""
    output = str(tmp_path / "out.jsonl")
    assert run_in_bash("<&-", "score", "a.wav").returncode == 0
    assert run_in_bash("<&- >&- 2>&-", "score", "a.wav", "-o", output).returncode == 0
    assert rows(Path(output).read_text())[0]["file"] == "a.wav"
    for arguments in (["score", "a.wav"], ["compare", "a.wav", "b.wav"], ["info"]):
        done = run_in_bash(">&-", *arguments)
        assert (done.returncode, done.stderr[:31]) == (3, "sqe: standard output is closed:")
    done = run_in_bash("<&-", "score", "-")
    assert (done.returncode, done.stderr[:30]) == (2, "sqe: standard input is closed:")


def test_a_locale_without_our_characters() -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run_in_bash("", "score", "a.wav", "bad.wav", "ü.wav", "--format", "table", **plain)
    assert done.returncode == 1
    assert "~0.4" in done.stdout
    assert done.stdout.isascii()
    assert "Traceback" not in done.stderr


def test_on_a_terminal_a_table_with_progress_below_it() -> None:
    """Both share the screen: the line of progress is always wiped before a row is printed."""
    text, status = on_a_terminal(command(0.01, "score", "a.wav", "b.wav", "bad.wav"), 100, ROOT)
    assert status == 1
    assert "1/3, " in text
    # What is left on the screen: of each line, what follows the last wipe.
    screen = [re.sub(r"\x1b\[[0-9;]*m", "", line.split("\x1b[K")[-1]).rstrip("\r") for line in text.split("\n")]
    assert not any("real time" in line for line in screen)
    assert [line.split()[0] for line in screen if line and not line.startswith(" ")] == [
        "file", "a.wav", "b.wav", "bad.wav", "sqe:",
    ]  # fmt: skip


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals(signum: signal.Signals, code: int, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    names = [f"{n}.wav" for n in range(500)]
    process = subprocess.Popen(command(0.005, "score", *names, "-o", str(path)), cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 5:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.decode() == f"sqe: {signum.name}: rows written so far are complete\n"
    found = [row["file"] for row in rows(path.read_text())]
    assert found == names[: len(found)]
    assert sqe("score", *names, "-o", str(path), "--resume").exit_code == 0
    assert [row["file"] for row in rows(path.read_text())] == names


def test_a_reader_that_has_gone_is_exit_3() -> None:
    process = subprocess.Popen(
        command(0.0, "score", *["a.wav"] * 5_000), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read().decode() == "sqe: cannot write to standard output: Broken pipe\n"
    assert process.wait(60) == 3
