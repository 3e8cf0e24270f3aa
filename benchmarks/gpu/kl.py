"""The fused linear KL, forward and backward, beside torch, torch.compile and what else is installed: time, peak memory.

Sizes of a small model and of the 7B, in bfloat16. A peer that runs out of memory has a row that says so.
"""

from __future__ import annotations

import gc
from functools import partial

import torch

from benchmarks.gpu.rows import HALF_TOLERANCE, Machine, Writer, milliseconds, relative_error
from benchmarks.kernels.gpu_launches import HALF_FLOPS, Shape
from benchmarks.peers.losses import Case, Loss, case, gradients, naive, ours, peers
from tests.support.shapes import AUDIO_VOCABULARY

SIZES = ((400, 896), (400, 4_096), (2_048, 896), (2_048, 4_096))
DRY_SIZES = ((5, 24),)
EXACT_POSITIONS = 64
"""Positions for which gradients are compared with those in single precision: all would take the memory of a card."""


def measure(writer: Writer) -> None:
    machine = writer.machine
    vocabulary = 301 if machine.dry else AUDIO_VOCABULARY
    for positions, width in DRY_SIZES if machine.dry else SIZES:
        given = _case(machine, positions, vocabulary, width)
        losses = {"": ours, **({"naive": naive} if machine.dry else peers())}
        error, theirs = errors(machine, min(positions, EXACT_POSITIONS), vocabulary, width)
        rows = {name: _measured(machine, loss, given) for name, loss in losses.items()}
        least = sum(Shape(positions, width, vocabulary, vocabulary).least_flops)
        for name in losses:
            if not name:
                continue
            times: dict[str, object] = {}
            if not machine.dry:
                (ms, peak), (peer_ms, peer_peak) = rows[""], rows[name]
                times = {
                    "ms": ms,
                    "peer_ms": peer_ms,
                    "peak_mb": peak,
                    "peer_peak_mb": peer_peak,
                    "times_peer": round(peer_ms / ms, 3) if ms and peer_ms else None,
                    "of_roofline": round(least / HALF_FLOPS * 1e3 / ms, 3) if ms else None,
                }
            right = error <= 2 * theirs + HALF_TOLERANCE
            label = f"{positions} × {vocabulary}, width {width}, forward and backward"
            writer.write("kl", label, "cuda", right=right, peer=name, error=error, peer_error=theirs, **times)


def errors(machine: Machine, positions: int, vocabulary: int, width: int) -> tuple[float, float]:
    """The worst of both gradients: ours, and plain torch's in the same precision, against single precision."""
    given = _case(machine, positions, vocabulary, width)
    exact = Case(*(part.detach().float().requires_grad_(part.requires_grad) for part in given[:4]), given.targets)
    right = gradients(naive, exact)[1:]
    found = []
    for loss in (ours, naive):
        pairs = zip(gradients(loss, given)[1:], right, strict=True)
        found.append(max(relative_error(part, other) for part, other in pairs))
    return found[0], found[1]


def _case(machine: Machine, positions: int, vocabulary: int, width: int) -> Case:
    given = case(positions, vocabulary, width, torch.float32 if machine.dry else machine.dtype)
    return Case(*(part.detach().to(machine.device).requires_grad_(part.requires_grad) for part in given))


def _measured(machine: Machine, loss: Loss, given: Case) -> tuple[float | None, int]:
    """Milliseconds, and MB at the peak beside what was there; None where there is not as much memory."""
    gc.collect()
    if machine.dry:
        gradients(loss, given)
        return None, 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    try:
        ms = milliseconds([partial(gradients, loss, given)], launched=True)
    except torch.OutOfMemoryError:
        return None, 0
    return round(ms, 3), (torch.cuda.max_memory_allocated() - before) >> 20
