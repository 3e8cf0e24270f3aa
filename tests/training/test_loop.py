import json
from pathlib import Path

import pytest
import torch
from torch import nn

from training.loop import Losses, Schedule, train


def fit(folder: Path, steps: int, stop_after: int | None = None) -> nn.Linear:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)

    def loss_of(step: int) -> Losses:
        if step == stop_after:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        return {"loss": (model(x) - x.sum(-1, keepdim=True)).square().mean()}

    schedule = Schedule(steps, save_every_s=0.0, log_every=1)
    train(model, [{"params": list(model.parameters()), "lr": 0.05}], loss_of, folder, schedule)
    return model


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    straight = fit(tmp_path / "straight", 30)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", 30, stop_after=13)
    resumed = fit(tmp_path / "stopped", 30)
    assert torch.equal(straight.weight, resumed.weight)
    steps = [json.loads(line)["step"] for line in (tmp_path / "stopped" / "log.jsonl").open()]
    assert steps == list(range(30))


def test_the_loss_falls(tmp_path: Path) -> None:
    fit(tmp_path, 60)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").open()]
    assert losses[-1] < losses[0] / 4


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(FloatingPointError):
        train(
            model,
            [{"params": list(model.parameters()), "lr": 1.0}],
            lambda step: {"loss": model(torch.full((1, 1), float("inf"))).sum()},
            tmp_path,
            Schedule(2),
        )
