"""Calls in the air in real time, a hop of 1 s over windows of 5 s. Target: 50 of them with 95 of 100 scores no older
than 1 s and no more than 1 % of the windows dropped.

    pytest benchmarks/streaming/test_sessions.py -s --sessions 50
"""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming import load
from benchmarks.streaming.sound import Speech
from sqe_fast import Evaluator


def test_sessions(benchmark: BenchmarkFixture, speech: Speech, seconds: float, sessions: int) -> None:
    with Evaluator.from_pretrained() as evaluator:
        found = benchmark.pedantic(load.run, args=(evaluator, load.sounds(speech, sessions), seconds), rounds=1)
        runner = evaluator.info()["runner"]
    assert sum(1 + each.dropped for each in found.updates) <= found.windows
    assert any(each.ratings for each in found.updates), "no window was rated while the calls lasted"
    share = found.dropped / found.windows
    rate = found.rated * 5.0 / found.wall
    figures = {"p50_age": found.ages(50), "p95_age": found.ages(95), "dropped": share, "audio_s_per_s": rate}
    benchmark.extra_info.update({name: round(value, 4) for name, value in figures.items()}, runner=runner)
    print(f"\n{sessions} sessions, {found.wall:.0f} s, {runner}: age p50 {figures['p50_age']:.2f} s, p95 "
          f"{figures['p95_age']:.2f} s, dropped {share:.2%}, {rate:.0f} audio-s of windows a second")  # fmt: skip
