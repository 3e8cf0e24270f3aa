"""The warm-up's losses on a small random model and real batches."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sqe_fast.prompt import PromptBuilder
from sqe_fast.results import RATINGS
from tests.small_tokenizer import small_tokenizer
from tests.training.speech import listening_model, talk
from training.examples import Sampler, audio_example
from training.sft import Listener


@pytest.fixture
def listener() -> Listener:
    prompts = PromptBuilder(small_tokenizer())
    model = listening_model(prompts)
    clips = SimpleNamespace(samples=lambda row: talk(row["samples"] / 16_000, seed=row["seed"]))
    return Listener(model, clips, prompts)  # type: ignore[arg-type]


def rows(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    return [
        {
            **{n: round(float(rng.uniform(1, 4.8)), 2) for n in RATINGS},
            "causes": [],
            "samples": 16_000 + 800 * i,
            "seed": i,
        }
        for i in range(count)
    ]


def test_exact_ratings_are_the_minimum_of_the_line_losses(listener: Listener) -> None:
    """A sign error or an off-by-one in the number table would move the minimum."""
    rating = torch.tensor([3.4])
    logits = torch.full((1, int(listener.number_ids.max()) + 1), -30.0)
    found = {}
    for shift in (-0.3, 0.0, 0.3):
        near = torch.softmax(-((listener.values - rating - shift) ** 2) / (2 * 0.15**2), -1)
        logits[:, listener.number_ids] = near.clamp_min(1e-13).log()
        found[shift] = [float(value) for value in listener._line(logits, rating)]
    assert found[0.0][0] < min(found[-0.3][0], found[0.3][0])
    assert found[0.0][1] < 1e-4 < min(found[-0.3][1], found[0.3][1])
    assert found[0.3][1] == pytest.approx(0.09, abs=0.01)


@pytest.mark.parametrize("task", ["line", "describe", "compare"])
def test_every_part_that_a_task_uses_gets_a_gradient(listener: Listener, task: str) -> None:
    sampler = Sampler(rows(8), PromptBuilder(small_tokenizer()), audio_example, {task: 1.0}, 4, 0)  # type: ignore[dict-item]
    listener.losses(sampler(0))["loss"].backward()
    for name, parameter in listener.model.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name
    assert float(listener.model.encoder.conv1.weight.grad.abs().sum()) > 0


def test_one_batch_can_be_learnt(listener: Listener, tmp_path: Path) -> None:
    sampler = Sampler(rows(4), PromptBuilder(small_tokenizer()), audio_example, {"line": 1.0}, 4, 0)
    batch = sampler(0)
    optimizer = torch.optim.AdamW(listener.model.parameters(), lr=3e-3)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = listener.losses(batch)["loss"]
        first = first if first is not None else float(loss.detach())
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < first / 2
