"""What a profiler sees of a runner: its stages by name."""

from __future__ import annotations

from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import SlotStep, Top
from tests.support.small_model import AUDIO_TOKEN, random_clip


def test_a_profiler_sees_each_stage(exported: Path) -> None:
    runner = open_runner(exported, Serving("torch-cpu", slots=2, max_length=64))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        audio = runner.encode([(random_clip(50)[0].numpy(), 50)])
        tokens = (7, *[AUDIO_TOKEN] * audio[0].shape[0], 9)
        runner.prefill([SlotStep(0, 0, tokens)], [audio])
        for past in range(3):
            runner.decode([SlotStep(0, len(tokens) + past, (11,), Top(1))])
        runner.move(0, 1, 4)
    counts = {each.key: each.count for each in seen.key_averages() if each.key.startswith("sqe_fast.")}
    assert counts == {"sqe_fast.encode": 1, "sqe_fast.prefill": 1, "sqe_fast.decode": 3, "sqe_fast.move": 1}
