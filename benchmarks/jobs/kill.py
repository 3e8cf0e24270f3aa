"""`kill -9` at random moments of a job, which is resumed each time: are its rows those of a job that nobody disturbed?

    python -m benchmarks.jobs.kill --clips 500 --kills 20

With the real model, through the command line, in each format. Ends with 1 where a row is lost, doubled or other than it
should be.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.jobs.clips import write_clips

SUFFIXES = ("jsonl", "csv", "parquet")


def rows_of(path: Path) -> list[object]:
    """In order."""
    if path.suffix == ".parquet":
        from sqe_fast.jobs.parquet import read_rows

        return list(read_rows(path))
    return list(path.read_bytes().splitlines())


def begun(folder: Path, output: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sqe_fast", "score", str(folder), "-o", str(output), "--resume", *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def undisturbed(folder: Path, output: Path, options: Sequence[str]) -> float:
    """Seconds that it took."""
    start = time.monotonic()
    if begun(folder, output, options).wait() not in (0, 1):  # 1: some files are no sound
        raise SystemExit(f"{output}: the job failed")
    return time.monotonic() - start


def killed(
    folder: Path, output: Path, options: Sequence[str], seconds: float, kills: int, rng: random.Random
) -> list[int]:
    """Kill the job `kills` times, then let it finish; how many rows stood after each kill. A job that is done before
    its moment has come does not count."""
    stood: list[int] = []
    while len(stood) < kills:
        job = begun(folder, output, options)
        try:
            job.wait(rng.uniform(0, 2 * seconds / max(1, kills // 2)))
        except subprocess.TimeoutExpired:
            job.kill()
            job.wait()
            stood.append(len(rows_of(output)) if output.exists() else 0)
        else:
            break
    undisturbed(folder, output, options)
    return stood


def differences(expected: list[object], found: list[object]) -> list[str]:
    if found == expected:
        return []
    lost = sum(row not in found for row in expected)
    strange = sum(row not in expected for row in found)
    return [f"{len(found)} rows where there should be {len(expected)}; {lost} lost, {strange} others, or out of order"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, nargs=2, default=(1.0, 6.0), help="of a clip")
    parser.add_argument("--formats", nargs="+", choices=SUFFIXES, default=SUFFIXES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="of sqe score, behind --")
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    failed = False
    with tempfile.TemporaryDirectory(prefix="sqe-fast-kill-") as scratch:
        folder = Path(scratch) / "clips"
        write_clips(folder, chosen.clips, tuple(chosen.seconds), chosen.seed)
        for suffix in chosen.formats:
            whole = Path(scratch) / f"whole.{suffix}"
            seconds = undisturbed(folder, whole, chosen.options)
            expected = rows_of(whole)
            stood: list[int] = []
            round_ = 0
            while len(stood) < chosen.kills:  # a job that is over is begun anew
                output = Path(scratch) / f"killed-{round_}.{suffix}"
                stood += killed(folder, output, chosen.options, seconds, chosen.kills - len(stood), rng)
                found = differences(expected, rows_of(output))
                failed |= bool(found)
                told = "; ".join(found) or f"{len(expected)} rows, equal to the undisturbed job's"
                print(f"{suffix}, job {round_}: rows after each kill so far {stood}: {told}", flush=True)
                round_ += 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
