"""What nvcc makes of the kernels for real GPUs: registers, spills, shared memory, wide loads. Compiled, never run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.kernels.kl.cuda.budgets import ARCHITECTURES, BUDGETS
from tests.kernels.kl.cuda.compiled import ROOT, SHIM, SOURCE, Kernels


class Compiled(NamedTuple):
    folder: Path  # with what nvcc made on the way
    report: str  # of ptxas


class Usage(NamedTuple):
    kernel: str
    registers: int
    stack: int  # bytes
    spilled: int  # bytes, stored and loaded
    shared: int  # bytes


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed: what the kernels take of a GPU is not looked at")
    folder = tmp_path_factory.mktemp("nvcc")
    kinds = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in ARCHITECTURES]
    out = ["-Xptxas=-v", "--keep", "--keep-dir", str(folder), "-shared", "-cudart=static", "-o", str(folder / "gpu.so")]
    sources = [str(SOURCE), str(SHIM / "exports.cpp")]
    command = [nvcc, "-std=c++17", "-Xcompiler=-fPIC", f"-I{ROOT / 'csrc'}", *kinds, *out, *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return Compiled(folder, done.stdout + done.stderr)


def name_of(mangled: str) -> str:
    """The kernel's own name; what stands around it is namespaces and types."""
    return next(name for name in BUDGETS if f"{len(name)}{name}" in mangled)


def usages(report: str, architecture: str) -> Iterator[Usage]:
    for block in report.split("Compiling entry function")[1:]:
        heading, *_ = block.splitlines()
        if f"for 'sm_{architecture}'" not in heading:
            continue
        stack, stored, loaded = map(
            int, re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", block)[0]
        )
        shared = re.search(r"(\d+) bytes smem", block)
        registers = re.findall(r"Used (\d+) registers", block)[0]
        yield Usage(name_of(heading), int(registers), stack, stored + loaded, int(shared[1]) if shared else 0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_keep_to_their_budgets(compiled: Compiled, architecture: str) -> None:
    found = list(usages(compiled.report, architecture))
    for kernel, budget in BUDGETS.items():
        of_kernel = [usage for usage in found if usage.kernel == kernel]
        assert len(of_kernel) == budget.instances
        for usage in of_kernel:
            assert usage.registers <= budget.registers, usage
            assert usage.shared <= budget.shared, usage
            assert usage.stack == usage.spilled == 0, usage
    assert len(found) == sum(budget.instances for budget in BUDGETS.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_load_and_store_sixteen_bytes_at_a_time(compiled: Compiled, architecture: str) -> None:
    (file,) = compiled.folder.glob(f"fused_kl.compute_{architecture}.ptx")
    _, *entries = re.split(r"\.entry\s+", file.read_text())
    assert len(entries) == sum(budget.instances for budget in BUDGETS.values())
    for entry in entries:
        kernel = name_of(entry.split("(")[0])
        assert len(re.findall(r"ld\.global(?:\.nc)?\.v4\.\w+32", entry)) >= least_wide_loads(kernel), kernel
        assert ("st.global.v4" in entry) == kernel.startswith("differentiate"), kernel


def least_wide_loads(kernel: str) -> int:
    """One of each tile; the compiler may make two loops of one."""
    return 2 if "pair" in kernel else 1


def cuobjdump() -> str | None:
    """Beside nvcc, on the path, or in Triton's wheel."""
    triton = find_spec("triton")
    places = [
        Path(place) / "backends/nvidia/bin/cuobjdump" for place in getattr(triton, "submodule_search_locations", [])
    ]
    return shutil.which("cuobjdump") or next((str(place) for place in places if place.exists()), None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_machine_code_says_the_same(compiled: Compiled, architecture: str) -> None:
    tool = cuobjdump()
    if tool is None:
        pytest.skip(
            "cuobjdump is not installed (it comes with the CUDA toolkit and with triton): no machine code is read"
        )
    (file,) = compiled.folder.glob(f"fused_kl.compute_{architecture}.cubin")
    listing = subprocess.run([tool, "-sass", str(file)], capture_output=True, text=True, check=True).stdout
    _, *functions = listing.split("Function :")
    assert len(functions) == sum(budget.instances for budget in BUDGETS.values())
    for text in functions:
        kernel = name_of(text.splitlines()[0])
        operations = re.findall(r"\b(LDG|STG|LDL|STL)\b([.\w]*)", text)
        assert not [name for name, _ in operations if name in ("LDL", "STL")], kernel
        wide = [name for name, kind in operations if ".128" in kind]
        assert wide.count("LDG") >= least_wide_loads(kernel), kernel
        assert ("STG" in wide) == kernel.startswith("differentiate"), kernel


def test_a_launch_that_fails_says_so(compiled: Compiled) -> None:
    """In CUDA's own words; and a program with kernels in it starts where there is no driver."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: a launch would not fail")
    kernels = Kernels(compiled.folder / "gpu.so")
    with pytest.raises(RuntimeError, match=r"was not launched: .*CUDA"):
        kernels.kl_cuda_accumulate_one(0, 1, 1, 1, 0, 0)
