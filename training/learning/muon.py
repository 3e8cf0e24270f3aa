"""Muon, for the weight matrices of a decoder that is trained from nothing.

The update is the momentum with all its singular values brought near 1, so that no direction waits for the few that
dominate a gradient (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024), scaled to the
size of AdamW's (J. Liu et al., "Muon is scalable for LLM training", 2025): one learning rate serves both. As
torch.optim.Muon, which always multiplies in bf16, and there is slower by two orders of magnitude on a processor that
emulates it; here matrices of one shape are multiplied together, in a type of choice, and processes that share a step
and have the same gradients (DistributedDataParallel) each multiply a share of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Jordan's: the quintic that lifts small singular values fastest, and leaves all within about 0.7 to 1.2."""
SIZE = 0.2
"""Root mean square of AdamW's usual update, for each unit of learning rate (Liu et al.)."""


class Muon(torch.optim.Optimizer):
    """Parameters of two dimensions only; any other raises ValueError."""

    def __init__(
        self, params: Iterable[Any], *, lr: float = 1e-3, weight_decay: float = 0.01, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype
        for group in self.param_groups:
            if any(parameter.ndim != 2 for parameter in group["params"]):
                raise ValueError("Muon takes weight matrices alone")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update. `closure` is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append((parameter, self._ahead(parameter)))
            for (rows, columns), pairs in by_shape.items():
                updates = _shared_orthogonal(torch.stack([ahead for _, ahead in pairs]).to(self.dtype))
                size = group["lr"] * SIZE * math.sqrt(max(rows, columns))
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.to(parameter.dtype), alpha=-size)

    def _ahead(self, parameter: Tensor) -> Tensor:
        """The momentum, with Nesterov's look ahead."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(state["momentum"], MOMENTUM)


def _shared_orthogonal(matrices: Tensor) -> Tensor:
    """`orthogonal`, of each process a share."""
    if not (dist.is_initialized() and dist.get_world_size() > 1):
        return orthogonal(matrices)
    mine = slice(dist.get_rank(), None, dist.get_world_size())
    updates = torch.zeros_like(matrices)
    if len(matrices[mine]):
        updates[mine] = orthogonal(matrices[mine])
    dist.all_reduce(updates)
    return updates


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, m, n] → the same with singular values near 1 and the same singular vectors, by Newton and Schulz's
    iteration."""
    flipped = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if flipped else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if flipped else x
