"""An hour of one call, as fast as it is heard. Target: faster than real time, without growth.

pytest benchmarks/streaming/test_soak.py -s
"""

from __future__ import annotations

import time

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming.sound import RATE, Speech, pcm
from sqe_fast import Evaluator
from tests.support.memory import peak_bytes, reset_peak

AT_ONCE = 10
"""Seconds that are pushed before what they gave is waited for."""


def test_soak(benchmark: BenchmarkFixture, speech: Speech, hours: float) -> None:
    turns = max(4, round(hours * 3_600 / AT_ONCE))
    grown = 0

    def soak() -> None:
        nonlocal grown
        with Evaluator.from_pretrained() as evaluator, evaluator.stream(RATE, describe=False, deadline=1e6) as stream:
            before = 0
            for turn in range(turns):
                stream.push(pcm(speech.call(AT_ONCE, turn)))
                stream.settle()
                list(stream.events())
                if turn == turns // 4:
                    before = reset_peak()
            grown = peak_bytes() - before
        [channel] = stream.close().channels
        assert (channel.dropped, channel.failed) == (0, 0)
        assert channel.rated + channel.without_speech == turns * AT_ONCE - 1

    started = time.perf_counter()
    benchmark.pedantic(soak, rounds=1)
    speed = turns * AT_ONCE / (time.perf_counter() - started)
    benchmark.extra_info.update(times_real_time=round(speed, 1), grown_mb=round(grown / 1e6, 2))
    print(
        f"\n{turns * AT_ONCE:,} s of a call: {speed:.0f} × real time, {grown / 1e6:.1f} MB more after its first quarter"
    )
