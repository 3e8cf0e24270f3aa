"""A fresh process: import, load, first score. Seconds and the most memory that was resident.

pytest benchmarks/engine/test_start_up.py --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS
from benchmarks.turns import describe as say
from tests.golden.clips import EXAMPLES

CODE = """
import json, re, sys, time
start = time.perf_counter()
from sqe_fast import Evaluator
evaluator = Evaluator.from_pretrained("tiny", threads=int(sys.argv[3]))
loaded = time.perf_counter()
[first] = evaluator.evaluate([sys.argv[1]], describe=sys.argv[2] == "True")
scored = time.perf_counter()
resident = re.search("VmHWM: *([0-9]+)", open("/proc/self/status").read().replace("\\t", " "))
print(json.dumps([loaded - start, scored - start, first.mos, int(resident[1]) / 1024]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
@pytest.mark.parametrize("describe", [False, True], ids=["ratings", "described"])
def test_start_up(benchmark: BenchmarkFixture, describe: bool, quick: bool) -> None:
    clip = next(EXAMPLES.glob("*_clean.flac"))
    command = [sys.executable, "-c", CODE, str(clip), str(describe), str(THREADS)]
    seen = []

    def process() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seen.append(json.loads(done.stdout))
        assert 1 <= seen[-1][2] <= 5

    benchmark.group = f"start-up, {'described' if describe else 'ratings'}"
    benchmark.pedantic(process, rounds=2 if quick else 5, warmup_rounds=1)
    say(benchmark, ran="onnx-cpu", threads=THREADS, dtype="float32")
    loaded, scored, _, resident = (min(each) for each in zip(*seen, strict=True))
    benchmark.extra_info.update(
        load_seconds=round(loaded, 3), first_score_seconds=round(scored, 3), peak_mb=round(resident)
    )
