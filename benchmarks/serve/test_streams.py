"""Live calls over WebSockets, in real time, against the same calls in process.

pytest benchmarks/serve/test_streams.py -s --seconds 60
"""

from __future__ import annotations

import asyncio
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.serve.clients import call, served
from benchmarks.streaming import load
from benchmarks.streaming.sound import Speech
from sqe_fast import Evaluator


@pytest.mark.parametrize("calls_at_once", [1, 8, 64])
def test_streams(benchmark: BenchmarkFixture, speech: Speech, seconds: float, calls_at_once: int) -> None:
    sounds = load.sounds(speech, calls_at_once)
    figures: dict[str, float] = {}

    def both() -> None:
        with Evaluator.from_pretrained() as evaluator:
            cpu = time.process_time()
            own = load.run(evaluator, sounds, seconds)
            here = (time.process_time() - cpu) / max(1, own.rated)
        with served() as server:
            cpu = server.cpu()
            found = asyncio.run(call(server.url, sounds, seconds))
            rated = sum(update["ratings"] is not None for update in found.updates)
            there = (server.cpu() - cpu) / max(1, rated)
        assert found.windows == calls_at_once * load.windows_of(seconds)
        figures.update(
            p50_age=found.ages(50), p95_age=found.ages(95), dropped=found.dropped / found.windows,
            in_process_p95_age=own.ages(95), in_process_dropped=own.dropped / own.windows, cpu_ratio=there / here,
        )  # fmt: skip

    benchmark.pedantic(both, rounds=1)
    benchmark.extra_info.update({name: round(value, 4) for name, value in figures.items()})
    print(
        f"\n{calls_at_once} calls, {seconds:g} s: age p50 {figures['p50_age']:.2f} s, p95 {figures['p95_age']:.2f} s "
        f"(in process {figures['in_process_p95_age']:.2f}), dropped {figures['dropped']:.2%} "
        f"(in process {figures['in_process_dropped']:.2%}), "
        f"processor time a window {figures['cpu_ratio']:.2f} × in process"
    )
