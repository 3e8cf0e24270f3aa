"""Many different short clips, from the examples: parts of them, at other levels, some with noise, some stereo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.support.audio_samples import RATE, SPEECH_FILES


def write_clips(folder: Path, count: int, seconds: tuple[float, float], seed: int = 1) -> list[Path]:
    """WAV files, each of `seconds` (least, most); one in ten has a channel of its own for each of two talkers, one in
    twenty is no sound at all."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    speech = [soundfile.read(path, dtype="float32")[0] for path in SPEECH_FILES]
    paths = []
    for number in range(count):
        length = round(rng.uniform(*seconds) * RATE)
        channels = 2 if number % 10 == 7 else 1
        parts = []
        for _ in range(channels):
            whole = speech[rng.integers(len(speech))]
            start = int(rng.integers(max(1, len(whole) - length)))
            parts.append(np.resize(whole[start:], length) * 10 ** rng.uniform(-0.6, 0))
        samples = np.stack(parts, 1) + rng.standard_normal((length, channels)) * 10 ** rng.uniform(-5, -2)
        path = folder / f"{number:05}.wav"
        if number % 20 == 13:
            path.write_bytes(rng.bytes(1_000))
        else:
            soundfile.write(path, samples, RATE, subtype="PCM_16")
        paths.append(path)
    return paths
