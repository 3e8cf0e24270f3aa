"""What is to be known of the kernels for real GPUs: machine code, whether lengths change it, and work by count.

    python -m tests.kernels.triton.survey            Markdown tables for sm_80 and sm_90
    python -m tests.kernels.triton.survey 90         the same as JSON, for one of them

Each architecture has a process of its own, in which Triton compiles: under pytest it has been imported as an
interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.kernels.triton import compiling, work
from tests.kernels.triton.compiling import MachineCode
from tests.kernels.triton.work import Done

ARCHITECTURES = (80, 90)
"""A100 and H100."""
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 900


@dataclass(frozen=True)
class Survey:
    codes: list[MachineCode]  # of every specimen
    made_by_lengths: list[str]  # calls whose machine code another length changes
    work: list[Done]

    @classmethod
    def of(cls, architecture: int) -> Survey:
        """In this process, where Triton must not be an interpreter."""
        from tests.kernels.triton.specimens import made_by_lengths, specimens

        codes = [compiling.machine_code(*specimen) for specimen in specimens(architecture)]
        return cls(codes, made_by_lengths(architecture), work.done(architecture))

    @classmethod
    def read(cls, codes: list[Any], made_by_lengths: list[str], work: list[Any]) -> Survey:
        """From its JSON."""
        return cls([MachineCode(**row) for row in codes], made_by_lengths, [Done(**row) for row in work])


def surveys() -> dict[int, Survey]:
    """By architecture; side by side. Raises RuntimeError, with what it wrote to stderr, where a process fails."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"  # as by default, without being warned of it
    started = {
        architecture: subprocess.Popen(
            [sys.executable, "-m", "tests.kernels.triton.survey", str(architecture)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for architecture in ARCHITECTURES
    }
    found = {}
    try:
        for architecture, process in started.items():
            out, error = process.communicate(timeout=TIMEOUT_S)
            if process.returncode:
                raise RuntimeError(f"sm_{architecture}: {error}")
            found[architecture] = Survey.read(**json.loads(out))
    finally:
        for process in started.values():
            process.kill()
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        json.dump(asdict(Survey.of(int(sys.argv[1]))), sys.stdout)
    else:
        for architecture, survey in surveys().items():
            print(compiling.table(architecture, survey.codes), work.table(architecture, survey.work), sep="\n\n")
