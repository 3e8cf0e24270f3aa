"""The parts of a card's day, each within its limit, whatever becomes of the others; then one table (see day.sh).

Of this package only what Python brings is imported here: what the parts need may be missing, and they then say so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUDGET_S = 480
LEVELS = {"ceilings": 15, "kernels": 75, "kl": 40, "whole": 75, "stages": 50, "answers": 35}
"""Of `python -m benchmarks.gpu`, and how many seconds each may take."""
KERNEL_TESTS = [
    f"tests/kernels/triton/test_{name}.py"
    for name in ("linear", "conv_stem", "packed_attention", "cached_attention", "projector", "read_out")
]
TESTS = [*KERNEL_TESTS, "tests/kernels/kl/cuda/test_on_gpu.py", "tests/runners/test_on_gpu.py"]
DRY_TESTS = ["tests/kernels/triton/test_on_device.py"]
SANITIZED = ["tests/kernels/kl/cuda/test_on_gpu.py", "-k", "bfloat16 and 1.7 and reverse"]
TAIL = 1_500
"""Characters of a part's log that the table shows where it failed."""


@dataclass(frozen=True)
class Part:
    name: str
    limit_s: int
    command: list[str]
    needs: str = ""
    """A program without which the part is left out, and said to be."""


@dataclass(frozen=True)
class Outcome:
    part: str
    state: str  # "done", "failed", "too long" or "left out"
    seconds: float
    said: str = ""  # the end of the log where it is not done


def parts(out: Path, dry: bool, architecture: str) -> list[Part]:
    python = sys.executable
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    levels = [python, "-m", "benchmarks.gpu", *(["--dry"] if dry else []), "--out", str(out / "rows.jsonl"), "--only"]
    return [
        Part("build", 60, ["bash", "-euxc", _build(out, dry, architecture)], "cmake"),
        Part("tests", 110, [*pytest, *DRY_TESTS] if dry else [*pytest, "--gpu", *TESTS]),
        Part(
            "sanitizer",
            20,
            ["compute-sanitizer", "--error-exitcode", "9", *pytest, "--gpu", *SANITIZED],
            "compute-sanitizer",
        ),
        *(Part(level, limit, [*levels, level]) for level, limit in LEVELS.items()),
    ]


def _build(out: Path, dry: bool, architecture: str) -> str:
    """The native module with the kernels of the fused KL for this card, beside the sources that import it."""
    folder, python = out / "build", sys.executable
    options = [f"-DPython_EXECUTABLE={python}", f"-Dpybind11_DIR=$({python} -m pybind11 --cmakedir)"]
    if not dry or shutil.which("nvcc"):
        options += ["-DSQE_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={architecture}"]
    configure = f"cmake -S . -B {folder} {' '.join(options)}"
    if dry:
        return configure
    return f"{configure} && cmake --build {folder} -j && cp {folder}/_native*.so sqe_fast/"


def architecture() -> str:
    """Of the first GPU, as CMake wants it: "90" of an H100; of none that can be asked as well."""
    if shutil.which("nvidia-smi") is None:
        return "90"
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return said[0].replace(".", "") if said else "90"


def run(part: Part, out: Path, environment: dict[str, str]) -> Outcome:
    """Ends the part, and what it started, at its limit."""
    if part.needs and shutil.which(part.needs) is None:
        return Outcome(part.name, "left out", 0.0, f"{part.needs} is not installed")
    log, start = out / f"{part.name}.log", time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            part.command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = process.wait(part.limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    seconds = round(time.monotonic() - start, 1)
    state = "too long" if code is None else "failed" if code else "done"
    said = "" if state == "done" else log.read_text(encoding="utf-8", errors="replace")[-TAIL:].strip()
    return Outcome(part.name, state, seconds, said)


COLUMNS = ("level", "case", "peer", "right", "ms", "peer_ms", "times_peer", "timed", "of")


def table(outcomes: list[Outcome], rows: list[dict[str, Any]]) -> str:
    """In Markdown: the parts, then every row with its share of what the card itself reaches, then what failed said."""
    ceilings = _ceilings(rows)
    lines = ["| part | state | s |", "| --- | --- | ---: |"]
    lines += [f"| {each.part} | {each.state} | {each.seconds:.1f} |" for each in outcomes]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for row in rows:
        row = {**row, "of": _share(row, ceilings)}
        lines.append("| " + " | ".join("" if row.get(name) is None else str(row[name]) for name in COLUMNS) + " |")
    for each in outcomes:
        if each.said:
            lines += ["", f"{each.part}, {each.state}:", *(f"    {line}" for line in each.said.splitlines())]
    return "\n".join(lines) + "\n"


RATES = {"tera_flops_per_second": "tera_flops_per_second", "least_giga_bytes_per_second": "giga_bytes_per_second"}
"""Of a row, and of the ceiling that it is compared with."""


def _ceilings(rows: list[dict[str, Any]]) -> dict[str, float]:
    found = [row for row in rows if row["level"] == "ceiling"]
    return {rate: max((row[rate] for row in found if rate in row), default=0.0) for rate in RATES.values()}


def _share(row: dict[str, Any], ceilings: dict[str, float]) -> str | None:
    """The larger of its shares of the card's two rates: what it is bound by."""
    shares = [row[own] / ceilings[rate] for own, rate in RATES.items() if row.get(own) and ceilings[rate]]
    return f"{max(shares):.0%}" if shares else None


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where a part is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("day"), help="folder (%(default)s)")
    parser.add_argument("--dry", action="store_true", help="without a GPU: that it all runs, small, and no times")
    parser.add_argument("--only", action="append", help="a part, by its name; may be given more than once")
    asked = parser.parse_args(arguments)
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    if asked.dry:
        environment["TRITON_INTERPRET"] = "1"
    chosen = parts(out, asked.dry, architecture())
    unknown = set(asked.only or ()) - {part.name for part in chosen}
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    outcomes = []
    for part in chosen:
        if asked.only and part.name not in asked.only:
            continue
        print(f"{part.name}: up to {part.limit_s} s", flush=True)
        outcomes.append(run(part, out, environment))
    file = out / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    (out / "day.json").write_text(json.dumps({"parts": [asdict(each) for each in outcomes], "rows": rows}, indent=1))
    (out / "table.md").write_text(table(outcomes, rows), encoding="utf-8")
    print(table(outcomes, rows))
    return 0 if all(each.state in ("done", "left out") for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
