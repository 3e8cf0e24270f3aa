"""A live call beside the timeline of its file, on the bundled model. Target: equal to 1e-5 per window, for frames of
80, 160, 401 and 960 samples at 8, 16, 24 and 48 kHz, mono and stereo.

    pytest benchmarks/streaming/test_equality.py -s
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.streaming.sound import Speech, pcm
from sqe_fast import Evaluator, QualityUpdate, Timeline
from sqe_fast.results import RATINGS

SECONDS = 12.0


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_equality(benchmark: BenchmarkFixture, speech: Speech, rate: int, channels: int) -> None:
    mono = pcm(speech.call(SECONDS, rate), rate)
    samples = mono if channels == 1 else np.stack([mono, (0.8 * mono).astype(np.int16)], 1)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")

    def differences() -> list[float]:
        with Evaluator.from_pretrained() as evaluator:
            [evaluation] = evaluator.evaluate([file.getvalue()], describe=False, timeline=Timeline())
            found = []
            for frame in (80, 160, 401, 960):
                with evaluator.stream(rate, describe=False, deadline=1e6) as stream:
                    for start in range(0, len(samples), frame):
                        stream.push(samples[start : start + frame])
                        if start // frame % (rate // frame) == 0:
                            stream.settle()
                updates = [event for event in stream.events() if isinstance(event, QualityUpdate)]
                assert [(each.start, each.end, each.flags) for each in updates] == [
                    (each.start, each.end, each.flags) for each in evaluation.timeline
                ]
                found += [
                    abs(live.ratings[name] - offline.ratings[name])
                    for live, offline in zip(updates, evaluation.timeline, strict=True)
                    for name in RATINGS
                    if live.ratings is not None and offline.ratings is not None
                ]
        return found

    most = max(benchmark.pedantic(differences, rounds=1))
    assert most <= 1e-5
    benchmark.extra_info["most"] = most
    print(f"\n{rate:,} Hz, {channels} channels: at most {most:.1e} apart")
