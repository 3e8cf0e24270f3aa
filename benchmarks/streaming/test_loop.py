"""How late an event loop is beside live calls: alone, beside C that spins as much, and beside the engine, as it is and
standing back (`nice`). Target: 99 of 100 turns no more than 1 ms later than beside the spinner.

    pytest benchmarks/streaming/test_loop.py -s
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming.load import InBackground, sounds
from benchmarks.streaming.sound import Speech
from sqe_fast import Evaluator

TURN = 0.005
"""Seconds that the loop sleeps."""
SESSIONS = 8
NICE = 10


def lateness(seconds: float) -> np.ndarray:
    """Seconds, turn by turn."""

    async def turns() -> list[float]:
        late = []
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            await asyncio.sleep(TURN)
            late.append(time.perf_counter() - begun - TURN)
        return late

    return np.array(asyncio.run(turns()))


@contextmanager
def spinning(share: float) -> Iterator[None]:
    """Threads in C, without Python's lock, that take `share` of a core together."""
    stop = threading.Event()

    def spin(part: float) -> None:
        while not stop.is_set():
            begun = time.thread_time()
            while time.thread_time() - begun < part * 0.1:
                hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000)
            stop.wait((1 - part) * 0.1)

    count = max(1, os.cpu_count() or 1)
    threads = [threading.Thread(target=spin, args=(min(1.0, share / count),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def test_an_event_loop(benchmark: BenchmarkFixture, speech: Speech, seconds: float) -> None:
    found: dict[str, np.ndarray] = {}
    sound = sounds(speech, SESSIONS)
    share = 0.0

    def measured(name: str, beside: Callable[[], AbstractContextManager[None]]) -> None:
        with beside():
            found[name] = lateness(seconds)

    def all_of_it() -> None:
        nonlocal share
        measured("alone", nullcontext)
        for name, nice in (("engine", 0), (f"engine, nice {NICE}", NICE)):
            with Evaluator.from_pretrained(nice=nice) as evaluator:
                calls = InBackground(evaluator, sound, seconds)
                calls.start()
                cpu, wall = time.process_time(), time.perf_counter()
                found[name] = lateness(seconds)
                share = (time.process_time() - cpu) / (time.perf_counter() - wall)
                calls.join()
                assert calls.result is not None
                assert calls.result.rated
        measured("spinner", lambda: spinning(share))

    benchmark.pedantic(all_of_it, rounds=1)
    p99 = {name: float(np.percentile(late, 99)) * 1e3 for name, late in found.items()}
    benchmark.extra_info.update({name: round(value, 3) for name, value in p99.items()}, cores=round(share, 2))
    print(f"\nevent loop, p99 of its lateness in ms, {share:.2f} cores busy: "
          + ", ".join(f"{name} {value:.2f}" for name, value in p99.items()))  # fmt: skip
