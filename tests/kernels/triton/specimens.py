"""The launches that are compiled for every card: every operator as the 7B model calls it, recorded for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from sqe_fast.kernels import select
from sqe_fast.kernels.operators import Operators
from tests.kernels.triton.recording import Launch, recording
from tests.support.operator_calls import Call, calls
from tests.support.workloads import GROUPED, IN_INT8, UTTERANCES, Workload


class Recorded(NamedTuple):
    call: Call
    launches: list[Launch]


class Specimen(NamedTuple):
    name: str
    launch: Launch


class Dry:
    """Operators that return what they would, of the `meta` device; the launches of each call are kept apart."""

    def __init__(self, operators: Operators, launches: list[Launch]) -> None:
        self.NAME = operators.NAME
        self.launches_of_calls: list[list[Launch]] = []
        self._operators, self._launches = operators, launches

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            before = len(self._launches)
            result = getattr(self._operators, operator)(*arguments, **named)
            self.launches_of_calls.append(self._launches[before:])
            return result

        return counted


def every(load: Workload, architecture: int) -> list[Recorded]:
    """Each call of a workload, in order, with its launches."""
    with recording(architecture) as launches:
        dry = Dry(select("triton"), launches)
        made = calls(load, torch.bfloat16, torch.device("meta"), dry, once=False)  # type: ignore[arg-type]
    return [Recorded(*pair) for pair in zip(made, dry.launches_of_calls, strict=True)]


def recorded(load: Workload, architecture: int) -> list[Recorded]:
    """Each size of call once."""
    return list({pair.call.name: pair for pair in every(load, architecture)}.values())


def specimens(architecture: int) -> list[Specimen]:
    """Launches of different machine code, each named for the first call that makes it. Of the model whose heads share
    KV heads only attention, as the rest would be compiled much alike."""
    grouped = [pair for pair in recorded(GROUPED, architecture) if "attention" in pair.call.operator]
    found: dict[str, Specimen] = {}
    for called, pairs in (
        ("", recorded(UTTERANCES, architecture)),
        ("grouped ", grouped),
        ("", recorded(IN_INT8, architecture)),
    ):
        for call, launches in pairs:
            for launch in launches:
                found.setdefault(launch.compiled_for, Specimen(called + call.name, launch))
    return list(found.values())


OTHER_LENGTHS = (
    replace(UTTERANCES, frames=(801, 333, 3, 640), prompt=301, prefix=0, rows=(1, 31), held=16),
    replace(UTTERANCES, frames=(16,), prompt=16, prefix=1, rows=(16, 2), held=1),
)


def made_by_lengths(architecture: int) -> list[str]:
    """Calls whose machine code another length changes, but for its tile."""
    first = every(UTTERANCES, architecture)
    found = []
    for load in OTHER_LENGTHS:
        for (call, launches), (_, others) in zip(first, every(load, architecture), strict=True):
            for one, other in zip(launches, others, strict=True):
                if one.tile == other.tile and one.compiled_for != other.compiled_for:
                    found.append(f"{call.operator}: {one.name} {one.tile}")
    return sorted(set(found))
