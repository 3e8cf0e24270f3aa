"""Files of rows, as a job writes them, of any number of recordings that nobody heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.rows import Origin, format_of, rows_of
from sqe_fast.results import DIMENSIONS, Cause, Evaluation, Ratings, Stretch, WindowRating

MODEL = "made@000000000000"
TOO_SHORT = ErrorCode.TOO_SHORT, "0.2 s of audio: pass at least 0.4 s"
UNREADABLE = ErrorCode.UNREADABLE, "the file cannot be opened: Permission denied"
Values = npt.NDArray[np.float64]
"""[4] as `DIMENSIONS`."""
KINDS = {
    "packet loss": "discontinuity",
    "stutter": "discontinuity",
    "hum": "noisiness",
    "babble": "noisiness",
    "white noise": "noisiness",
    "clipping": "coloration",
    "narrow band": "coloration",
    "reverberation": "coloration",
    "too quiet": "loudness",
    "unclear noise": "noisiness",
    "unclear colour": "coloration",
}
WORDS = (
    "The background is the one weak point: the voice competes hard with a constant rush of noise.",
    "The timbre is nearly natural.",
    "The flow is broken by gaps from lost packets, and whole syllables are missing.",
    "The volume is a touch off, and the speech flows without a break.",
    "One weak side among so many good ones is hard to put into one figure.",
    "What is lost overall is lost to the noise, for the most part.",
    "The voice sounds hollow, as if from the far end of a stairwell.",
    "The level is so low that one leans in to hear.",
)


DISTINCT = 1_000
"""Of more recordings, each is like the one that many before."""


def evaluations(count: int, *, seed: int = 0, gain: float = 0.0, timeline: bool = False) -> Iterator[Evaluation]:
    """Of the same recordings whatever the `seed`; `gain` lifts the discontinuity of most of them."""
    distinct = list(_distinct(min(count, DISTINCT), np.random.default_rng(seed), gain, timeline))
    for number in range(count):
        name = f"calls/2026-11/day-{number % 28 + 1:02d}/call-{number:06d}.wav"
        yield replace(distinct[number % DISTINCT], file=name)


def _distinct(count: int, random: np.random.Generator, gain: float, timeline: bool) -> Iterator[Evaluation]:
    same = np.random.default_rng(1)
    for _ in range(count):
        base = 1 + 4 * same.beta((5, 6, 5, 9), (2, 1.3, 1.5, 1.5))
        duration = float(np.round(same.gamma(2.0, 30.0) + 1, 3))
        fate = same.random()
        if fate < 0.03:
            error = ClipError(*(TOO_SHORT if fate < 0.02 else UNREADABLE))
            yield Evaluation("", model=MODEL, error=error)
            continue
        values = np.clip(base + random.normal(0, 0.08, 4) + np.array([0, 0, gain * (same.random() < 0.7), 0]), 1, 5)
        yield _evaluation(values, duration, random, timeline)


def _evaluation(values: Values, duration: float, random: np.random.Generator, timeline: bool) -> Evaluation:
    ratings = _ratings(values)
    low = {dimension for dimension, value in zip(DIMENSIONS, values, strict=True) if value < 3.4}
    causes = tuple(
        Cause(name, dimension, float(random.uniform(0.5, 0.99)))
        for name, dimension in KINDS.items()
        if dimension in low and random.random() < 0.4
    )[:6]
    flags = tuple(
        flag
        for flag, share in (("windowed", 0.5), ("clipped=0.034", 0.06), ("no_speech", 0.02), ("truncated", 0.01))
        if random.random() < share
    )
    prose = " ".join(WORDS[place] for place in random.permutation(len(WORDS))[:5]) + f" The MOS is {ratings.mos:.1f}."
    stretches = (Stretch(5.0, 9.5, "pause"),) if random.random() < 0.2 and duration > 12 else ()
    found = Evaluation("", ratings, causes, prose, flags, duration, MODEL, no_speech=stretches)
    if not timeline:
        return found
    ends = np.arange(5.0, max(duration, 5.5), 5.0)
    drift = np.cumsum(random.normal(0, 0.25, (len(ends), 4)), axis=0)
    windows = (
        WindowRating(float(end - 5), float(end), _ratings(np.clip(values + drift[place], 1, 5)), causes[:1])
        for place, end in enumerate(ends)
    )
    return replace(found, timeline=tuple(windows))


def _ratings(values: Values) -> Ratings:
    mos = float(np.clip(0.6 * values.min() + 0.4 * values.mean(), 1, 5))
    return Ratings(*map(float, values), mos, 0.3)


def write_rows(path: Path, found: Iterable[Evaluation], *, timeline: bool = False) -> Path:
    """A file of theirs, as .jsonl or .csv."""
    form = format_of(path.suffix[1:], timeline=timeline)
    with path.open("wb") as file:
        file.write(form.layout.header)
        file.writelines(form.lines(list(rows_of([each], Origin(), timeline=timeline))) for each in found)
    return path
