"""What is said by code, not by the model: sentences with times, and ratings by their labels."""

from __future__ import annotations

from collections.abc import Sequence

from sqe_fast.answer.argument import listed
from sqe_fast.answer.scale import LABELS
from sqe_fast.results import Cause, Stretch

NOBODY_SPEAKS = "Nobody seems to speak in this recording, so its ratings say little."
MOST_STRETCHES = 3
"""Named in a sentence; the row lists all."""


def clock(seconds: float) -> str:
    """ "7.0 s", "2:05", "1:02:05": how a sentence tells a second of a recording."""
    tenths = round(seconds * 10)
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def label(rating: float) -> str:
    """The nearest label of the absolute category rating scale."""
    return LABELS[min(max(int(rating + 0.5), 1), len(LABELS)) - 1]


def likely(cause: Cause | None) -> str:
    """ ", likely hum (93%)", or nothing."""
    return "" if cause is None else f", likely {cause.name} ({cause.probability:.0%})"


def sampled(rate: int) -> str:
    """Of a sample rate in Hz that is too low for a whole voice."""
    return f"It is sampled at {rate / 1_000:.4g} kHz, so nothing above {rate / 2_000:.3g} kHz is there."


def worst_stretch(start: float, end: float, mos: float, causes: Sequence[Cause]) -> str:
    """Where a recording is worst, in seconds, and its first cause there."""
    cause = causes[0] if causes else None
    return f"It is worst from {clock(start)} to {clock(end)}, with a MOS of {mos:.1f}{likely(cause)}."


def not_heard(stretches: Sequence[Stretch]) -> str | None:
    """Where something else than speech is heard; pauses are not told. None where there is no such stretch."""
    sounds = [stretch for stretch in stretches if stretch.kind == "sound"]
    if not sounds:
        return None
    spans = [f"from {clock(stretch.start)} to {clock(stretch.end)}" for stretch in sounds[:MOST_STRETCHES]]
    if len(sounds) > MOST_STRETCHES:
        spans.append(f"in {len(sounds) - MOST_STRETCHES} more stretches")
    return f"Nobody speaks {listed(spans)}: what is heard there is not rated."
