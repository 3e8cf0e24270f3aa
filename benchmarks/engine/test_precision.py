"""8 bits beside float32 on this processor, stage by stage and as a whole: from which the default is to be decided.

    pytest benchmarks/engine/test_precision.py --benchmark-columns=min,median,rounds

Ratios above 1: 8 bits are faster. What the processor can multiply stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from cpuinfo import get_cpu_info  # pytest-benchmark's
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS, speech
from benchmarks.report import COARSE
from benchmarks.turns import describe, take_turns
from sqe_fast import Evaluator
from sqe_fast.audio.features import SAMPLE_RATE, log_mel
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS, Evaluation
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import Candidates, Runner, SlotStep

HELD = 153
SECONDS = 5.5
CLIPS = 12
INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
PRECISIONS = ("int8", "fp32")


@pytest.fixture(scope="module")
def runners(tiny: Path) -> list[Runner]:
    return [open_runner(tiny, Serving("cpu", 9, threads=THREADS, precision=each)) for each in PRECISIONS]


def measure(
    benchmark: BenchmarkFixture, what: str, both: Sequence[Callable[[], object]], rounds: int, audio_seconds: float = 0
) -> None:
    ours, exact = both
    benchmark.group = f"{COARSE}{what}"
    take_turns(benchmark, ours, {"fp32": exact}, rounds)
    describe(benchmark, ran="onnx-cpu", threads=THREADS, dtype="int8", audio_seconds=audio_seconds)
    flags = set(get_cpu_info().get("flags", ()))
    benchmark.extra_info["multiplies"] = " ".join(each for each in INSTRUCTIONS if each in flags)


def test_encoder(benchmark: BenchmarkFixture, runners: list[Runner], rounds: int) -> None:
    mel = log_mel(speech(SECONDS))
    both = [lambda runner=runner: runner.encode([(mel.data, mel.frames)]) for runner in runners]
    ours, exact = (np.asarray(run()[0]) for run in both)
    assert 0 < np.abs(ours - exact).max() < 0.05 * np.abs(exact).max()
    measure(benchmark, f"encoder, {SECONDS:g} s", both, rounds, SECONDS)


def test_prefill(benchmark: BenchmarkFixture, runners: list[Runner], rounds: int) -> None:
    step = SlotStep(0, 0, (0,) * HELD, Candidates(tuple(range(40))))
    both = [lambda runner=runner: runner.prefill([step], [()]) for runner in runners]
    ours, exact = (np.asarray(run()[0]) for run in both)
    np.testing.assert_allclose(ours, exact, rtol=0, atol=0.05)
    measure(benchmark, f"prefill, {HELD} tokens", both, rounds)


@pytest.mark.parametrize("rows", [1, 8])
def test_decode(benchmark: BenchmarkFixture, runners: list[Runner], rows: int, rounds: int) -> None:
    for runner in runners:
        for slot in range(rows):
            runner.prefill([SlotStep(slot, 0, (0,) * HELD)], [()])
    steps = [SlotStep(slot, HELD, (100 + slot,), Candidates(tuple(range(40)))) for slot in range(rows)]
    both = [lambda runner=runner: runner.decode(steps) for runner in runners]
    ours, exact = (np.asarray(run()) for run in both)
    np.testing.assert_allclose(ours, exact, rtol=0, atol=0.05)
    measure(benchmark, f"decode, {rows} rows", both, rounds)


@pytest.mark.parametrize("described", [False, True], ids=["ratings", "described"])
def test_whole(benchmark: BenchmarkFixture, described: bool, rounds: int) -> None:
    clips = [(speech(SECONDS) * np.float32(1 - place / 100), SAMPLE_RATE) for place in range(CLIPS)]
    found: dict[str, list[Evaluation]] = {}

    def of(precision: str) -> Callable[[], None]:
        def run() -> None:
            with Evaluator.from_pretrained("tiny", threads=THREADS, precision=precision) as evaluator:
                found[precision] = evaluator.evaluate(clips, described)

        return run

    measure(benchmark, "described" if described else "ratings", [of(each) for each in PRECISIONS], min(rounds, 5))
    for ours, exact in zip(*(found[each] for each in PRECISIONS), strict=True):
        assert ours.ratings is not None
        assert exact.ratings is not None
        assert max(abs(ours.ratings[name] - exact.ratings[name]) for name in RATINGS) <= 0.1
    benchmark.extra_info["with"] = "opening the model"
