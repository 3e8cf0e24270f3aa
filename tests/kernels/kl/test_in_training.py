"""The fused KL as it is trained with: compiled, by two processes that share gradients, and with a sharded head."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from sqe_fast.kernels.kl.fused_kl import fused_linear_kl

POSITIONS, WIDTH, IDS = 12, 6, 40
WAYS = ("ddp", "fsdp")
PATIENCE = 300.0
"""Seconds in which two processes must be done: seldom, one waited for ever for the other to let go."""


class Student(nn.Module):
    """A layer and a head, which its loss multiplies within `forward`: where a wrapper has the head whole."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, IDS, bias=False)

    def forward(self, x: Tensor, teacher: Tensor, teacher_head: Tensor, targets: Tensor) -> Tensor:
        found = fused_linear_kl(self.layer(x).tanh(), self.head.weight, teacher, teacher_head, targets, 1.3, "reverse")
        return (found.kl - 0.1 * found.student_logprob).mean()


def student() -> Student:
    torch.manual_seed(0)
    return Student()


def given(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, teacher, head = (torch.randn(n, WIDTH, generator=generator, dtype=dtype) for n in (POSITIONS, POSITIONS, IDS))
    return x, teacher, head, torch.randint(0, IDS, (POSITIONS,), generator=generator)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        grad = parameter.grad
        found[name.removeprefix("module.")] = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
    return found


def alone() -> dict[str, Tensor]:
    model = student()
    model(*given()).backward()
    return gradients(model)


def test_compiled_is_as_eager() -> None:
    """Traced through the operators' own word for shapes and strides, without a compiler behind it."""
    model, expected = student(), alone()
    compiled = torch.compile(model, backend="aot_eager")
    compiled(*given()).backward()
    for name, grad in gradients(model).items():
        torch.testing.assert_close(grad, expected[name], msg=name)


def half_of_the_work(rank: int, way: str, folder: str) -> None:
    """One of two processes: its half of the positions."""
    os.environ.update(MASTER_ADDR="127.0.0.1")
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model: nn.Module = student()
    if way == "ddp":
        model = DistributedDataParallel(model)
    else:
        mesh = distributed.init_device_mesh("cpu", (2,))
        fully_shard(model, mesh=mesh)
    x, teacher, head, targets = given()
    own = slice(rank * POSITIONS // 2, (rank + 1) * POSITIONS // 2)
    model(x[own], teacher[own], head, targets[own]).backward()
    found = gradients(model)
    if rank == 0:
        torch.save(found, Path(folder) / "gradients.pt")
    distributed.barrier()  # who leaves first takes the connection along, on which the other one may wait for ever
    del model
    distributed.destroy_process_group()


def together(way: str, folder: Path) -> None:
    """Both halves; fails where the two wait for each other."""
    processes = multiprocessing.spawn(half_of_the_work, (way, str(folder)), nprocs=2, join=False)
    deadline = time.monotonic() + PATIENCE
    while not processes.join(timeout=5):
        if time.monotonic() > deadline:
            for process in processes.processes:
                process.kill()
            pytest.fail(f"not done after {PATIENCE} s")


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_find_the_gradients_of_one(way: str, tmp_path: Path) -> None:
    together(way, tmp_path)
    expected = alone()
    for name, grad in torch.load(tmp_path / "gradients.pt").items():
        torch.testing.assert_close(grad, expected[name], msg=name)
