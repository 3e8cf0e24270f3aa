"""Ten times more audio than real time, in as many calls as real time would just bear. Target: memory is flat, the
newest windows are still scored, and each that was dropped is counted.

    pytest benchmarks/streaming/test_overload.py -s
"""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming import load
from benchmarks.streaming.sound import Speech
from sqe_fast import Evaluator
from tests.support.memory import peak_bytes, reset_peak

TIMES = 10.0


def test_overload(benchmark: BenchmarkFixture, speech: Speech, seconds: float, sessions: int) -> None:
    with Evaluator.from_pretrained() as evaluator:
        sound = load.sounds(speech, sessions)
        load.run(evaluator, sound, min(2.0, seconds), TIMES)  # what caches hold is there
        before = reset_peak()
        found = benchmark.pedantic(load.run, args=(evaluator, sound, seconds, TIMES), rounds=1)
        grown = peak_bytes() - before
    windows = sum(load.windows_of(each.duration) for each in found.summaries)
    assert found.windows == windows, "a window that was neither told nor counted"
    benchmark.extra_info.update(grown_mb=round(grown / 1e6, 1), lag_s=round(found.lag, 2), dropped=found.dropped)
    print(
        f"\n{sessions} sessions at {TIMES:g} times real time: {found.rated} windows rated, {found.dropped} dropped, "
        f"all of {windows} counted; the newest score {found.lag:.1f} s of audio behind; {grown / 1e6:.0f} MB more"
    )
