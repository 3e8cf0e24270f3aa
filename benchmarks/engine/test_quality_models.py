"""Ratings of one clip after another: ours beside NISQA, DNSMOS and Distill-MOS, all on the same clip.

pytest benchmarks/engine/test_quality_models.py --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS, speech
from benchmarks.peers.quality_models import raters
from benchmarks.turns import describe as say
from benchmarks.turns import take_turns
from sqe_fast import Evaluator
from sqe_fast.audio.features import SAMPLE_RATE


@pytest.mark.parametrize("describe", [False, True], ids=["ratings", "described"])
@pytest.mark.parametrize("seconds", [5.5], ids=lambda seconds: f"{seconds:g}s")
def test_beside_quality_models(benchmark: BenchmarkFixture, seconds: float, describe: bool, rounds: int) -> None:
    """24 clips of ours a call, as a batch is what it is made for, and the peers' 24, one by one, as they come."""
    clips = [speech(seconds) * (1 - place / 100) for place in range(24)]
    peers = raters()
    if not peers:
        pytest.skip("pip install --no-deps torchmetrics lightning-utilities speechmos distillmos xls-r-sqa")

    def ours() -> None:
        # Opened anew: a clip that is heard again would be found in the encoder cache.
        with Evaluator.from_pretrained("tiny", threads=THREADS) as evaluator:
            rated = evaluator.evaluate([(clip, SAMPLE_RATE) for clip in clips], describe)
        assert all(each.ratings is not None and each.error is None for each in rated)

    benchmark.group = f"{len(clips)} clips of {seconds:g} s, {'described' if describe else 'ratings'}"
    others = {name: lambda rate=rate: [rate(clip) for clip in clips] for name, rate in peers.items()}
    take_turns(benchmark, ours, others, rounds)
    say(benchmark, ran="onnx-cpu", threads=THREADS, dtype="float32", audio_seconds=len(clips) * seconds)
