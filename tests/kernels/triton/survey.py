"""What is to be known of the kernels for real GPUs: machine code, whether lengths change it, and work by count.

    python -m tests.kernels.triton.survey            Markdown tables for all of cards.py
    python -m tests.kernels.triton.survey 90         the same as JSON, for one of them

Each architecture has a process of its own, in which Triton compiles: under pytest it has been imported as an
interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.kernels.triton import compiling, work
from tests.kernels.triton.cards import ARCHITECTURES
from tests.kernels.triton.compiling import MachineCode
from tests.kernels.triton.work import Done

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 3_600


@dataclass(frozen=True)
class Survey:
    codes: list[MachineCode]  # of every specimen
    made_by_lengths: list[str]  # calls whose machine code another length changes
    launches: dict[str, int]  # of a call of each operator
    work: list[Done]

    @classmethod
    def of(cls, architecture: int) -> Survey:
        """In this process, where Triton must not be an interpreter."""
        from tests.kernels.triton.specimens import every, made_by_lengths, specimens
        from tests.support.workloads import UTTERANCES

        codes = [compiling.machine_code(*specimen) for specimen in specimens(architecture)]
        launches = {call.operator: len(launched) for call, launched in every(UTTERANCES, architecture)}
        return cls(codes, made_by_lengths(architecture), launches, work.done(architecture))

    @classmethod
    def read(cls, codes: list[Any], made_by_lengths: list[str], launches: dict[str, int], work: list[Any]) -> Survey:
        """From its JSON."""
        return cls([MachineCode(**row) for row in codes], made_by_lengths, launches, [Done(**row) for row in work])


def surveys() -> dict[int, Survey]:
    """By architecture, as many side by side as there are processors. Raises RuntimeError, with what it wrote to stderr,
    where a process fails."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(ARCHITECTURES, pool.map(_in_a_process, ARCHITECTURES), strict=True))


def _in_a_process(architecture: int) -> Survey:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"  # as by default, without being warned of it
    command = [sys.executable, "-m", "tests.kernels.triton.survey", str(architecture)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"sm_{architecture}: {done.stderr}")
    return Survey.read(**json.loads(done.stdout))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        json.dump(asdict(Survey.of(int(sys.argv[1]))), sys.stdout)
    else:
        for architecture, survey in surveys().items():
            print(compiling.table(architecture, survey.codes), work.table(architecture, survey.work), sep="\n\n")
