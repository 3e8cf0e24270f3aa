"""Log-mel spectrogram at a clip's true length, as Whisper's encoder takes it: of one clip, of many, of a stream.

Hugging Face pads every clip to 30 s. The encoder's valid outputs depend on no more than the first L + 2 frames of that,
L = ceil(n / 160), so only those are computed, from the waveform as if it were zero-padded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sqe_fast import _native

FloatArray = npt.NDArray[np.float32]

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

    data: FloatArray
    """[n_mels, min(frames + 2, 3000)], C-contiguous."""
    frames: int
    """L = ceil(samples / 160)."""


def frame_count(samples: int) -> int:
    """L, the frames that hold audio of a clip of so many samples."""
    return -(-samples // HOP)


def log_mel(samples: FloatArray, n_mels: int = 80) -> LogMel:
    """Log-mel of `samples` [n], mono at 16 kHz, 1 ≤ n ≤ 480,000 (30 s); `n_mels` is 80 or 128.

    log10 of Slaney mel power, no more than 8 decades below the clip's loudest value, mapped by (x + 4) / 4. Within 1e-5
    of a float64 computation. The GIL is released meanwhile.

    Raises ValueError for samples of another dtype, shape, layout or length, for NaN or infinity, and for another
    `n_mels`; TypeError for what is not an array.
    """
    return LogMel(_native.log_mel(samples, n_mels), frame_count(samples.size))


def log_mels(clips: Iterable[FloatArray], n_mels: int = 80, threads: int = 0) -> list[LogMel]:
    """`log_mel` of each clip, in their order and bit for bit, on at most `threads` threads.

    0 threads are as many as this process has cores. The GIL is released meanwhile. Raises as `log_mel` does, naming the
    first clip at fault by its index; ValueError for fewer than 0 threads.
    """
    if threads < 0:
        raise ValueError(f"threads must be 0 or more, not {threads}")
    clips = list(clips)
    found = _native.log_mels(clips, n_mels, threads or len(os.sched_getaffinity(0)))
    return [LogMel(data, frame_count(clip.size)) for data, clip in zip(found, clips, strict=True)]


class LogMelStream:
    """Log-mel of samples that arrive piece by piece, of which at most 480,000 (30 s) are held at a time.

    A frame is computed once, when its last sample has come; a read-out computes no more than the few at the end that
    are not complete. All memory, 3 MB at 80 mel, is allocated at construction. A window that slides over a call of any
    length is `push` and then `drop` of what it has left behind.

    `n_mels` is 80 or 128, else ValueError. The GIL is released in `push` and `log_mel`. Streams do not know of one
    another; one of them serves one thread at a time, and raises RuntimeError where another thread is using it.
    """

    def __init__(self, n_mels: int = 80) -> None:
        self._stream = _native.LogMelStream(n_mels)

    @property
    def samples(self) -> int:
        """How many are held: those pushed and not dropped."""
        return self._stream.samples

    def push(self, samples: FloatArray) -> None:
        """Append `samples` [n], n ≥ 0, mono at 16 kHz, of any size up to what can be held.

        Raises ValueError for samples of another dtype, shape or layout, for NaN or infinity, and for more than 480,000
        in all; TypeError for what is not an array. After an error the stream holds what it held before.
        """
        self._stream.push(samples)

    def log_mel(self) -> LogMel:
        """What `features.log_mel` gives of all samples held, bit for bit. Raises ValueError where there is none."""
        return LogMel(self._stream.log_mel(), frame_count(self._stream.samples))

    def drop(self, samples: int) -> None:
        """Forget the oldest `samples`, a whole number of hops; 0 is one, too.

        Only the two frames that reach before the new first sample are computed again. Raises ValueError, and drops
        nothing, for a negative number, part of a hop, or more than are held.
        """
        self._stream.drop(samples)

    def reset(self) -> None:
        """Forget all samples, keep the memory."""
        self._stream.reset()
