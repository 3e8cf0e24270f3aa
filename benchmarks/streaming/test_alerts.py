"""Which faults are alerted, how soon, and which alerts come from nothing. Targets: each of five faults alerted within
2 s of the call in 90 of 100 calls; no alert in an hour of clean speech with pauses, at 8 and at 16 kHz.

    pytest benchmarks/streaming/test_alerts.py -s --speech FOLDER
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming.sound import FAULTS, RATE, Speech, pcm
from sqe_fast import Evaluator, QualityAlert
from sqe_fast.live.events import Event

ONSET, AFTER, WITHIN = 10.0, 4.0, 2.0
"""Seconds of a call before the fault, and with it; until when an alert counts."""
CALL = 60.0
"""Seconds of a call of clean speech."""


def events(evaluator: Evaluator, samples: np.ndarray, rate: int) -> list[Event]:
    """Of a call that is pushed as fast as it is heard."""
    with evaluator.stream(rate, describe=False, deadline=1e6) as stream:
        for start in range(0, len(samples), rate):
            stream.push(samples[start : start + rate])
            stream.settle()
    return list(stream.events())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_alerted(benchmark: BenchmarkFixture, speech: Speech, calls: int, fault: str) -> None:
    begin = round(ONSET * RATE)

    def alerted() -> tuple[int, int, list[str]]:
        in_time, too_early, named = 0, 0, []
        with Evaluator.from_pretrained() as evaluator:
            for seed in range(calls):
                call = speech.call(ONSET + AFTER, seed)
                call[begin:] = FAULTS[fault](call[begin:], np.random.default_rng(seed))
                found = [each for each in events(evaluator, pcm(call), RATE) if isinstance(each, QualityAlert)]
                too_early += any(each.at <= ONSET for each in found)
                soon = [each for each in found if ONSET < each.at <= ONSET + WITHIN]
                in_time += bool(soon)
                named += [each.dimension for each in soon[:1]]
        return in_time, too_early, named

    in_time, too_early, named = benchmark.pedantic(alerted, rounds=1)
    benchmark.extra_info.update(in_time=in_time / calls, too_early=too_early)
    told = {name: named.count(name) for name in sorted(set(named))}
    print(f"\n{fault}: {in_time} of {calls} alerted within {WITHIN:g} s ({told}), {too_early} before it began")


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_clean_speech_gives_no_alert(benchmark: BenchmarkFixture, speech: Speech, hours: float, rate: int) -> None:
    calls = max(1, round(hours * 3_600 / CALL))

    def alerts() -> list[QualityAlert]:
        with Evaluator.from_pretrained() as evaluator:
            return [
                event
                for seed in range(calls)
                for event in events(evaluator, pcm(speech.call(CALL, seed), rate), rate)
                if isinstance(event, QualityAlert)
            ]

    found = benchmark.pedantic(alerts, rounds=1)
    benchmark.extra_info["alerts"] = len(found)
    print(f"\n{calls * CALL:,.0f} s of clean speech at {rate:,} Hz: {len(found)} alerts"
          + "".join(f"\n  {each.description}" for each in found[:5]))  # fmt: skip
