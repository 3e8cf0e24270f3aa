"""What Triton and ptxas make of the kernels for real GPUs: registers, spills, shared memory, instructions.

    python -m tests.kernels.triton.compiling            a Markdown table for sm_80 and sm_90
    python -m tests.kernels.triton.compiling 90         the same as JSON, for one of them

Compiled, never run: no GPU is needed. Each architecture has a process of its own; what was compiled before is found in
Triton's cache.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.kernels.triton.processes import ARCHITECTURES, ask

if TYPE_CHECKING:
    from tests.kernels.triton.recording import Launch

INSTRUCTIONS = {
    "spilled": r"\b(?:LDL|STL)\b",
    "hgmma": r"\bHGMMA\.",
    "hmma": r"\bHMMA\.",
    "bulk": r"\bUTMALDG\b",
    "copies": r"\bLDGSTS\.\S*\b128\b",
    "narrow_copies": r"\bLDGSTS\.(?!\S*\b128\b)",
    "loads": r"\bLDG\.\S*\b128\b",
    "stores": r"\bSTG\.\S*\b128\b",
}
SHARED_OF_PROCESSOR = {80: 164 << 10, 90: 228 << 10}
"""Bytes, of which each block takes 1 KiB for the system."""
REGISTERS_OF_PROCESSOR, THREADS_OF_PROCESSOR, BLOCKS_OF_PROCESSOR = 65_536, 2_048, 32


@dataclass(frozen=True)
class MachineCode:
    specimen: str  # the first call that launches it
    kernel: str
    tile: str
    architecture: int
    threads: int  # of a block
    registers: int  # of a thread
    stack: int  # bytes: spills, or arrays that no register holds
    shared: int  # bytes of a block
    spilled: int  # instructions that load from the stack or store there
    hgmma: int  # instructions of Hopper's tensor cores
    hmma: int  # of tensor cores as Ampere has them
    bulk: int  # copies to shared memory by Hopper's copy engine
    copies: int  # asynchronous copies to shared memory, of 16 bytes
    narrow_copies: int  # and of fewer
    loads: int  # of 16 bytes
    stores: int  # of 16 bytes
    seconds: float  # to compile; next to nothing where the cache had it

    @property
    def budget(self) -> str:
        """Its key in `budgets.BUDGETS`."""
        return f"{self.kernel} {self.tile}".strip()

    @property
    def blocks(self) -> int:
        """That a multiprocessor can hold at a time."""
        registers = REGISTERS_OF_PROCESSOR // (-(-self.registers // 8) * 8 * self.threads)
        shared = SHARED_OF_PROCESSOR[self.architecture] // (self.shared + 1024)
        return min(registers, shared, THREADS_OF_PROCESSOR // self.threads, BLOCKS_OF_PROCESSOR)


def machine_code(name: str, launch: Launch) -> MachineCode:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(launch.kernel, launch.signature, launch.constants, launch.attributes)
    start = time.perf_counter()
    compiled = triton.compile(source, target=GPUTarget("cuda", launch.architecture, 32), options=launch.options)
    seconds = time.perf_counter() - start
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _cuobjdump("--dump-resource-usage", file.name)
        listing = _cuobjdump("-sass", file.name)
    registers, stack = map(int, re.findall(r"REG:(\d+) STACK:(\d+)", usage)[0])
    return MachineCode(
        name,
        launch.name,
        launch.tile,
        launch.architecture,
        launch.options["num_warps"] * 32,
        registers,
        stack,
        shared=compiled.metadata.shared,
        seconds=round(seconds, 2),
        **{field: len(re.findall(pattern, listing)) for field, pattern in INSTRUCTIONS.items()},
    )


def _cuobjdump(option: str, file: str) -> str:
    import triton

    command = [triton.knobs.nvidia.cuobjdump.path, option, file]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def compiled(architecture: int) -> list[MachineCode]:
    """Of every specimen; in this process, where Triton must not be an interpreter."""
    from tests.kernels.triton.specimens import specimens

    return [machine_code(specimen.name, specimen.launch) for specimen in specimens(architecture)]


def compiled_apart() -> dict[int, list[MachineCode]]:
    """By architecture."""
    answers = ask("tests.kernels.triton.compiling", *([architecture] for architecture in ARCHITECTURES))
    found = {}
    for architecture, rows in zip(ARCHITECTURES, answers, strict=True):
        found[architecture] = [MachineCode(**row) for row in rows]
    return found


COLUMNS = ("registers", "stack", "spilled", "shared", "blocks", "hgmma", "hmma", "bulk", "copies", "loads", "stores")


def table(architecture: int, codes: list[MachineCode]) -> str:
    lines = [f"| sm_{architecture} | first called in | threads | {' | '.join(COLUMNS)} |", "| --- " * 14 + "|"]
    for code in codes:
        numbers = " | ".join(str(getattr(code, column)) for column in COLUMNS)
        lines.append(f"| {code.budget} | {code.specimen} | {code.threads} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        json.dump([asdict(code) for code in compiled(int(sys.argv[1]))], sys.stdout)
    else:
        for architecture, codes in compiled_apart().items():
            print(table(architecture, codes), end="\n\n")
