"""`push` beside the least that it can cost, a copy of the samples. Target: 99 of 100 within 0.2 ms.

pytest benchmarks/streaming/test_push.py -s
"""

from __future__ import annotations

import time

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming import load
from benchmarks.streaming.sound import RATE, Speech
from sqe_fast import Evaluator

SESSIONS = 8
"""Busy enough that the engine never rests."""


def test_push(benchmark: BenchmarkFixture, speech: Speech, seconds: float) -> None:
    with Evaluator.from_pretrained() as evaluator:
        found = benchmark.pedantic(load.run, args=(evaluator, load.sounds(speech, SESSIONS), seconds), rounds=1)
    assert found.windows == sum(load.windows_of(each.duration) for each in found.summaries)
    copies = [_copy() for _ in range(len(found.pushes))]
    [p50, p99] = np.percentile(found.pushes, [50, 99]) * 1e3
    peer = float(np.percentile(copies, 99)) * 1e3
    benchmark.extra_info.update(p50_ms=round(p50, 4), p99_ms=round(p99, 4), copy_p99_ms=round(peer, 4))
    print(
        f"\npush of 20 ms, {len(found.pushes)}: p50 {p50:.3f} ms, p99 {p99:.3f} ms, most "
        f"{max(found.pushes) * 1e3:.2f} ms; a copy's p99 {peer:.3f} ms"
    )


_SAMPLES, _PLACE = np.zeros(round(0.02 * RATE), np.int16), np.zeros(round(0.02 * RATE), np.float32)


def _copy() -> float:
    started = time.perf_counter()
    np.multiply(_SAMPLES, 1 / 32_768, out=_PLACE, casting="unsafe")
    return time.perf_counter() - started
