"""Calls and uploads at once, for long. Target: 50 calls and 8 clients for 10 minutes, nothing lost or mixed up, memory
flat, 95 of 100 scores no older than 1.5 s, and no more than 1 % of the windows dropped.

    pytest benchmarks/serve/test_soak.py -s --seconds 600 --sessions 50
"""

from __future__ import annotations

import asyncio
import json

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.serve.clients import Calls, Row, Served, Uploads, call, clips, served, upload
from benchmarks.streaming import load
from benchmarks.streaming.load import Pcm
from benchmarks.streaming.sound import RATE, Speech
from sqe_fast import Evaluator, QualityUpdate

CLIENTS = 8
FILES = 64
LOOP, LEAD = 60, 6
"""Seconds after which a call's sound begins again, and after which all that a window can hear is the loop's."""


def test_soak(benchmark: BenchmarkFixture, speech: Speech, seconds: float, sessions: int) -> None:
    sounds, files = load.sounds(speech, sessions), clips(speech, FILES, 5.0)
    memory: list[int] = []

    async def both(server: Served) -> tuple[Calls, Uploads]:
        stop = asyncio.Event()
        uploads = asyncio.create_task(upload(server.url, files, CLIENTS, stop=stop))
        watch = asyncio.create_task(_watch(server, memory))
        calls = await call(server.url, sounds, seconds)
        stop.set()
        watch.cancel()
        return calls, await uploads

    def soak() -> tuple[Calls, Uploads]:
        with served() as server:
            return asyncio.run(both(server))

    calls, uploads = benchmark.pedantic(soak, rounds=1)
    with Evaluator.from_pretrained() as evaluator:
        for number, row in uploads.rows.items():
            [own] = evaluator.evaluate([files[number]], describe=False)
            assert row == own.to_row() | {"file": f"{number}.wav", "source": 0}
        for samples, events in zip(sounds, calls.events, strict=True):
            _check(events, _windows(evaluator, samples))
    assert calls.windows == sessions * load.windows_of(seconds)
    assert all(each["duration"] == seconds for each in calls.summaries)
    grown = memory[-1] - memory[len(memory) // 4]
    share = calls.dropped / calls.windows
    figures = {
        "p95_age": calls.ages(95), "dropped": share, "grown_mb": grown / 1e6, "uploads": len(uploads.latencies),
        "upload_p99_s": uploads.percentile(99),
    }  # fmt: skip
    benchmark.extra_info.update({name: round(value, 4) for name, value in figures.items()})
    print(
        f"\n{sessions} calls and {CLIENTS} clients, {seconds:g} s: {calls.windows} windows, age p95 "
        f"{figures['p95_age']:.2f} s, dropped {share:.2%}; {len(uploads.latencies)} files, "
        f"p99 {figures['upload_p99_s']:.1f} s; all equal to those in process; "
        f"{figures['grown_mb']:.1f} MB more after the first quarter"
    )


async def _watch(server: Served, memory: list[int]) -> None:
    while True:
        memory.append(server.memory())
        await asyncio.sleep(1)


def _windows(evaluator: Evaluator, samples: Pcm) -> dict[tuple[float, float], str]:
    """Ratings of the loop's windows, by their times, in process."""
    found = {}
    with evaluator.stream(RATE, describe=False, deadline=1e6) as stream:
        for second in range(LOOP + LEAD):
            place = second % LOOP * RATE
            stream.push(samples[place : place + RATE])
            stream.settle()
            for event in stream.events():
                if isinstance(event, QualityUpdate):
                    row = event.to_row()
                    found[row["start"], row["end"]] = json.dumps(row["ratings"])
    return found


def _check(events: list[Row], own: dict[tuple[float, float], str]) -> None:
    """A window of another call, or of another place of this one, is another sound."""
    compared = 0
    for event in events:
        if event["event"] != "update":
            continue
        start, end = event["start"], event["end"]
        if end > LOOP + LEAD:
            turns = (start - LEAD) // LOOP * LOOP
            start, end = start - turns, end - turns
        if (start, end) in own:  # not what is left at the end of a call
            assert json.dumps(event["ratings"]) == own[start, end], (start, end)
            compared += 1
    assert compared >= sum(event["event"] == "update" for event in events) - 1
