"""csrc/kl/fused_kl.cu as a program for the CPU, by a C++ compiler and the stand-in for CUDA's header in shim/.

It shows the kernels' logic: indices, barriers, shuffles, bounds. It says nothing of speed, and needs no GPU.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[4]
SHIM = Path(__file__).parent / "shim"
SOURCE = ROOT / "csrc" / "kl" / "fused_kl.cu"
# Misaligned loads are faults, as on a GPU, and not what x86 makes of them.
FLAGS = (
    *("-std=c++20", "-O1", "-g1", "-ffp-contract=off", "-Wall", "-Wextra"),
    *("-fsanitize=alignment", "-fno-sanitize-recover=all"),
)
ERROR_BYTES = 256


def compile_program(out: Path, kernels: Path, main: str, *flags: str) -> Path:
    """Compiles `kernels`, the .cu file or a copy, with shim/`main`."""
    compiler = os.environ.get("CXX", "c++")
    folders = (f"-I{SHIM}", f"-I{ROOT / 'csrc'}")
    # One unit of both: headers are read once.
    command = [compiler, *FLAGS, *flags, *folders, "-include", str(kernels), str(SHIM / main), "-o", str(out)]
    subprocess.run(command, check=True)
    return out


def compile_library(folder: Path, kernels: Path = SOURCE) -> Path:
    return compile_program(folder / "kernels.so", kernels, "exports.cpp", "-shared", "-fPIC")


def planted(folder: Path, right: str, wrong: str) -> Path:
    """A copy of the .cu file with one place changed."""
    text = SOURCE.read_text("utf-8")
    assert text.count(right) == 1, f"{right!r} stands there {text.count(right)} times"
    changed = folder / SOURCE.name
    changed.write_text(text.replace(right, wrong), "utf-8")
    return changed


class Kernels:
    """The functions of a library made by `compile_library`, called as those of `sqe_fast._native`."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        tile = [ctypes.c_void_p], [ctypes.c_size_t] * 2, [ctypes.c_size_t]
        one = [*tile[0], *tile[1], *tile[2]]
        pair = [*tile[0] * 2, *tile[1], *tile[2] * 2, ctypes.c_double, ctypes.c_char_p]
        self.kl_cuda_accumulate_pair = self._function("kl_cuda_accumulate_pair", pair)
        self.kl_cuda_accumulate_one = self._function("kl_cuda_accumulate_one", one)
        self.kl_cuda_differentiate_pair = self._function("kl_cuda_differentiate_pair", pair)
        self.kl_cuda_differentiate_one = self._function("kl_cuda_differentiate_one", one)

    def seed(self, value: int) -> None:
        """Draws the order in which threads run."""
        self._library.seed(ctypes.c_uint(value))

    def _function(self, name: str, arguments: list[type]) -> Callable[..., None]:
        function = getattr(self._library, name)
        function.argtypes = [*arguments, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p]  # figures, stream, error
        function.restype = None

        def call(*given: float | str) -> None:
            error = ctypes.create_string_buffer(ERROR_BYTES)
            function(*(value.encode() if isinstance(value, str) else value for value in given), error)
            if error.value:
                raise RuntimeError(error.value.decode())

        return call
