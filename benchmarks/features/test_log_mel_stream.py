"""Log-mel of a stream on one thread, for each second that comes: ours beside whole-clip front ends.

    pytest benchmarks/features/test_log_mel_stream.py --benchmark-columns=min,median,rounds -s

`push`: one more second of a call, nothing read. `window`: a second comes, a second goes, and the log-mel of the last
5 s is read; without a stream, that is the log-mel of all 5 s. Ratios above 1 mean that the stream is faster.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peers.front_ends import FrontEnd, Samples, assert_same_figures, peers
from benchmarks.turns import noise, take_turns, torch_threads
from sqe_fast.audio.features import SAMPLE_RATE, LogMelStream, log_mel

WINDOW_SECONDS = 5
ROUNDS = 20


def contenders() -> dict[str, FrontEnd]:
    return {"whole_clip": lambda samples: log_mel(samples).data, **peers()}


def test_push(benchmark: BenchmarkFixture) -> None:
    """Peers compute the second by itself, which is as many frames."""
    second = noise(1)
    others = contenders()
    assert_same_figures(others, second)
    stream = LogMelStream()
    for seconds in range(1, 4):
        stream.push(second)
        np.testing.assert_array_equal(stream.log_mel().data, log_mel(np.tile(second, seconds)).data)

    def push() -> None:
        if stream.samples == 30 * SAMPLE_RATE:
            stream.reset()
        stream.push(second)

    benchmark.group = "log-mel of a stream, a second pushed"
    with torch_threads(1):
        line = take_turns(benchmark, push, {name: partial(peer, second) for name, peer in others.items()}, ROUNDS)
    print(f"\n1 s pushed: {line}")


def test_window(benchmark: BenchmarkFixture) -> None:
    call = noise(60)
    window = call[: WINDOW_SECONDS * SAMPLE_RATE]
    others = contenders()
    assert_same_figures(others, window)
    stream = LogMelStream()
    stream.push(window)

    def slide(second: Samples) -> np.ndarray:
        stream.drop(SAMPLE_RATE)
        stream.push(second)
        return stream.log_mel().data

    for end in range(window.size + SAMPLE_RATE, call.size + 1, SAMPLE_RATE):
        expected = log_mel(call[end - window.size : end]).data
        np.testing.assert_array_equal(slide(call[end - SAMPLE_RATE : end]), expected)

    benchmark.group = f"log-mel of a stream, the last {WINDOW_SECONDS} s read every second"
    with torch_threads(1):
        calls = {name: partial(peer, window) for name, peer in others.items()}
        line = take_turns(benchmark, partial(slide, call[:SAMPLE_RATE]), calls, ROUNDS)
    print(f"\nwindow of {WINDOW_SECONDS} s, 1 s on: {line}")
