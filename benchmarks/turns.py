"""What benchmarks are measured with: clips, threads, turns that a busy machine slows alike, what stands beside."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peers.front_ends import Samples
from sqe_fast.audio.features import SAMPLE_RATE
from tests.support.memory import peak_bytes

WARM_UP = 2


def describe(benchmark: BenchmarkFixture, *, ran: str, threads: int, dtype: str, audio_seconds: float = 0.0) -> None:
    """What stands beside the figure, once it is there: what ran, with what, and audio-seconds a second. The commit and
    the machine are pytest-benchmark's own; the peak of memory is that of the whole process, peers included."""
    benchmark.extra_info.update(ran=ran, threads=threads, dtype=dtype, peak_mb=round(peak_bytes() / 2**20))
    if audio_seconds and not benchmark.disabled:
        rate = audio_seconds / statistics.median(benchmark.stats.stats.data)
        benchmark.extra_info["audio_seconds_per_second"] = round(rate, 1)


def noise(seconds: float, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_turns(
    benchmark: BenchmarkFixture, ours: Callable[[], object], others: Mapping[str, Callable[[], object]], rounds: int
) -> str:
    """Peers take turns with ours, round by round, so that a busy machine slows all of them alike. The ratios of medians
    go into the benchmark's extra_info; returns them, and our time, as a line."""
    times: dict[str, list[float]] = {name: [] for name in others}

    def turns() -> None:
        for name, other in others.items():
            start = time.perf_counter()
            other()
            times[name].append(time.perf_counter() - start)
        ours()  # peers leave the caches cold; each of them ran right after another front end, too

    benchmark.pedantic(ours, setup=turns, rounds=rounds, warmup_rounds=WARM_UP)
    if benchmark.disabled:
        return "not measured"
    median = statistics.median(benchmark.stats.stats.data)
    ratios = {name: statistics.median(taken[WARM_UP:]) / median for name, taken in times.items()}
    benchmark.extra_info["times"] = {name: round(ratio, 2) for name, ratio in ratios.items()}
    return f"ours {median * 1e3:.2f} ms; " + ", ".join(f"{name} {ratio:.1f}×" for name, ratio in ratios.items())
