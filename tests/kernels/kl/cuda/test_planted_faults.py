"""Whether the tests of this folder would notice: the same kernels with one fault planted in each."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.kernels.kl.cuda.compiled import SOURCE, Kernels, compile_library, compile_program, planted
from tests.kernels.kl.cuda.tiles_at_random import check_sums

SEEDS = range(4)


@pytest.mark.parametrize(
    ("right", "wrong", "noticed"),
    [
        pytest.param("    __syncthreads();\n", "", "Mismatch", id="no barrier"),
        pytest.param("    __syncthreads();\n", "if (warp > 0) __syncthreads();\n", "barrier", id="half a barrier"),
        pytest.param("offset = count / 2; offset > 0", "offset = count / 2; offset > 1", "Mismatch", id="a lost lane"),
        pytest.param(
            "kForward ? teacher : student;", "kForward ? student : teacher;", "Mismatch", id="the other's maximum"
        ),
    ],
)
def test_a_fault_in_the_sums_is_noticed(tmp_path: Path, right: str, wrong: str, noticed: str) -> None:
    kernels = Kernels(compile_library(tmp_path, planted(tmp_path, right, wrong)))
    with pytest.raises((AssertionError, RuntimeError), match=noticed):
        for seed in SEEDS:
            check_sums(kernels, seed)


def test_the_kernels_as_they_are_pass(kernels: Kernels) -> None:
    for seed in SEEDS:
        check_sums(kernels, seed)


def bounds(folder: Path, kernels: Path) -> subprocess.CompletedProcess[str]:
    """Runs shim/bounds.cpp with AddressSanitizer, in a process of its own."""
    program = compile_program(folder / "bounds", kernels, "bounds.cpp", "-fsanitize=address")
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([program], capture_output=True, text=True, env=environment, timeout=300)


def test_nothing_is_read_or_written_past_a_row(tmp_path: Path) -> None:
    done = bounds(tmp_path, SOURCE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "noticed"),
    [
        pytest.param("/ 4 * 4;", "/ 4 * 4 + 4 * (count > 99);", "heap-buffer-overflow", id="past the end"),
        pytest.param("(4 - past_boundary(row)) % 4", "(5 - past_boundary(row)) % 4", "misaligned", id="misaligned"),
    ],
)
def test_a_fault_in_the_bounds_is_noticed(tmp_path: Path, right: str, wrong: str, noticed: str) -> None:
    done = bounds(tmp_path, planted(tmp_path, right, wrong))
    assert done.returncode != 0
    assert noticed in done.stderr
