"""Each operator as the 7B model calls it: right beside float32, then timed beside torch's own, eager and compiled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks.gpu.rows import Turns, Writer, copies_to_rotate, is_right, relative_error
from sqe_fast.kernels import Operators, select
from tests.support.least_work import least_work
from tests.support.operator_calls import WRITTEN, Call, calls
from tests.support.workloads import Workload


@torch.inference_mode()
def measure(writer: Writer, load: Workload) -> None:
    ours, torchs = select("triton"), select("torch")
    machine = writer.machine
    for call in calls(load, machine.dtype, machine.device, torchs):
        error, theirs = errors(call, ours, torchs)
        work = least_work(call, load.held)
        copies = rotated(call)
        writer.timed(
            "kernel",
            call.name,
            ours.NAME,
            _turns(copies, ours),
            _peers(copies, torchs, machine.dry),
            right=is_right(error, theirs),
            error=error,
            peer_error=theirs,
            least_work=work,
            launched=("torch", "torch.compile") if call.operator == "decode_attention" else (),
        )


def errors(call: Call, ours: Operators, torchs: Operators) -> tuple[float, float]:
    """Ours and torch's, the worst of all results; infinite where what must stay is written to."""
    exact = call.to(torch.float32)
    wanted = exact.results(torchs)
    written = WRITTEN.get(call.operator, ())
    # Of what an operator writes to, errors are looked at where something is to be written.
    changed = [right != exact.arguments[index] for right, index in zip(wanted[-len(written) :], written, strict=False)]
    parts: list[Tensor | None] = [None] * (len(wanted) - len(changed)) + changed

    def worst(operators: Operators) -> float:
        found = call.results(operators)
        for result, index, part in zip(found[-len(written) :], written, changed, strict=False):
            if not torch.equal(result[~part], call.arguments[index][~part]):
                return math.inf
        triples = zip(found, wanted, parts, strict=True)
        return max(
            relative_error(result, right) if part is None else relative_error(result[part], right[part])
            for result, right, part in triples
        )

    return worst(ours), worst(torchs)


def rotated(call: Call) -> list[Call]:
    """Copies of a call that no L2 holds at once, so that each finds its arguments in memory. The first is itself."""
    tensors = [leaf for leaf in tree_leaves(call.arguments) if isinstance(leaf, Tensor)]
    count = copies_to_rotate(sum(tensor.nbytes for tensor in tensors))
    return [call] + [
        replace(
            call, arguments=tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, call.arguments)
        )
        for _ in range(count - 1)
    ]


def _turns(copies: Sequence[Call], operators: Operators) -> Turns:
    operator = getattr(operators, copies[0].operator)
    return [partial(operator, *copy.arguments) for copy in copies]


def _peers(copies: Sequence[Call], torchs: Operators, dry: bool) -> dict[str, Turns]:
    peers = {"torch": _turns(copies, torchs)}
    if not dry:
        # One function is compiled for eight sizes, and runs eagerly for others: each call starts anew.
        torch._dynamo.reset()
        compiled = torch.compile(getattr(torchs, copies[0].operator), dynamic=False)
        peers["torch.compile"] = [partial(compiled, *copy.arguments) for copy in copies]
    return peers
