"""The calls of operators that a model makes, with their arguments as they stand in it: views, strides and all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sqe_fast.kernels.operators import Linear, Norm, Operators, Span
from tests.support.workloads import Stages, Workload, random_model

WRITTEN = {"pool_norm_linear": (4,), "prefill_attention": (5, 6), "decode_attention": (5, 6)}
"""Arguments that an operator writes to."""


@dataclass(frozen=True)
class Call:
    stage: str
    operator: str
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Such as "encode norm_linear 3100×1280→3840"."""
        return f"{self.stage} {self.operator} {self.size}"

    @property
    def size(self) -> str:
        """Rows × width of the input, and → the outputs' where a linear layer is applied."""
        x = self.arguments[0]
        outputs = sum(len(weight) for weight in self.weights)
        return "×".join(map(str, x.shape)) + (f"→{outputs}" if outputs else "")

    @property
    def weights(self) -> Sequence[Tensor]:
        """Of linear layers that are applied to every row."""
        a = self.arguments
        return {
            "norm_linear": lambda: [linear.weight for linear in a[2]],
            "norm_swiglu": lambda: [linear.weight for linear in a[2:4]],
            "linear_residual": lambda: [a[1].weight],
            "pool_norm_linear": lambda: [a[3].weight],
        }.get(self.operator, tuple)()

    def results(self, operators: Operators) -> list[Tensor]:
        """What is returned and what is written; the arguments stay as they are."""
        written = WRITTEN.get(self.operator, ())
        arguments = [value.clone() if index in written else value for index, value in enumerate(self.arguments)]
        returned = getattr(operators, self.operator)(*arguments)
        first = [] if returned is None else [returned] if isinstance(returned, Tensor) else list(returned)
        return first + [arguments[index] for index in written]

    def to(self, dtype: torch.dtype) -> Call:
        """The same in another precision."""
        return replace(self, arguments=in_precision(self.arguments, dtype))


def in_precision(value: Any, dtype: torch.dtype) -> Any:
    """Arguments with every tensor of floating point in that precision."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, Span):
        return value
    if isinstance(value, Norm | Linear):
        return type(value)(*(in_precision(part, dtype) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(in_precision(part, dtype) for part in value)
    return value


class Noting:
    """Operators that note what they are asked and have others do it."""

    def __init__(self, operators: Operators) -> None:
        self.NAME = operators.NAME
        self.stage = ""
        self.calls: list[Call] = []
        self._operators = operators

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            # What is given by name comes last in each operator's order, as `gelu`.
            self.calls.append(Call(self.stage, operator, (*arguments, *named.values())))
            return getattr(self._operators, operator)(*arguments, **named)

        return noted


@torch.inference_mode()
def calls(
    load: Workload, dtype: torch.dtype, device: torch.device, operators: Operators, *, once: bool = True
) -> list[Call]:
    """Those of every stage; `once`: each size once. Of a decoder in int8 those of the encoder, which is as it was, are
    left out."""
    noting, decoder = Noting(operators), "int8 " if load.int8 else ""
    stages = Stages(load, random_model(load.config, dtype, device), noting)  # type: ignore[arg-type]
    if not load.int8:
        noting.stage = "encode"
        stages.encode()
    noting.stage = f"{decoder}prefill"
    stages.prefill()
    for rows in load.rows:
        noting.stage = f"{decoder}decode {rows}"
        for run in (stages.decode, stages.logits, stages.read_out):
            run(rows)
    return list({call.name: call for call in noting.calls}.values()) if once else noting.calls
