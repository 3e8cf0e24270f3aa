"""What the native operations on tiles take and refuse, and that they keep to their tiles: under AddressSanitizer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sqe_fast import _native

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "csrc" / "kl" / "fused_kl.cpp"
Array = npt.NDArray[Any]


def sums(rows: int, figures: int) -> Array:
    return np.tile([-np.inf, 0.0, -np.inf, 0.0, 0.0][:figures], (rows, 1))


Call = Callable[[Array, float], object]
CALLS: dict[str, Call] = {
    "accumulate_pair": lambda x, t: _native.kl_accumulate_pair(x, x.copy(), t, "forward", sums(len(x), 5), 1),
    "accumulate_one": lambda x, _: _native.kl_accumulate_one(x, sums(len(x), 2), 1),
    "differentiate_pair": lambda x, t: _native.kl_differentiate_pair(
        x, x.copy(), t, "forward", np.ones((len(x), 6)), 1
    ),
    "differentiate_one": lambda x, _: _native.kl_differentiate_one(x, np.ones((len(x), 2)), 1),
}


def odd_stride() -> Array:
    """Rows of eight values, 34 bytes apart."""
    return np.ndarray((3, 8), np.float32, np.zeros(200, np.uint8), strides=(34, 4))


def misaligned() -> Array:
    return np.ndarray((3, 8), np.float32, np.zeros(200, np.uint8), offset=1)


BAD: dict[str, tuple[Callable[[], Array], str]] = {
    "a row stride of no whole values": (odd_stride, "rows must lie"),
    "values at odd addresses": (misaligned, "values must lie"),
    "rows backwards": (lambda: np.zeros((3, 8), np.float32)[::-1], "rows must lie"),
    "rows upon each other": (lambda: np.lib.stride_tricks.as_strided(np.zeros(9, np.float32), (3, 8), (4, 4)), "rows"),
    "columns apart": (lambda: np.zeros((3, 8), np.float32)[:, ::2], "columns must lie"),
    "one dimension": (lambda: np.zeros(8, np.float32), "two-dimensional"),
    "half precision": (lambda: np.zeros((3, 8), np.float16), "float32 or float64"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("bad", BAD)
def test_a_tile_that_cannot_be_read_is_refused(name: str, bad: str) -> None:
    """A stride of 34 bytes was read as one of 32: other rows than were meant."""
    make, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        CALLS[name](make(), 1.0)


@pytest.mark.parametrize("name", ["accumulate_pair", "differentiate_pair"])
@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_is_none_is_refused(name: str, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        CALLS[name](np.zeros((3, 8), np.float32), temperature)


@pytest.mark.parametrize("shape", [(3, 0), (0, 8), (0, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_adds_nothing(shape: tuple[int, int], dtype: type) -> None:
    """The first value of a row without columns was read, from whatever lies there."""
    rows = shape[0]
    for figures, add in (
        (2, lambda x, into: _native.kl_accumulate_one(x, into, 2)),
        (5, lambda x, into: _native.kl_accumulate_pair(x, x, 1.0, "reverse", into, 2)),
    ):
        into = sums(rows, figures)
        add(np.zeros(shape, dtype), into)
        np.testing.assert_array_equal(into, sums(rows, figures))


@pytest.mark.parametrize("threads", [0, 1, 2, 7, 64])
def test_threads_change_no_bit(threads: int) -> None:
    """Enough to do for several: rows handed to two threads, or to none."""
    x = np.random.default_rng(0).standard_normal((31, 40_000), np.float32)
    found, alone = sums(31, 2), sums(31, 2)
    _native.kl_accumulate_one(x, found, threads)
    _native.kl_accumulate_one(x, alone, 1)
    np.testing.assert_array_equal(found, alone)


def compiled(folder: Path, source: Path) -> Path:
    """`source` and bounds.cpp as a program that stops at an access out of bounds, and at undefined behaviour."""
    program = folder / "bounds"
    flags = (
        "-std=c++20",
        "-O1",
        "-g1",
        "-ffp-contract=off",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    )
    # Without clones for other processors: their resolver would run before the sanitizer is there.
    command = [os.environ.get("CXX", "c++"), *flags, "-DSQE_SIMD=", f"-I{ROOT / 'csrc'}", "-pthread"]
    files = ["-include", str(source), str(Path(__file__).parent / "bounds.cpp"), "-o", str(program)]
    subprocess.run([*command, *files], check=True)
    return program


def run(program: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([program], capture_output=True, text=True, env=environment, timeout=300)


def test_nothing_is_read_or_written_past_a_row(tmp_path: Path) -> None:
    done = run(compiled(tmp_path, SOURCE))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "noticed"),
    [
        pytest.param("if (columns == 0) return;", "", "heap-buffer-overflow", id="a row without columns"),
        pytest.param(
            "for (; i < count; ++i) lanes[0] += ",
            "for (; i <= count; ++i) lanes[0] += ",
            "heap-buffer-overflow",
            id="end",
        ),
        pytest.param("student.values + row * student.stride", "student.values + row", "between rows", id="stride"),
    ],
)
def test_a_fault_in_the_bounds_is_noticed(tmp_path: Path, right: str, wrong: str, noticed: str) -> None:
    text = SOURCE.read_text("utf-8")
    assert right in text
    planted = tmp_path / SOURCE.name
    planted.write_text(text.replace(right, wrong), "utf-8")
    done = run(compiled(tmp_path, planted))
    assert done.returncode != 0
    assert noticed in done.stderr
