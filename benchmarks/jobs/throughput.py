"""Clips per second of a job, beside a plain loop and beside the model alone.

    python -m benchmarks.jobs.throughput --clips 300 --rounds 5 [--describe] [--ray]

The contenders take turns, each with a model of its own, opened before its turn, so that no cache helps the later ones:

- loop: one file after the other through `Evaluator.evaluate`, a row written for each
- job: `sqe_fast.jobs.run` into a JSONL file
- model: the requests of the same clips, put to the engine as fast as it takes them; audio was decoded before. Job /
  model is the overlap efficiency: 1 where decoding, features and rows cost the model nothing.
- ray 1, ray 2 (with --ray): the same by Ray Data, with one and two workers of one thread each; the cluster stands and
  each model is open before the clock starts only for the others, so these pay for both
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from benchmarks.jobs.clips import write_clips
from sqe_fast import Evaluator
from sqe_fast.engine.engine import Priority
from sqe_fast.engine.pipeline import Call
from sqe_fast.jobs import run
from sqe_fast.jobs.outputs import RowFile

Contender = Callable[[Evaluator, list[str], Path, run.Choices], None]


def loop(evaluator: Evaluator, paths: list[str], output: Path, choices: run.Choices) -> None:
    with output.open("w") as file:
        for path in paths:
            for each in evaluator.evaluate([path], choices.describe, channels=choices.channels):
                file.write(json.dumps(each.to_row()) + "\n")
                file.flush()


def job(evaluator: Evaluator, paths: list[str], output: Path, choices: run.Choices) -> None:
    with RowFile(str(output), "jsonl", resume=False) as writer:
        run.run(evaluator, paths, writer, choices)


class Model:
    """The model alone, on what the pipeline asked of it before."""

    def __init__(self, evaluator: Evaluator, paths: list[str], choices: run.Choices) -> None:
        self._asked: list[tuple[Any, Any]] = []
        submit = Call.submit

        def recorded(call: Call, program: Any, clips: Any) -> Future[Any]:
            self._asked.append((program, clips))
            return submit(call, program, clips)

        Call.submit = recorded  # type: ignore[method-assign]
        try:
            evaluator.evaluate(paths, choices.describe, channels=choices.channels)
        finally:
            Call.submit = submit  # type: ignore[method-assign]

    def __call__(self, evaluator: Evaluator, paths: list[str], output: Path, choices: run.Choices) -> None:
        call = evaluator._pipeline.call(Priority.BATCH)
        wait([call.submit(program, clips) for program, clips in self._asked])


def through_ray(count: int) -> Contender:
    def contend(evaluator: Evaluator, paths: list[str], output: Path, choices: run.Choices) -> None:
        from sqe_fast.jobs.ray_data import Workers, score

        score(paths, str(output), choices=choices, workers=Workers(count=count, batch=16))

    return contend


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seconds", type=float, nargs=2, default=(2.0, 10.0), help="of a clip")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--ray", action="store_true")
    chosen = parser.parse_args()
    choices = run.Choices(describe=chosen.describe, channels="mix")
    with tempfile.TemporaryDirectory(prefix="sqe-fast-rate-") as scratch:
        paths = [str(path) for path in write_clips(Path(scratch) / "clips", chosen.clips, tuple(chosen.seconds))]
        with opened(chosen.threads) as evaluator:
            model = Model(evaluator, paths, choices)
        contenders: dict[str, Contender] = {"loop": loop, "job": job, "model": model}
        if chosen.ray:
            contenders |= {f"ray {count}": through_ray(count) for count in (1, 2)}
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(chosen.rounds):
            for name, contend in contenders.items():
                with opened(chosen.threads) as evaluator:
                    start = time.perf_counter()
                    contend(evaluator, paths, Path(scratch) / f"{name}-{round_}", choices)
                    rates[name].append(len(paths) / (time.perf_counter() - start))
        _check(Path(scratch), chosen.clips)
    report = {
        "clips": chosen.clips, "seconds": chosen.seconds, "rounds": chosen.rounds, "threads": chosen.threads,
        "described": chosen.describe, "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "clips_per_second": {name: round(statistics.median(each), 2) for name, each in rates.items()},
        "job / loop": ratio(rates["job"], rates["loop"]),
        "job / model": ratio(rates["job"], rates["model"]),
    }  # fmt: skip
    print(json.dumps(report, indent=2))
    return 0


def opened(threads: int) -> Evaluator:
    return Evaluator.from_pretrained("tiny", device="cpu", threads=threads)


def ratio(ours: list[float], peer: list[float]) -> dict[str, float]:
    """Of the two in the same round."""
    each = sorted(a / b for a, b in zip(ours, peer, strict=True))
    return {"median": round(statistics.median(each), 3), "least": round(each[0], 3), "most": round(each[-1], 3)}


def _check(scratch: Path, count: int) -> None:
    """What was fast was also right: loop and job have the same ratings."""
    loops, jobs = ([json.loads(line) for line in (scratch / f"{name}-0").open()] for name in ("loop", "job"))
    assert len(loops) == len(jobs) == count
    assert [(row["file"], row["mos"]) for row in loops] == [(row["file"], row["mos"]) for row in jobs]


if __name__ == "__main__":
    sys.exit(main())
