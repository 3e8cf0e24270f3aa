"""The loop: resuming, accumulating, and several processes, each against the plain run it must equal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.configs import Schedule
from training.learning.loop import Float32Attention, train

ROOT = Path(__file__).parents[3]


def schedule_of(steps: int, **options: Any) -> Schedule:
    return Schedule(steps=steps, batch_size=16, **options)


class Fit(nn.Module):
    """Least squares; odd batches leave `unheard` without a gradient, as text batches leave the encoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"read": nn.Linear(4, 1), "unheard": nn.Linear(4, 1)})

    def forward(self, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
        index, x = batch
        said = self.model["read"](x) + (self.model["unheard"](x) if index % 2 == 0 else 0)
        return {"loss": (said - x.sum(-1, keepdim=True)).square().mean()}


def data(index: int) -> tuple[int, Tensor]:
    return index, torch.randn(16, 4, generator=torch.Generator().manual_seed(index))


def fit(folder: Path, schedule: Schedule, stop_before: int | None = None, *, muon: bool = False) -> dict[str, Tensor]:
    """`muon`: for the weights, and AdamW for the biases."""
    objective = Fit()
    named = list(objective.named_parameters())
    weights = [parameter for name, parameter in named if muon and name.endswith("weight")]
    others = [parameter for name, parameter in named if not (muon and name.endswith("weight"))]
    groups = [{"params": others, "lr": 0.05}, *([{"params": weights, "lr": 0.5, "muon": True}] if muon else [])]

    def batches(index: int) -> tuple[int, Tensor]:
        if index == stop_before:
            raise KeyboardInterrupt
        return data(index)

    train(objective, groups, batches, folder, schedule)
    return objective.model.state_dict()


def equal(a: dict[str, Tensor], b: dict[str, Tensor], **tolerance: float) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], **tolerance) for name in a)


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path, accumulate: int, muon: bool) -> None:
    schedule = schedule_of(30, save_every_s=0.0, log_every=1, accumulate=accumulate)
    straight = fit(tmp_path / "straight", schedule, muon=muon)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", schedule, stop_before=13 * accumulate, muon=muon)
    resumed = fit(tmp_path / "stopped", schedule, muon=muon)
    assert equal(straight, resumed, rtol=0, atol=0)
    steps = [json.loads(line)["step"] for line in (tmp_path / "stopped" / "log.jsonl").open()]
    assert steps == list(range(30))


@pytest.mark.parametrize("muon", [False, True])
def test_the_loss_falls(tmp_path: Path, muon: bool) -> None:
    fit(tmp_path, schedule_of(60, log_every=1), muon=muon)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").open()]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("muon", [False, True])
def test_two_processes_equal_one_with_the_doubled_batch(tmp_path: Path, muon: bool) -> None:
    """Gradients that are summed instead of averaged, a shard seen twice or a parameter that one process alone uses:
    each would move the weights. Batches 2k and 2k + 1 differ in what they use. Muon's matrices are shared out."""
    schedule = schedule_of(12, accumulate=2)
    alone = fit(tmp_path / "alone", schedule, muon=muon)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*command, str(tmp_path), "muon" if muon else "adamw"], check=True, env=environment, cwd=ROOT, timeout=300
    )
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert equal(first, second, rtol=0, atol=0)
    assert equal(first, alone, rtol=1e-5, atol=1e-6)
    saved = torch.load(tmp_path / "together" / "state.pt", weights_only=True)
    assert equal(saved["model"], first, rtol=0, atol=0)
    assert len((tmp_path / "together" / "log.jsonl").read_text().splitlines()) == 1


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    objective = Fit()
    groups = [{"params": list(objective.parameters()), "lr": 1.0}]
    with pytest.raises(FloatingPointError):
        train(objective, groups, lambda index: (index, torch.full((1, 4), float("inf"))), tmp_path, schedule_of(2))


if __name__ == "__main__":  # one of torchrun's processes
    root = Path(sys.argv[1])
    torch.save(
        fit(root / "together", schedule_of(12), muon=sys.argv[2] == "muon"), root / f"rank{os.environ['RANK']}.pt"
    )


def test_attention_is_computed_in_float32_within_bf16() -> None:
    """To the bit what float32 gives of the same rounded queries, keys and values; bf16 itself rounds otherwise."""
    torch.manual_seed(0)
    rounded = [torch.randn(2, 3, 20, 64).bfloat16() for _ in range(3)]
    exact = F.scaled_dot_product_attention(*(each.float() for each in rounded), is_causal=True).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        plain = F.scaled_dot_product_attention(*rounded, is_causal=True)
        with Float32Attention():
            found = F.scaled_dot_product_attention(*rounded, is_causal=True)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact)
    assert not torch.equal(found, plain)
