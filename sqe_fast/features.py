"""Log-mel spectrogram of a clip at its true length, as Whisper's encoder takes it.

Hugging Face pads every clip to 30 s. The encoder's valid outputs depend on no more than the first L + 2 frames of that,
L = ceil(n / 160), so only those are computed, from the waveform as if it were zero-padded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sqe_fast import _native

SAMPLE_RATE = _native.SAMPLE_RATE
"""Hz; 16,000."""
HOP = _native.HOP
"""Samples from one frame to the next; 160 are 10 ms."""
N_FFT = _native.N_FFT
"""Samples of one frame; 400 are 25 ms."""
MAX_FRAMES = _native.MAX_FRAMES
"""Longest log-mel; 3,000 frames are 30 s."""


class LogMel(NamedTuple):
    """A clip's log-mel, and how many of its frames hold audio."""

    data: npt.NDArray[np.float32]
    """[n_mels, min(frames + 2, 3000)], C-contiguous."""
    frames: int
    """L = ceil(samples / 160)."""


def frame_count(samples: int) -> int:
    """L, the frames that hold audio of a clip of so many samples."""
    return -(-samples // HOP)


def log_mel(samples: npt.NDArray[np.float32], n_mels: int = 80) -> LogMel:
    """Log-mel of `samples` [n], mono at 16 kHz, 1 ≤ n ≤ 480,000 (30 s); `n_mels` is 80 or 128.

    log10 of Slaney mel power, no more than 8 decades below the clip's loudest value, mapped by (x + 4) / 4. Within 1e-5
    of a float64 computation. The GIL is released meanwhile.

    Raises ValueError for samples of another dtype, shape, layout or length, for NaN or infinity, and for another
    `n_mels`; TypeError for what is not an array.
    """
    return LogMel(_native.log_mel(samples, n_mels), frame_count(samples.size))
