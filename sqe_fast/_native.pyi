"""Types of the compiled module (csrc/bindings.cpp)."""

from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final[int]
HOP: Final[int]
N_FFT: Final[int]
MAX_FRAMES: Final[int]

Logits = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Figures = npt.NDArray[np.float64]

def log_mel(samples: npt.NDArray[np.float32], n_mels: int) -> npt.NDArray[np.float32]: ...
def kl_accumulate_pair(
    student: Logits, teacher: Logits, temperature: float, reverse: bool, sums: Figures, threads: int
) -> None: ...
def kl_accumulate_one(logits: Logits, temperature: float, sums: Figures, threads: int) -> None: ...
def kl_gradient_pair(
    student: Logits, teacher: Logits, temperature: float, reverse: bool, scales: Figures, threads: int
) -> None: ...
def kl_gradient_one(logits: Logits, temperature: float, scales: Figures, threads: int) -> None: ...
