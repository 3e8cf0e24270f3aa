"""One training loop for every stage: AdamW or Muon, warm-up and cosine, logs, checkpoints from which a run goes on.

Under `torchrun` (or `accelerate launch`) the processes share the batches and torch's DistributedDataParallel averages
their gradients; the first process logs, saves and validates. Batch `index` belongs to process `index % size`, so N
processes do in a step what one does with `accumulate=N`.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from training.configs import Schedule
from training.learning.muon import Muon
from training.progress import CONSOLE

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first may be sampling or validating."""
BETAS = (0.9, 0.98)
"""AdamW's. The mean of squared gradients forgets sooner than by default (0.999): a run has few thousand steps."""
LAST_RATE = 0.02
"""Share of the peak learning rate at which the cosine ends."""


@dataclass(frozen=True)
class World:
    """The processes of a run."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until every process has come this far."""
        if self.size > 1:
            dist.barrier()


def join(schedule: Schedule) -> World:
    """Meet the other processes of this run, if `torchrun` started any. May be called again."""
    if "RANK" not in os.environ:
        return World(0, 1)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if schedule.device == "cuda" else "gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    return World(dist.get_rank(), dist.get_world_size())


def device_of(schedule: Schedule) -> torch.device:
    """This process's own device."""
    if schedule.device == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(schedule.device)


def train(
    objective: nn.Module,
    groups: Sequence[dict[str, Any]],
    batches: Callable[[int], Any],
    folder: Path,
    schedule: Schedule,
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Minimise the "loss" among the named scalars that `objective(batches(index))` returns, over `schedule.steps`.

    `groups` are AdamW's, each with its peak `lr`, or Muon's where they say "muon": True. `objective.model` is what is
    saved. Writes FOLDER/log.jsonl, FOLDER/state.pt (own checkpoint, weights only) and, where tensorboard is installed,
    its event files; goes on from state.pt where it exists. Raises FloatingPointError where the gradient is not finite.
    """
    world = join(schedule)
    folder.mkdir(parents=True, exist_ok=True)
    objective.to(device_of(schedule))
    model: nn.Module = objective.get_submodule("model")
    optimizers = _optimizers(groups, schedule)
    peaks = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    start = _resume(model, optimizers, folder)
    # A text step leaves the encoder without a gradient; whichever process draws one.
    shared = DistributedDataParallel(objective, find_unused_parameters=True) if world.size > 1 else objective
    saved = time.monotonic()
    with _Log(folder, start, world.leads) as log, _progress(world.leads) as progress:
        bar = progress.add_task(folder.name, total=schedule.steps, completed=start)
        for step in range(start, schedule.steps):
            current = (group for optimizer in optimizers for group in optimizer.param_groups)
            for group, peak in zip(current, peaks, strict=True):
                group["lr"] = peak * _factor(step, schedule)
            losses = _step(shared, optimizers, batches, step, schedule, world)
            progress.update(bar, advance=1, description=f"{folder.name} loss {losses['loss']:.3f}")
            if step % schedule.log_every == 0:
                log.write(step, losses)
            last = step + 1 == schedule.steps
            if validate and world.leads and (last or (step + 1) % schedule.validate_every == 0):
                log.write(step, validate())
            if world.leads and (last or time.monotonic() - saved > schedule.save_every_s):
                _save(model, optimizers, step + 1, folder)
                saved = time.monotonic()


def _optimizers(groups: Sequence[dict[str, Any]], schedule: Schedule) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon if any group is for it."""
    matrices, rest = (
        [group for group in groups if group.get("muon")],
        [group for group in groups if not group.get("muon")],
    )
    dtype = torch.bfloat16 if schedule.precision == "bf16" else torch.float32
    found: list[torch.optim.Optimizer] = []
    if rest:
        found.append(torch.optim.AdamW(rest, betas=BETAS, weight_decay=schedule.weight_decay))
    if matrices:
        found.append(Muon(matrices, weight_decay=schedule.weight_decay, dtype=dtype))
    return found


def _step(
    objective: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    batches: Callable[[int], Any],
    step: int,
    schedule: Schedule,
    world: World,
) -> dict[str, float]:
    """One update; the mean of each named loss over this process's batches."""
    objective.train()
    objective.zero_grad(set_to_none=True)
    seen: dict[str, list[float]] = {}
    for micro in range(schedule.accumulate):
        batch = batches((step * schedule.accumulate + micro) * world.size + world.rank)
        waits = isinstance(objective, DistributedDataParallel) and micro + 1 < schedule.accumulate
        with objective.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with _precision(schedule):
                losses = objective(batch)
            (losses["loss"] / schedule.accumulate).backward()
        for name, value in losses.items():
            seen.setdefault(name, []).append(float(value.detach()))
    norm = nn.utils.clip_grad_norm_(objective.parameters(), schedule.clip_norm)
    if not math.isfinite(float(norm)):
        raise FloatingPointError(f"gradient norm is {float(norm)}: lower the learning rate")
    for optimizer in optimizers:
        optimizer.step()
    return {name: round(sum(values) / len(values), 5) for name, values in seen.items()}


@contextmanager
def _precision(schedule: Schedule) -> Iterator[None]:
    """What a forward pass computes in."""
    if schedule.precision == "fp32":
        yield
        return
    attention = Float32Attention() if schedule.device == "cpu" else nullcontext()
    with attention, torch.autocast(schedule.device, torch.bfloat16):
        yield


class Float32Attention(TorchFunctionMode):
    """Attention in float32 within bf16: on a CPU its gradient takes half as long (torch 2.13, 100 to 400 positions),
    and so a whole step of the warm-up three quarters."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        with torch.autocast("cpu", enabled=False):
            return func(*(tensor.float() for tensor in args), **(kwargs or {})).to(args[0].dtype)


def _factor(step: int, schedule: Schedule) -> float:
    """The learning rates of a step, as a share of their peaks."""
    warm = max(1, int(schedule.warmup * schedule.steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, schedule.steps - warm)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def _progress(visible: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=CONSOLE, disable=not visible)


class _Log:
    """FOLDER/log.jsonl, a row a step, and the same for TensorBoard if it is installed."""

    def __init__(self, folder: Path, start: int, leads: bool) -> None:
        self._leads = leads
        self._board = None
        if not leads:
            return
        self._rows = (folder / "log.jsonl").open("a")
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder), purge_step=start)

    def write(self, step: int, values: dict[str, float]) -> None:
        if not self._leads:
            return
        self._rows.write(json.dumps({"time": round(time.time()), "step": step, **values}) + "\n")
        self._rows.flush()
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._leads:
            self._rows.close()
        if self._board:
            self._board.close()


def _save(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], step: int, folder: Path) -> None:
    part = folder / "state.part"
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states, "step": step}, part)
    part.replace(folder / "state.pt")


def _resume(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], folder: Path) -> int:
    if not (folder / "state.pt").exists():
        return 0
    state = torch.load(folder / "state.pt", weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
