"""What the evaluator returns: ratings, evaluations, comparisons, rankings, and errors as values.

Ratings follow the NISQA corpus: 1 to 5, higher is better. Dimensions are addressed by name, never by position,
because published tables disagree on the order of coloration and discontinuity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from sqe_fast.errors import ClipError

DIMENSIONS = ("noisiness", "coloration", "discontinuity", "loudness")
RATINGS = (*DIMENSIONS, "mos")
"""The five ratings in the order in which the model states them: the overall MOS follows from the four dimensions."""

RATING_MIN, RATING_MAX = 1.0, 5.0

Winner = Literal["A", "B", "tie"]


class Flag(StrEnum):
    """What a listener should know about a clip beside its ratings."""

    WINDOWED = "windowed"
    TRUNCATED = "truncated"
    SILENT = "silent"
    SILENT_CHANNELS = "silent_channels"
    TRACKS = "tracks"
    """Several side by side: "tracks=2,1" has two channels in its first and one in its second, numbers 0, 1 and 2."""
    UNHEARD_TRACKS = "unheard_tracks"
    """That cannot be decoded; the first is 0."""
    SAMPLE_RATE = "sample_rate"
    """In Hz, where it is below the 16 kHz that a model hears: of the band above half of it nothing is there."""
    CLIPPED = "clipped"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True)
class Ratings:
    """Five ratings, 1 to 5, higher is better; `mos_std` is the standard deviation of the MOS: the spread of the
    model's distribution, and what it was seen to err by beyond that on clips that it did not learn from."""

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
class Cause:
    """Something that is wrong with speech: "packet loss"; or "unclear noise" where only the dimension is sure."""

    name: str
    dimension: str
    """Which it lowers."""
    probability: float
    """That it is true, as calibrated on clips whose causes are known. Of a recording over 30 s: at a moment of it."""


@dataclass(frozen=True)
class WindowRating:
    """One window of a recording's timeline; `start` and `end` in seconds."""

    start: float
    end: float
    ratings: Ratings | None
    """None where its `flags` say that there is nothing to hear ("silent", "no_speech"), or that the model failed."""
    causes: tuple[Cause, ...] = ()
    """The worst first."""
    flags: tuple[str, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """start, end, mos, mos_std, four dimensions, causes, flags."""
        ratings = self.ratings
        return {
            "start": rounded(self.start),
            "end": rounded(self.end),
            "mos": rounded(ratings.mos if ratings else None),
            "mos_std": rounded(ratings.mos_std if ratings else None),
            **{name: rounded(ratings[name] if ratings else None) for name in DIMENSIONS},
            "causes": [cause_row(cause) for cause in self.causes],
            "flags": list(self.flags),
        }


@dataclass(frozen=True)
class Stretch:
    """A part of a recording in which nobody speaks: no model heard it, and it has no part in the ratings. `start` and
    `end` in seconds."""

    start: float
    end: float
    kind: Literal["pause", "sound"]
    """"pause" where it is quiet; "sound" where something else is heard: beeps, music, noise."""

    def to_row(self) -> dict[str, Any]:
        return {"start": rounded(self.start), "end": rounded(self.end), "kind": self.kind}


@dataclass(frozen=True)
class Evaluation:
    """One row: a recording, or a channel of it. `ratings` or `error` is set. Both are where only the description failed
    (`generation_failed`); neither is where there is no sound (flag `silent`)."""

    file: str
    ratings: Ratings | None = None
    causes: tuple[Cause, ...] = ()
    """The worst first."""
    description: str | None = None
    flags: tuple[str, ...] = ()
    duration: float | None = None
    """Seconds of audio that were scored."""
    model: str = ""
    """name@sha256[:12] of the weights."""
    error: ClipError | None = None
    timeline: tuple[WindowRating, ...] = ()
    """Where one was asked for."""
    no_speech: tuple[Stretch, ...] = ()
    """What was passed over."""
    channel: int | None = None
    """Which channel was heard, the first is 0; None for the recording as a whole."""
    source: int | None = field(default=None, compare=False)
    """The place of the recording among the sources of its call, the first is 0: a source may have several rows."""

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
        """The JSONL row: file, channel, mos, mos_std, four dimensions, causes, description, flags, no_speech, duration,
        model, error."""
        return {
            "file": self.file,
            "channel": self.channel,
            "mos": rounded(self.mos),
            "mos_std": rounded(self.mos_std),
            **{name: rounded(getattr(self, name)) for name in DIMENSIONS},
            "causes": [cause_row(cause) for cause in self.causes],
            "description": self.description,
            "flags": list(self.flags),
            "no_speech": [stretch.to_row() for stretch in self.no_speech],
            "duration": rounded(self.duration),
            "model": self.model,
            "error": error_row(self.error),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """Of a recording with a timeline: a row for each window, then its own; `start` and `end` stand behind
        `channel`, and are None in the last. The windows have no descriptions."""
        own = self.to_row()
        windows = (
            own
            | {"description": None, "no_speech": [], "error": None, "duration": rounded(each.end - each.start)}
            | each.to_row()
            for each in self.timeline
        )
        spans = [*windows, own | {"start": None, "end": None}]
        first = "file", "channel", "start", "end"
        return [{name: row[name] for name in first} | row for row in spans]


@dataclass(frozen=True)
class Comparison:
    """Which of two clips sounds better, and why. Swapping the clips swaps the answer."""

    a: Evaluation
    b: Evaluation
    winner: Winner | None = None
    """None where either clip could not be rated; its own `error` says why."""
    probability: float | None = None
    """That the MOS of A is the higher, from the two distributions over the 41 numbers of the scale, as if the errors of
    the two readings were independent; of equal numbers each has half."""
    description: str | None = None
    error: ClipError | None = None
    """What went wrong in the comparison itself; a clip's own error stands in its evaluation."""

    def to_row(self) -> dict[str, Any]:
        return {
            "winner": self.winner,
            "probability": rounded(self.probability, 4),
            "description": self.description,
            "error": error_row(self.error),
            "a": self.a.to_row(),
            "b": self.b.to_row(),
        }


@dataclass(frozen=True)
class Ranked:
    """A recording in a ranking, and how it stands beside the next one."""

    place: int | None
    """1 is the best; None where it could not be rated: it stands at the end."""
    evaluation: Evaluation
    tied: bool | None = None
    """With the next: the two MOS, as shown to 0.1, lie no more than 0.1 apart. None where no other follows."""
    probability: float | None = None
    """That it is better than the next; see `Comparison.probability`."""
    description: str | None = None
    """What the model says for it, as Speech A, against the next, as Speech B; where that was asked for."""
    error: ClipError | None = None
    """What went wrong in that argument; the recording's own error stands in its evaluation."""

    def to_row(self) -> dict[str, Any]:
        """place, tied and probability, then the columns of its evaluation; `description` is the argument."""
        return {
            "place": self.place,
            "tied": self.tied,
            "probability": rounded(self.probability, 4),
            **self.evaluation.to_row(),
            "description": self.description,
            "error": error_row(self.evaluation.error or self.error),
        }


def cause_row(cause: Cause) -> dict[str, Any]:
    return {"name": cause.name, "dimension": cause.dimension, "probability": rounded(cause.probability)}


def error_row(error: ClipError | None) -> dict[str, str] | None:
    return {"code": error.code.value, "message": error.message} if error else None


def rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(float(value), digits)
