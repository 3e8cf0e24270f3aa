"""Log-mel of 32 clips on two threads: ours beside a loop of one at a time, librosa and Hugging Face's extractor.

    pytest benchmarks/features/test_log_mels.py --benchmark-columns=min,median,rounds -s

Peers get two threads of torch; whether they use them is theirs. Ratios above 1 mean that ours is faster.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peers.front_ends import FrontEnd, Samples, assert_same_figures, peers
from benchmarks.turns import noise, take_turns, torch_threads
from sqe_fast.audio.features import log_mel, log_mels
from tests.support.shapes import CLIP_SECONDS

CLIPS = 32
THREADS = 2
ROUNDS = 5


@pytest.mark.parametrize("seconds", CLIP_SECONDS)
def test_log_mels(benchmark: BenchmarkFixture, seconds: float) -> None:
    clips = [noise(seconds, seed) for seed in range(CLIPS)]
    contenders: dict[str, FrontEnd] = {"one_at_a_time": lambda samples: log_mel(samples).data, **peers()}
    assert_same_figures(contenders, clips[0])
    for clip, mel in zip(clips, log_mels(clips, threads=THREADS), strict=True):
        np.testing.assert_array_equal(mel.data, log_mel(clip).data)

    def loop(peer: FrontEnd, samples: list[Samples]) -> None:
        for clip in samples:
            peer(clip)

    benchmark.group = f"log-mel, {CLIPS} clips of {seconds:g} s, {THREADS} threads"
    others = {name: partial(loop, peer, clips) for name, peer in contenders.items()}
    with torch_threads(THREADS):
        line = take_turns(benchmark, partial(log_mels, clips, threads=THREADS), others, ROUNDS)
    print(f"\n{CLIPS} × {seconds:g} s: {line}")
