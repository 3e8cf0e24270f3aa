"""A runner on a real GPU, in half precision: `pytest --gpu`. Bits, which no interpreter can promise for it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from sqe_fast.options import Serving
from sqe_fast.runners.base import Answer, Candidates, SlotStep, Top, TopTokens
from sqe_fast.runners.torch_runner import TorchRunner
from tests.support.on_gpu import GPU
from tests.support.small_model import AUDIO_TOKEN, random_clip, save_small

pytestmark = pytest.mark.skipif(not GPU, reason="runs on a GPU, with --gpu")

SLOTS = 20
ASKS = Candidates((3, 10, 77, 150)), Top(5), None
TEXTS = [tuple(10 + (7 * row + i) % 130 for i in range(2 + 5 * row)) for row in range(SLOTS)]


@pytest.fixture(params=["fp16", "bf16"])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> TorchRunner:
    """What nobody has written to is NaN."""
    runner = TorchRunner(save_small(tmp_path), Serving("cuda", SLOTS, precision=request.param, max_length=256))
    for memory in (runner._model.cache.keys, runner._model.cache.values):
        memory.fill_(float("nan"))
    return runner


def same(found: list[Answer], expected: list[Answer]) -> None:
    for one, other in zip(found, expected, strict=True):
        parts = zip(one, other, strict=True) if isinstance(one, TopTokens) else [(one, other)]
        for a, b in parts:  # type: ignore[misc]
            assert (a is None) == (b is None)
            if a is not None:
                assert np.isfinite(a).all()
                np.testing.assert_array_equal(a, b)


def steps(rows: int) -> list[SlotStep]:
    return [SlotStep(row, len(TEXTS[row]), (20 + row,), ASKS[row % 3]) for row in range(rows)]


def filled(runner: TorchRunner, rows: int) -> TorchRunner:
    for row in range(rows):
        runner.prefill([SlotStep(row, 0, TEXTS[row])], [()])
    return runner


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9, SLOTS])
def test_a_replay_is_what_it_replays(runner: TorchRunner, rows: int) -> None:
    filled(runner, rows)
    replayed = runner.decode(steps(rows))
    runner._decode = runner._model.decode
    same(runner.decode(steps(rows)), replayed)


def test_a_row_is_the_same_alone_and_twice(runner: TorchRunner) -> None:
    """Over tiles of all sizes: 20 rows, filled up to 20; 3, filled up to 4; and one."""
    together = filled(runner, SLOTS).decode(steps(SLOTS))
    same(filled(runner, SLOTS).decode(steps(SLOTS)), together)
    same(filled(runner, 3).decode(steps(3)), together[:3])
    for row in (0, 1, 2, 19):
        runner.prefill([SlotStep(0, 0, TEXTS[row])], [()])
        (alone,) = runner.decode([SlotStep(0, len(TEXTS[row]), (20 + row,), ASKS[row % 3])])
        same([alone], [together[row]])


def test_clips_are_heard_alike_alone_and_together(runner: TorchRunner) -> None:
    lengths = (51, 3, 334, 90)
    clips = [(random_clip(frames)[0].numpy(), frames) for frames in lengths]
    for clip, together in zip(clips, runner.encode(clips), strict=True):
        (alone,) = runner.encode([clip])
        assert torch.equal(cast(torch.Tensor, alone), cast(torch.Tensor, together))


def test_a_prompt_with_audio_is_the_same_in_any_slot(runner: TorchRunner) -> None:
    audio = runner.encode([(random_clip(200)[0].numpy(), 200)])
    tokens = (7, *[AUDIO_TOKEN] * audio[0].shape[0], 11)
    answers = [runner.prefill([SlotStep(slot, 0, tokens, ASKS[0])], [audio])[0] for slot in (0, 7, SLOTS - 1)]
    same(answers[1:], answers[:1] * 2)


def test_prompts_prefilled_together_are_as_alone(runner: TorchRunner) -> None:
    """Tiles of all sizes again: 20 prompts of 2 to 97 tokens, three of them, and one; beside memory of NaN."""
    prompts = [SlotStep(row, 0, TEXTS[row], ASKS[row % 3]) for row in range(SLOTS)]
    together = runner.prefill(prompts, [()] * SLOTS)
    same(runner.prefill(prompts[5:8], [()] * 3), together[5:8])
    for row in (0, 1, 19):
        same(runner.prefill([prompts[row]], [()]), [together[row]])
