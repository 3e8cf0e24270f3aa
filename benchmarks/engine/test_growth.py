"""How cost grows: with a clip's length to 30 s and beyond, with the batch, with threads. And the machine's own limits
in the same run: matrix products in float32, and bandwidth.

    pytest benchmarks/engine/test_growth.py --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS, speech
from benchmarks.turns import describe as say
from sqe_fast import Evaluator
from sqe_fast.audio.features import SAMPLE_RATE
from tests.support.memory import peak_bytes


def evaluate(benchmark: BenchmarkFixture, clips: list[np.ndarray], threads: int, rounds: int) -> None:
    def opened() -> tuple[tuple[Evaluator], dict[str, object]]:
        return (Evaluator.from_pretrained("tiny", threads=threads),), {}

    def ours(evaluator: Evaluator) -> None:
        with evaluator:
            rated = evaluator.evaluate([(clip, SAMPLE_RATE) for clip in clips], describe=False)
        assert all(each.ratings is not None for each in rated)

    benchmark.pedantic(ours, setup=opened, rounds=min(rounds, 5), warmup_rounds=1)
    seconds = sum(len(clip) for clip in clips) / SAMPLE_RATE
    say(benchmark, ran="onnx-cpu", threads=threads, dtype="float32", audio_seconds=seconds)


@pytest.mark.parametrize("threads", [1, THREADS], ids=lambda threads: f"{threads}threads")
@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0], ids=lambda s: f"{s:g}s")
def test_length(benchmark: BenchmarkFixture, seconds: float, threads: int, quick: bool, rounds: int) -> None:
    if quick and seconds > 30:
        pytest.skip("--quick")
    benchmark.group = "by length"
    evaluate(benchmark, [speech(seconds)], threads, rounds)


@pytest.mark.parametrize("batch", [1, 4, 8, 24])
def test_batch(benchmark: BenchmarkFixture, batch: int, rounds: int) -> None:
    benchmark.group = "by batch"
    evaluate(benchmark, [speech(5.5) * (1 - place / 100) for place in range(batch)], THREADS, rounds)


@pytest.mark.parametrize("hours", [2.0], ids=["2h"])
def test_memory_is_flat(benchmark: BenchmarkFixture, hours: float, quick: bool) -> None:
    """Over a long file the peak is that of its first minutes."""
    minutes = 4.0 if quick else hours * 60
    peaks = []

    def ours() -> None:
        with Evaluator.from_pretrained("tiny", threads=THREADS) as evaluator:
            for length in (2.0, minutes):
                samples = speech(60.0 * length).astype(np.float16).astype(np.float32)
                given = samples.nbytes
                [rated] = evaluator.evaluate([(samples, SAMPLE_RATE)], describe=False)
                assert rated.ratings is not None
                peaks.append(peak_bytes() - given)

    benchmark.group = "memory"
    benchmark.pedantic(ours, rounds=1)
    say(benchmark, ran="onnx-cpu", threads=THREADS, dtype="float32", audio_seconds=60 * (2 + minutes))
    benchmark.extra_info["grown_mb"] = round((peaks[1] - peaks[0]) / 2**20)


@pytest.mark.parametrize("rows", [8, 153, 276])
def test_limit_of_matrix_products(benchmark: BenchmarkFixture, rows: int, rounds: int) -> None:
    """In float32 at the decoder's widest shape, by torch: what a stage's share of the machine is measured by."""
    a, b = torch.randn(rows, 384), torch.randn(384, 2_048)
    out = torch.empty(rows, 2_048)
    benchmark.group = "limits"
    benchmark.pedantic(lambda: torch.mm(a, b, out=out), rounds=rounds, iterations=20, warmup_rounds=2)
    assert torch.allclose(out, a @ b, atol=1e-3)
    say(benchmark, ran="torch.mm", threads=THREADS, dtype="float32")
    if not benchmark.disabled:
        benchmark.extra_info["gflops"] = round(2 * rows * 384 * 2_048 / benchmark.stats.stats.min / 1e9, 1)


def test_limit_of_bandwidth(benchmark: BenchmarkFixture, rounds: int) -> None:
    source = torch.ones(1 << 26)
    copy = torch.empty_like(source)
    benchmark.group = "limits"
    benchmark.pedantic(lambda: copy.copy_(source), rounds=rounds, warmup_rounds=1)
    assert bool((copy == 1).all())
    say(benchmark, ran="torch.copy_", threads=THREADS, dtype="float32")
    if not benchmark.disabled:
        benchmark.extra_info["gb_per_second"] = round(2 * source.nbytes / benchmark.stats.stats.min / 1e9, 1)
