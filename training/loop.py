"""One training loop for every stage: AdamW, warm-up and cosine, JSONL log, checkpoints from which a run goes on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

Losses = dict[str, Tensor]
"""Named scalars; "loss" is the one that is minimised."""


@dataclass(frozen=True)
class Schedule:
    steps: int
    warmup: float = 0.05
    """Share of the steps."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast of matrix products; pays only on CPUs with AVX512-BF16 or AMX."""
    log_every: int = 20
    save_every_s: float = 150.0


def train(
    model: nn.Module,
    groups: Sequence[dict[str, Any]],
    loss_of: Callable[[int], Losses],
    folder: Path,
    schedule: Schedule,
    validate: Callable[[], dict[str, float]] | None = None,
    validate_every: int = 400,
) -> None:
    """Minimise `loss_of(step)` over `schedule.steps`; `groups` are AdamW's, each with its peak `lr`.

    Writes FOLDER/log.jsonl and FOLDER/state.pt (own checkpoint, weights only); goes on from the latter where it exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=schedule.weight_decay)
    peaks = [group["lr"] for group in optimizer.param_groups]
    start = _resume(model, optimizer, folder)
    saved = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress, (folder / "log.jsonl").open("a") as log:
        bar = progress.add_task(folder.name, total=schedule.steps, completed=start)
        for step in range(start, schedule.steps):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * _factor(step, schedule)
            losses = _step(model, optimizer, lambda step=step: loss_of(step), schedule)
            progress.update(bar, advance=1, description=f"{folder.name} loss {losses['loss']:.3f}")
            if step % schedule.log_every == 0:
                _write(log, {"step": step, **losses})
            last = step + 1 == schedule.steps
            if validate and (last or (step + 1) % validate_every == 0):
                _write(log, {"step": step, **validate()})
                model.train()
            if last or time.monotonic() - saved > schedule.save_every_s:
                _save(model, optimizer, step + 1, folder)
                saved = time.monotonic()


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Callable[[], Losses], schedule: Schedule
) -> dict[str, float]:
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=schedule.precision == "bf16"):
        losses = loss_of()
    optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), schedule.clip_norm)
    if not math.isfinite(float(norm)):
        raise FloatingPointError(f"gradient norm is {float(norm)}: lower the learning rate")
    optimizer.step()
    return {name: round(float(value.detach()), 5) for name, value in losses.items()}


def _factor(step: int, schedule: Schedule) -> float:
    warm = max(1, int(schedule.warmup * schedule.steps))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, schedule.steps - warm)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _write(log: Any, row: dict[str, Any]) -> None:
    log.write(json.dumps({"time": round(time.time()), **row}) + "\n")
    log.flush()


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, folder: Path) -> None:
    part = folder / "state.part"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, part)
    part.replace(folder / "state.pt")


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    if not (folder / "state.pt").exists():
        return 0
    state = torch.load(folder / "state.pt", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
