"""One JSON row for each measurement: what ran, where, how right it was and how fast beside its peer in the same run."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import statistics
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from tests.support.least_work import Work

ROOT = Path(__file__).parents[2]
TIMES_TORCH = 2.0
"""What our error may be of torch's own in the same precision, both against float32 (or float64)."""
HALF_TOLERANCE = 1e-2
"""A relative error of gradients that were added up in another order, and rounded."""
ROUNDS = 20
ROTATED_BYTES, MOST_COPIES = 256 << 20, 32
"""What the copies of a call's arguments take together: twice a B200's L2."""
ROUNDING = 2e-3
"""A relative error that no one has to explain: a few roundings of half precision."""


@dataclass(frozen=True)
class Machine:
    """Where measurements are taken. `dry`: in Triton's interpreter on a CPU, where no time means anything."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dry(self) -> bool:
        return self.device.type != "cuda"

    def synchronise(self) -> None:
        if not self.dry:
            torch.cuda.synchronize(self.device)


def open_machine(dry: bool) -> Machine:
    """Raises RuntimeError where there is no GPU for what is not dry, or no interpreter for what is."""
    from sqe_fast.kernels import interpreted

    if dry and not interpreted():
        raise RuntimeError("a dry run needs TRITON_INTERPRET=1, set before Python starts")
    if dry:  # of half precision, as on a GPU; the interpreter computes bfloat16 wrongly
        return Machine(torch.device("cpu"), torch.float16)
    if not torch.cuda.is_available():
        raise RuntimeError("no GPU is here: run with --dry to see that the benchmarks work, or on a card")
    if interpreted():
        raise RuntimeError("TRITON_INTERPRET is set: unset it, or the kernels run on the CPU")
    torch.backends.cudnn.allow_tf32 = False  # float32 is what errors are measured against
    return Machine(torch.device("cuda"), torch.bfloat16)


@cache
def environment(machine: Machine) -> dict[str, Any]:
    """What a number is worth nothing without."""
    device = "none (Triton's interpreter on a CPU)" if machine.dry else torch.cuda.get_device_name(machine.device)
    return {
        "dry": machine.dry,
        "device": device,
        "dtype": str(machine.dtype).removeprefix("torch."),
        "commit": commit(),
        "driver": None if machine.dry else _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        **{package: version(package) for package in ("torch", "triton", "transformers", "vllm")},
    }


def commit() -> str | None:
    """As SQE_COMMIT says, else as git does; None in a copy without .git, of which nobody said it."""
    if said := os.environ.get("SQE_COMMIT"):
        return said
    if not (ROOT / ".git").exists():
        return None
    return _output("git", "rev-parse", "--short", "HEAD") + ("+changes" if _output("git", "diff", "HEAD") else "")


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True)
class Writer:
    machine: Machine
    file: IO[str]
    wrong: list[str] = field(default_factory=list)
    """Cases that were not right, ours or a peer's. Measuring goes on: a GPU may be at hand only once."""

    def write(self, level: str, case: str, operators: str, *, right: bool, dtype: str = "", **more: Any) -> None:
        """`level`: ceiling, kernel, stage, kl, whole or answer. `operators` is the NAME of those that ran; `right`:
        whether ours and the peer's values are what they should be, without which no time of theirs says anything.
        `dtype`: in which ours computed, where it is not the machine's."""
        if not right:
            self.wrong.append(f"{level} {case}")
        values = {name: None if value in (math.inf, -math.inf) else value for name, value in more.items()}
        row = {
            "level": level,
            "case": case,
            "operators": operators,
            "right": right,
            **environment(self.machine),
            **({"dtype": dtype} if dtype else {}),
            **values,
        }
        if self.machine.dry:
            assert not [key for key in row if key.endswith(("ms", "per_second")) or key.startswith("times_")]
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.file.flush()

    def timed(
        self,
        level: str,
        case: str,
        operators: str,
        ours: Turns,
        peers: dict[str, Turns],
        *,
        right: bool,
        least_work: Work | None = None,
        launched: Collection[str] = (),
        **more: Any,
    ) -> None:
        """A row for each peer, measured in turn; `times_peer` above 1: ours is faster. Where it is dry all run once.
        `timed` says how: "replay" of a CUDA graph, that is the GPU alone, or "launches", which the host makes: of those
        in `launched` ("" for ours), which read on the host, or take its memory."""
        for peer, turns in peers.items():
            if self.machine.dry:
                for run in (*ours, *turns):
                    run()
                self.write(level, case, operators, right=right, peer=peer, **more)
                continue
            theirs, mine = (milliseconds(each, name in launched) for name, each in ((peer, turns), ("", ours)))
            timed = "launches" if "" in launched else "replay"
            times: dict[str, Any] = {"ms": round(mine, 4), "peer_ms": round(theirs, 4), "timed": timed}
            times["times_peer"] = round(theirs / mine, 3)
            if least_work is not None:
                times["tera_flops_per_second"] = round(2 * least_work.products / mine * 1e-9, 2)
                times["least_giga_bytes_per_second"] = round(least_work.bytes / mine * 1e-6, 1)
            self.write(level, case, operators, right=right, peer=peer, **times, **more)


Turns = Sequence[Callable[[], object]]
"""The same work on some copies of its arguments, one after the other."""


def milliseconds(turns: Turns, launched: bool = False) -> float:
    """Median of a turn: of a CUDA graph of all of them, or `launched` one by one by the host's Python, which takes
    longer than the smaller kernels do."""
    for run in turns:
        run()  # compiled by its first launch
    torch.cuda.synchronize()
    if launched:
        return statistics.median(_median(run) for run in turns)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for run in turns:
            run()
    return _median(graph.replay) / len(turns)


def _median(run: Callable[[], object]) -> float:
    """Milliseconds between two events around it, over ROUNDS runs."""
    times = []
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times[ROUNDS // 5 :])  # the first ones warm up


def copies_to_rotate(size: int) -> int:
    """How many copies of arguments of `size` bytes no L2 holds at once: at least one."""
    return max(1, min(MOST_COPIES, -(-ROTATED_BYTES // max(1, size))))


def relative_error(found: Tensor, exact: Tensor) -> float:
    """In the Euclidean norm; infinite where it is no number."""
    exact = exact.double()
    error = float((found.double() - exact).norm() / exact.norm().clamp(min=1e-12))
    return math.inf if math.isnan(error) else error


def is_right(error: float, torchs: float) -> bool:
    return math.isfinite(error) and error <= TIMES_TORCH * torchs + ROUNDING
