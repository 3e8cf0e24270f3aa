"""Files over HTTP against the same files in process. Target: at 64 clients no more than 1.15 times the processor time
a clip.

    pytest benchmarks/serve/test_files.py -s
"""

from __future__ import annotations

import asyncio
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.serve.clients import clips, served, upload
from benchmarks.streaming.sound import Speech
from sqe_fast import Evaluator

CLIP_SECONDS = 5.0
ROUNDS = 3
"""In turn: what else a machine does then weighs on both."""


@pytest.mark.parametrize("clients", [1, 8, 64])
def test_files(benchmark: BenchmarkFixture, speech: Speech, uploads: int, clients: int) -> None:
    files = clips(speech, max(uploads, clients), CLIP_SECONDS)
    here = there = own_wall = wall = 0.0
    latencies: list[float] = []

    def both() -> None:
        nonlocal here, there, own_wall, wall
        with Evaluator.from_pretrained() as evaluator, served() as server:
            for _ in range(ROUNDS):
                began, cpu = time.perf_counter(), time.process_time()
                rows = [each.to_row() for each in evaluator.evaluate(files, describe=False)]
                own_wall += time.perf_counter() - began
                here += time.process_time() - cpu
                cpu = server.cpu()
                found = asyncio.run(upload(server.url, files, clients))
                there += server.cpu() - cpu
                wall += found.wall
                latencies.extend(found.latencies)
                for number, row in enumerate(rows):
                    assert found.rows[number] == row | {"file": f"{number}.wav", "source": 0}

    benchmark.pedantic(both, rounds=1)
    asked = len(files) * ROUNDS
    latencies.sort()
    figures = {
        "requests_per_s": asked / wall,
        "in_process_per_s": asked / own_wall,
        "p50_ms": 1e3 * latencies[len(latencies) // 2],
        "p99_ms": 1e3 * latencies[len(latencies) * 99 // 100],
        "cpu_ms_a_clip": 1e3 * there / asked,
        "cpu_ratio": there / here,
    }
    benchmark.extra_info.update({name: round(value, 3) for name, value in figures.items()}, clips=len(files))
    print(
        f"\n{clients} clients, {asked} files of {CLIP_SECONDS:g} s: {figures['requests_per_s']:.1f} a second "
        f"(in process {figures['in_process_per_s']:.1f}), p50 {figures['p50_ms']:.0f} ms, "
        f"p99 {figures['p99_ms']:.0f} ms, {figures['cpu_ms_a_clip']:.0f} ms of a processor a clip, "
        f"{figures['cpu_ratio']:.2f} × in process"
    )
