"""Each operator as the 7B model calls it: right beside float32, then timed beside torch's own, eager and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.gpu.rows import Writer, is_right, relative_error
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
        writer.timed(
            "kernel",
            call.name,
            ours.NAME,
            _run(call, ours),
            _peers(call, torchs, writer.machine.dry),
            right=is_right(error, theirs),
            error=error,
            peer_error=theirs,
            least_work=work,
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


def _run(call: Call, operators: Operators) -> Callable[[], object]:
    operator = getattr(operators, call.operator)
    return lambda: operator(*call.arguments)


def _peers(call: Call, torchs: Operators, dry: bool) -> dict[str, Callable[[], object]]:
    peers = {"torch": _run(call, torchs)}
    if not dry:
        compiled = torch.compile(getattr(torchs, call.operator), dynamic=False)
        peers["torch.compile"] = lambda: compiled(*call.arguments)
    return peers
