"""What Triton and ptxas make of a kernel for a real GPU: registers, spills, shared memory, instructions.

Compiled, never run: no GPU is needed. What was compiled before is found in Triton's cache.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernels.triton.recording import Launch

INSTRUCTIONS = {
    "spilled": r"\b(?:LDL|STL)\b",
    "hgmma": r"\bHGMMA\.",
    "hmma": r"\bHMMA\.",
    "utcmma": r"\bUTC[A-Z]*MMA\b",
    "bulk": r"\bUTMALDG\b",
    "copies": r"\bLDGSTS\.\S*\b128\b",
    "narrow_copies": r"\bLDGSTS\.(?!\S*\b128\b)",
    "loads": r"\bLDG\.\S*\b128\b",
    "stores": r"\bSTG\.\S*\b128\b",
}


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
    utcmma: int  # of the data center's Blackwell
    bulk: int  # copies to shared memory by Hopper's copy engine
    copies: int  # asynchronous copies to shared memory, of 16 bytes
    narrow_copies: int  # and of fewer
    loads: int  # of 16 bytes
    stores: int  # of 16 bytes
    seconds: float  # to compile; next to nothing where the cache had it


def machine_code(name: str, launch: Launch) -> MachineCode:
    """In a process where Triton is not an interpreter."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(launch.kernel, launch.signature, launch.constants, launch.attributes)
    start = time.perf_counter()
    compiled = triton.compile(source, target=GPUTarget("cuda", launch.architecture, 32), options=launch.options)
    return MachineCode(
        name,
        launch.name,
        launch.tile,
        launch.architecture,
        launch.options["num_warps"] * 32,
        shared=compiled.metadata.shared,
        seconds=round(time.perf_counter() - start, 2),
        **_figures(compiled.asm["cubin"]),
    )


def _figures(cubin: bytes) -> dict[str, int]:
    """Registers, stack and counts of INSTRUCTIONS; kept in Triton's cache too, as reading a listing takes a while."""
    from triton.runtime.cache import get_cache_manager

    cache = get_cache_manager(sha256(cubin + repr(INSTRUCTIONS).encode()).hexdigest())
    if known := cache.get_file("figures.json"):
        return dict(json.loads(Path(known).read_text()))
    listing = _listing(cubin)
    registers, stack = map(int, re.findall(r"REG:(\d+) STACK:(\d+)", listing)[0])
    counts = {field: len(re.findall(pattern, listing)) for field, pattern in INSTRUCTIONS.items()}
    figures = {"registers": registers, "stack": stack, **counts}
    cache.put(json.dumps(figures), "figures.json", binary=False)
    return figures


def _listing(cubin: bytes) -> str:
    """What it uses, and its instructions."""
    import triton

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", "-sass", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


COLUMNS = ("registers", "stack", "spilled", "shared", "hgmma", "hmma", "utcmma", "bulk", "copies", "loads", "stores")


def table(architecture: int, codes: list[MachineCode]) -> str:
    """In Markdown."""
    lines = [f"| sm_{architecture} | first called in | threads | {' | '.join(COLUMNS)} |", "| --- " * 14 + "|"]
    for code in codes:
        numbers = " | ".join(str(getattr(code, column)) for column in COLUMNS)
        lines.append(f"| {code.kernel} {code.tile} | {code.specimen} | {code.threads} | {numbers} |")
    return "\n".join(lines)
