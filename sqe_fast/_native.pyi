"""Types of the compiled module (csrc/bindings.cpp)."""

from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final[int]
HOP: Final[int]
N_FFT: Final[int]
MAX_FRAMES: Final[int]

def log_mel(samples: npt.NDArray[np.float32], n_mels: int) -> npt.NDArray[np.float32]: ...
