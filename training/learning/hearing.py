"""How a clip is heard in training: each time through changes that nobody hears, and now and then with silence around.

A row that is heard says so: `heard`, how often before, and `around`, samples of silence before and after it. Same
sound, same score: its ratings stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sqe_fast.audio.features import HOP, MAX_FRAMES, log_mel
from sqe_fast.model.encoder import PackedClip
from training.corpora.annotation import Annotation
from training.corpora.corpus import Both, Clips
from training.simulation.changes import silence_lengths, unheard
from training.simulation.measures import Signal
from training.streams import Stream, stream

AROUND = 0.15
"""How often there is silence around a clip."""
AGAIN = 1 << 16
"""Tells the second hearing of a pair from the first ones of later epochs."""


def heard(clip: Annotation, times: int, around: float = AROUND) -> Annotation:
    """The row of a clip that is heard for the `times`-th time. A model hears 30 s at most, silence included."""
    rng = stream(Stream.SILENCE_AROUND, clip["seed"], times)
    silence = silence_lengths(rng) if rng.random() < around else (0, 0)
    fits = int(clip["samples"]) + sum(silence) <= MAX_FRAMES * HOP
    return {**clip, "heard": times, "around": silence if fits else (0, 0)}


def again(clip: Annotation) -> Annotation:
    """The row of the same clip once more, as it sounds alike: every other time with silence around."""
    return heard(clip, AGAIN + clip.get("heard", 0), around=0.5)


def length(clip: Annotation) -> int:
    """Samples of a clip as it is heard."""
    return int(clip["samples"]) + sum(clip.get("around", ()))


def log_mels(corpus: Clips | Both, clips: Sequence[Annotation], n_mels: int, device: torch.device) -> list[PackedClip]:
    """The log-mels of `clips` as they are heard, as an encoder takes them."""
    mels = (log_mel(_signal(corpus, clip), n_mels) for clip in clips)
    return [(torch.from_numpy(mel.data).to(device), mel.frames) for mel in mels]


def _signal(corpus: Clips | Both, clip: Annotation) -> Signal:
    samples = corpus.audio(clip)
    if "heard" not in clip:
        return samples
    return np.pad(unheard(samples, stream(Stream.UNHEARD, clip["seed"], clip["heard"])), clip["around"])
