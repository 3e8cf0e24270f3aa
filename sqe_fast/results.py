"""What the evaluator returns: ratings, evaluations, comparisons, and errors as values.

Ratings follow the NISQA corpus: 1 to 5, higher is better. Dimensions are addressed by name, never by position,
because published tables disagree on the order of coloration and discontinuity.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

DIMENSIONS = ("noisiness", "coloration", "discontinuity", "loudness")
RATINGS = (*DIMENSIONS, "mos")
"""The five ratings in the order in which the model states them: the overall MOS follows from the four dimensions."""

RATING_MIN, RATING_MAX = 1.0, 5.0

Winner = Literal["A", "B", "tie"]


class ErrorCode(StrEnum):
    """Stable codes of everything that can be wrong with one input; the message says what to do about it."""

    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    EMPTY_AUDIO = "empty_audio"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NON_FINITE = "non_finite"
    OUT_OF_RANGE = "out_of_range"
    BAD_SAMPLE_RATE = "bad_sample_rate"
    TOO_MANY_CHANNELS = "too_many_channels"
    BAD_INPUT = "bad_input"
    GENERATION_FAILED = "generation_failed"


class ClipError(Exception):
    """One input cannot be scored. Costs its own row and nothing else."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}"


class UnusableError(Exception):
    """A model, device or output cannot be used at all: nothing can be scored (exit code 3)."""


class Flag(StrEnum):
    """What a listener should know about a clip beside its ratings."""

    WINDOWED = "windowed"
    TRUNCATED = "truncated"
    SILENT = "silent"
    CLIPPED = "clipped"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True)
class Ratings:
    """Five ratings, 1 to 5, higher is better; `mos_std` is the spread of the model's MOS distribution."""

    noisiness: float
    coloration: float
    discontinuity: float
    loudness: float
    mos: float
    mos_std: float

    def __getitem__(self, name: str) -> float:
        if name not in RATINGS:
            raise KeyError(name)
        value: float = getattr(self, name)
        return value


@dataclass(frozen=True)
class Evaluation:
    """One input's row. `ratings` or `error` is set. Both are where only the description failed (`generation_failed`);
    neither is for a silent clip."""

    file: str
    ratings: Ratings | None = None
    description: str | None = None
    flags: tuple[str, ...] = ()
    duration: float | None = None
    """Seconds of audio that were scored."""
    model: str = ""
    """name@sha256[:12] of the weights."""
    error: ClipError | None = None

    @property
    def mos(self) -> float | None:
        return self.ratings.mos if self.ratings else None

    @property
    def mos_std(self) -> float | None:
        return self.ratings.mos_std if self.ratings else None

    @property
    def noisiness(self) -> float | None:
        return self.ratings.noisiness if self.ratings else None

    @property
    def coloration(self) -> float | None:
        return self.ratings.coloration if self.ratings else None

    @property
    def discontinuity(self) -> float | None:
        return self.ratings.discontinuity if self.ratings else None

    @property
    def loudness(self) -> float | None:
        return self.ratings.loudness if self.ratings else None

    def to_row(self) -> dict[str, Any]:
        """The JSONL row: file, mos, mos_std, the four dimensions, description, flags, duration, model, error."""
        return {
            "file": self.file,
            "mos": _rounded(self.mos),
            "mos_std": _rounded(self.mos_std),
            **{name: _rounded(getattr(self, name)) for name in DIMENSIONS},
            "description": self.description,
            "flags": list(self.flags),
            "duration": _rounded(self.duration),
            "model": self.model,
            "error": _error_row(self.error),
        }


@dataclass(frozen=True)
class Comparison:
    """Which of two clips sounds better, and why. Swapping the clips swaps the answer."""

    a: Evaluation
    b: Evaluation
    winner: Winner | None = None
    """None where either clip could not be rated; its own `error` says why."""
    probability: float | None = None
    """That the MOS of A is the higher, by how far the two lie apart and the spread of each."""
    description: str | None = None
    error: ClipError | None = None
    """What went wrong in the comparison itself; a clip's own error stands in its evaluation."""

    def to_row(self) -> dict[str, Any]:
        return {
            "winner": self.winner,
            "probability": _rounded(self.probability, 4),
            "description": self.description,
            "error": _error_row(self.error),
            "a": self.a.to_row(),
            "b": self.b.to_row(),
        }


@dataclass
class Trace:
    """What a call cost, stage by stage; counted up while it runs. Times are in milliseconds."""

    clips: int = 0
    audio_seconds: float = 0.0
    load_ms: float = 0.0
    mel_ms: float = 0.0
    encode_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    encoded_clips: int = 0
    encoder_cache_hits: int = 0
    prefill_tokens: int = 0
    decode_steps: int = 0
    """Forward passes of the decoder after prefill; one pass may serve many sequences."""
    decode_tokens: int = 0
    kv_bytes: int = 0
    """Most KV memory held at once."""

    @contextmanager
    def timed(self, field: str) -> Iterator[None]:
        """Add the time spent inside to one of the `_ms` fields, also where it ends in an exception."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, field, getattr(self, field) + (time.perf_counter() - start) * 1e3)

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


def _error_row(error: ClipError | None) -> dict[str, str] | None:
    return {"code": error.code.value, "message": error.message} if error else None


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(float(value), digits)
