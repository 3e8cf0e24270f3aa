"""How a job goes on with an output of a million rows: seconds until it scores again, and memory.

    python -m benchmarks.jobs.resume --rows 1000000 [--formats jsonl csv parquet]

The rows are a fake model's, which costs nothing. Each format is resumed in a process of its own, with as many names and
ten more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sqe_fast.jobs import run
from sqe_fast.jobs.outputs import FORMATS, open_rows
from sqe_fast.jobs.rows import Origin
from tests.support.fake_scorer import FakeScorer
from tests.support.memory import peak_bytes

MORE = 10


def name_of(number: int) -> str:
    return f"corpus/speaker-{number % 1_000:04}/utterance-{number:09}.flac"


def write(path: Path, format_name: str, count: int) -> None:
    pattern = FakeScorer().evaluation("a.wav")
    with open_rows(path, format_name, resume=False) as writer:
        for number in range(count):
            origin = Origin(fingerprint=f"{number + 40_000}:17645012341234{number:05}", options=str(run.DEFAULT))
            writer.write([replace(pattern, file=name_of(number))], origin)


def resume(path: Path, format_name: str, count: int) -> dict[str, object]:
    before, start = peak_bytes(), time.perf_counter()
    with open_rows(path, format_name, resume=True) as writer:
        opened = time.perf_counter() - start
        progress = run.run(FakeScorer(), map(name_of, range(count + MORE)), writer)  # type: ignore[arg-type]
    whole = time.perf_counter() - start
    assert (progress.skipped, progress.written) == (count, MORE)
    assert progress.summary.recordings == count + MORE
    return {
        "format": format_name,
        "rows": count,
        "megabytes": round(size_of(path) / 1e6),
        "seconds_to_read_back": round(opened, 2),
        "seconds_until_done": round(whole, 2),
        "megabytes_of_memory": round((peak_bytes() - before) / 1e6),
    }


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.resume:
        print(json.dumps(resume(chosen.resume, chosen.formats[0], chosen.rows)))
        return 0
    with tempfile.TemporaryDirectory(prefix="sqe-fast-resume-") as scratch:
        for format_name in chosen.formats:
            path = Path(scratch) / f"rows.{format_name}"
            write(path, format_name, chosen.rows)
            command = [sys.executable, "-m", "benchmarks.jobs.resume", "--rows", str(chosen.rows)]
            subprocess.run([*command, "--formats", format_name, "--resume", str(path)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
