"""Log-mel of one clip on one thread: ours beside librosa and Hugging Face's extractor, all on the same samples.

    pytest benchmarks/features --benchmark-columns=min,median,rounds -s

Ratios above 1 mean that ours is faster; they are printed and kept in the benchmark's extra_info.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.peers.front_ends import assert_same_figures, peers
from benchmarks.turns import noise, take_turns, torch_threads
from sqe_fast.audio.features import log_mel
from tests.support import log_mel_oracle
from tests.support.shapes import CLIP_SECONDS

ROUNDS = 15


@pytest.mark.parametrize("seconds", CLIP_SECONDS)
def test_log_mel(benchmark: BenchmarkFixture, seconds: float) -> None:
    samples = noise(seconds)
    np.testing.assert_allclose(log_mel(samples).data, log_mel_oracle.log_mel(samples, 80), rtol=0, atol=1e-5)
    contenders = peers()
    assert_same_figures(contenders, samples)

    benchmark.group = f"log-mel, {seconds:g} s"
    others = {name: partial(peer, samples) for name, peer in contenders.items()}
    with torch_threads(1):
        line = take_turns(benchmark, partial(log_mel, samples), others, ROUNDS)
    print(f"\n{seconds:g} s: {line}")
