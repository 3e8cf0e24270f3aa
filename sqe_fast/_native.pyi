"""Types of the compiled module (csrc/bindings.cpp)."""

from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final[int]
HOP: Final[int]
N_FFT: Final[int]
MAX_FRAMES: Final[int]
CUDA: Final[bool]

Logits = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Figures = npt.NDArray[np.float64]

def log_mel(samples: npt.NDArray[np.float32], n_mels: int) -> npt.NDArray[np.float32]: ...
def log_mels(clips: list[npt.NDArray[np.float32]], n_mels: int, threads: int) -> list[npt.NDArray[np.float32]]: ...

class LogMelStream:
    def __init__(self, n_mels: int) -> None: ...
    def push(self, samples: npt.NDArray[np.float32]) -> None: ...
    def log_mel(self) -> npt.NDArray[np.float32]: ...
    def drop(self, samples: int) -> None: ...
    def reset(self) -> None: ...
    @property
    def samples(self) -> int: ...

# `direction` is "forward" or "reverse"; ValueError for another.
def kl_accumulate_pair(
    student: Logits, teacher: Logits, temperature: float, direction: str, sums: Figures, threads: int
) -> None: ...
def kl_accumulate_one(logits: Logits, sums: Figures, threads: int) -> None: ...
def kl_differentiate_pair(
    student: Logits, teacher: Logits, temperature: float, direction: str, scales: Figures, threads: int
) -> None: ...
def kl_differentiate_one(logits: Logits, scales: Figures, threads: int) -> None: ...

# Where CUDA is true. Tiles of float32, sums, scales and the stream are addresses on the current GPU.
def kl_cuda_accumulate_pair(
    student: int,
    teacher: int,
    rows: int,
    columns: int,
    student_stride: int,
    teacher_stride: int,
    temperature: float,
    direction: str,
    sums: int,
    stream: int,
) -> None: ...
def kl_cuda_accumulate_one(logits: int, rows: int, columns: int, stride: int, sums: int, stream: int) -> None: ...
def kl_cuda_differentiate_pair(
    student: int,
    teacher: int,
    rows: int,
    columns: int,
    student_stride: int,
    teacher_stride: int,
    temperature: float,
    direction: str,
    scales: int,
    stream: int,
) -> None: ...
def kl_cuda_differentiate_one(logits: int, rows: int, columns: int, stride: int, scales: int, stream: int) -> None: ...
