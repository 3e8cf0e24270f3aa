"""What a live call tells: frozen, JSON-able events. Sentences with times are composed by code
(`answer.sentences`); what the model writes follows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqe_fast.errors import ClipError
from sqe_fast.results import RATINGS, Cause, Ratings, cause_row, error_row, rounded

PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class QualityUpdate:
    """One window of a call was heard, or was found to hold nothing to hear. Times are seconds of the call."""

    start: float
    end: float
    ratings: Ratings | None
    """None for a window without speech, and for one that the model failed on."""
    causes: tuple[Cause, ...]
    """The worst first."""
    score: Ratings | None
    """The call's ratings as of now: smoothed; not moved by windows without speech. None before the first."""
    flags: tuple[str, ...]
    """"silent" or "no_speech"."""
    age: float
    """Seconds from the push of the window's last sample to this update."""
    dropped: int
    """Windows that were lost to overload since the update before this one."""
    channel: int | None = None
    """Of a call with channels="each"."""
    error: str | None = None

    def to_row(self) -> dict[str, Any]:
        return {
            "event": "update",
            "channel": self.channel,
            "start": rounded(self.start),
            "end": rounded(self.end),
            "ratings": _ratings_row(self.ratings),
            "causes": [cause_row(cause) for cause in self.causes],
            "score": _ratings_row(self.score),
            "flags": list(self.flags),
            "age": rounded(self.age),
            "dropped": self.dropped,
            "error": self.error,
        }


@dataclass(frozen=True)
class QualityAlert:
    """Something went wrong. It lasts until a `QualityRecovered` of the same `fault`."""

    fault: str
    """"quality", which the model found; or "mute", "silence", "dc offset", "clipping", which the signal shows."""
    dimension: str
    """Which is at fault."""
    rating: float | None
    """Of that dimension, smoothed; None where the signal shows the fault."""
    severity: str
    """A label of the absolute category rating scale: "fair", "poor" or "bad"."""
    cause: Cause | None
    """The likeliest of that dimension, if one is named."""
    since: float
    """Second of the call from which on it was heard."""
    at: float
    """Second of the call that was reached when it was found."""
    description: str
    channel: int | None = None

    def to_row(self) -> dict[str, Any]:
        return {
            "event": "alert",
            "channel": self.channel,
            "fault": self.fault,
            "dimension": self.dimension,
            "rating": rounded(self.rating),
            "severity": self.severity,
            "cause": cause_row(self.cause) if self.cause else None,
            "since": rounded(self.since),
            "at": rounded(self.at),
            "description": self.description,
        }


@dataclass(frozen=True)
class QualityRecovered:
    """An alert is over."""

    fault: str
    dimension: str
    since: float
    """As in the alert."""
    at: float
    """Second of the call from which on it was good again."""
    description: str
    channel: int | None = None

    def to_row(self) -> dict[str, Any]:
        return {
            "event": "recovered",
            "channel": self.channel,
            "fault": self.fault,
            "dimension": self.dimension,
            "since": rounded(self.since),
            "at": rounded(self.at),
            "description": self.description,
        }


@dataclass(frozen=True)
class Moment:
    """A window that stands out."""

    start: float
    end: float
    ratings: Ratings
    causes: tuple[Cause, ...]

    def to_row(self) -> dict[str, Any]:
        return {
            "start": rounded(self.start),
            "end": rounded(self.end),
            "ratings": _ratings_row(self.ratings),
            "causes": [cause_row(cause) for cause in self.causes],
        }


@dataclass(frozen=True)
class ChannelSummary:
    """Of one channel, or of the mix. `rated`, `without_speech`, `dropped` and `failed` add up to its windows."""

    channel: int | None
    rated: int
    without_speech: int
    dropped: int
    failed: int
    percentiles: Mapping[str, tuple[float, ...]]
    """Per rating, the `PERCENTILES` over the rated windows, to 0.01; empty where none was rated."""
    causes: Mapping[str, float]
    """Share of the rated windows that name it, the largest first."""
    worst: tuple[Moment, ...]
    """Windows of the lowest MOS that don't overlap, the worst first."""
    alerts: int
    description: str

    def to_row(self) -> dict[str, Any]:
        return {
            "channel": self.channel,
            "rated": self.rated,
            "without_speech": self.without_speech,
            "dropped": self.dropped,
            "failed": self.failed,
            "percentiles": {
                name: {f"p{p}": rounded(value) for p, value in zip(PERCENTILES, values, strict=True)}
                for name, values in self.percentiles.items()
            },
            "causes": {name: rounded(share) for name, share in self.causes.items()},
            "worst": [moment.to_row() for moment in self.worst],
            "alerts": self.alerts,
            "description": self.description,
        }


@dataclass(frozen=True)
class CallSummary:
    """The last event of a call, delivered once."""

    duration: float
    """Seconds of audio that were pushed."""
    channels: tuple[ChannelSummary, ...]
    """One, or with channels="each" one for each."""
    model: str
    error: ClipError | None = None
    """Why the call ended before it was closed."""

    @property
    def description(self) -> str:
        return " ".join(channel.description for channel in self.channels)

    def to_row(self) -> dict[str, Any]:
        return {
            "event": "summary",
            "duration": rounded(self.duration),
            "channels": [channel.to_row() for channel in self.channels],
            "description": self.description,
            "model": self.model,
            "error": error_row(self.error),
        }


Event = QualityUpdate | QualityAlert | QualityRecovered | CallSummary


def _ratings_row(ratings: Ratings | None) -> dict[str, float | None] | None:
    if ratings is None:
        return None
    return {name: rounded(ratings[name]) for name in RATINGS} | {"mos_std": rounded(ratings.mos_std)}
