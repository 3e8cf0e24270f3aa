"""What of a recording is heard and seen in a page: its waveform, and a part of it that the page carries along."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from sqe_fast.audio import Excerpt, Recording, load, recordings
from sqe_fast.audio.features import SAMPLE_RATE, FloatArray
from sqe_fast.audio.sources import Opens

BINS = 400
"""Columns of a waveform."""
MAX_SECONDS = 3_600.0
"""A longer recording has no waveform: it would be decoded twice for one."""
CARRIED_SECONDS = 30.0
"""At most, of a recording that a page carries along: what a model hears at once."""


@dataclass(frozen=True)
class Waveform:
    peaks: list[int]
    """[400] in hundredths of the highest of all."""
    peak_db: float | None
    """The highest, in dB of full scale; None for digital silence."""


@dataclass(frozen=True)
class Carried:
    """Audio within a page."""

    flac: str
    """Base64: mono at 16 kHz, as the model hears it, without loss but for 16 bits."""
    start: float
    """Seconds into the recording."""
    end: float


def opened(
    path: Path, channel: int | None, start: float = 0.0, duration: float | None = None, opens: Opens | None = None
) -> Recording:
    """What a row is about: a recording, or one of its channels; with a `start`, `duration` seconds of it from there on.
    `opens` as in `audio.recordings`. Raises ClipError."""
    source = Excerpt(path, start, duration) if start else path
    if channel is not None:
        return load(source, channel, opens=opens)
    found = recordings(source, opens=opens)
    return found[0] if len(found) == 1 else load(source, "mix", opens=opens)


def waveform(recording: Recording) -> Waveform:
    """Raises ClipError where the file changed meanwhile."""
    length = round(recording.duration * SAMPLE_RATE)
    edges = np.linspace(0, length, min(BINS, length) + 1).round().astype(np.int64)
    peaks = np.zeros(len(edges) - 1, np.float32)
    position = 0
    for block in recording.blocks():
        first, last = np.searchsorted(edges, (position, position + len(block) - 1), side="right") - 1
        inner = edges[first : last + 1] - position
        starts = np.maximum(inner, 0)
        peaks[first : last + 1] = np.maximum(peaks[first : last + 1], np.maximum.reduceat(np.abs(block), starts))
        position += len(block)
    highest = float(peaks.max())
    scaled = peaks / highest if highest else peaks
    return Waveform(
        [int(value) for value in np.ceil(100 * scaled)], round(20 * float(np.log10(highest)), 1) if highest else None
    )


def carried(recording: Recording, around: tuple[float, float] | None) -> Carried:
    """All of a short recording; else 30 s, those `around` a stretch (start and end in seconds), or the first. Raises
    ClipError."""
    start = 0.0
    if around is not None and recording.duration > CARRIED_SECONDS:
        centre = sum(around) / 2
        start = min(max(0.0, centre - CARRIED_SECONDS / 2), recording.duration - CARRIED_SECONDS)
    end = min(recording.duration, start + CARRIED_SECONDS)
    samples = _part(recording, round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return Carried(base64.b64encode(file.getvalue()).decode("ascii"), round(start, 3), round(end, 3))


def _part(recording: Recording, start: int, end: int) -> FloatArray:
    parts = []
    position = 0
    for block in recording.blocks():
        parts.append(block[max(0, start - position) : max(0, end - position)])
        position += len(block)
        if position >= end:
            break
    return np.concatenate(parts)
