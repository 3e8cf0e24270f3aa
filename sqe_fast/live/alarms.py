"""From ratings, window by window, to alerts: smoothing, hysteresis, and when a call has recovered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sqe_fast.live.signal import SignalFaults
from sqe_fast.results import DIMENSIONS, RATING_MAX, RATING_MIN, RATINGS, Cause, Ratings

_USUAL = 0.9
"""Share of the past in what is usual."""


@dataclass(frozen=True)
class Alerting:
    """When a call's quality is at fault. Raises ValueError for what cannot be.

    An alert is given as soon as a smoothed rating falls below `below`, or a dimension by `drop` under what is usual in
    this call; and no other until the call has recovered: until all ratings have stayed at `above` or higher, and within
    half a `drop` of the usual, for `hold` seconds of the call. A line that flaps faster than that gives one alert.
    `steady=False` switches all of that off: each window is judged by its own ratings and by `below` alone, and the
    first that is not below it ends the alert.
    """

    below: float = 2.6
    above: float = 3.2
    drop: float = 0.9
    """What is usual is the mean of the windows so far without a fault, of which the last ten count most."""
    hold: float = 10.0
    smoothing: float = 0.3
    """Share of the past in a smoothed rating: 0.3 of the last one and 0.7 of the window's own."""
    steady: bool = True
    signal: SignalFaults = field(default_factory=SignalFaults)

    def __post_init__(self) -> None:
        if not (RATING_MIN <= self.below <= self.above <= RATING_MAX and 0 <= self.hold < math.inf):
            raise ValueError(f"below {self.below:g}, above {self.above:g}, hold {self.hold:g}: 1 ≤ below ≤ above ≤ 5")
        if not self.drop > 0:
            raise ValueError(f"drop {self.drop:g}: pass a number above 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing {self.smoothing:g}: pass a share of at least 0 and below 1")


@dataclass(frozen=True)
class Fault:
    """What an alert is about."""

    dimension: str
    rating: float
    cause: Cause | None
    since: float
    at: float


class QualityWatch:
    """Follows the rated windows of one channel."""

    def __init__(self, alerting: Alerting) -> None:
        self._rules = alerting
        self.score: Ratings | None = None
        """Smoothed; None before the first window."""
        self.fault: Fault | None = None
        """The alert that is not over."""
        self._usual: Ratings | None = None
        self._low_since: float | None = None
        """Where the windows that are low by themselves began."""
        self._good_since: float | None = None

    def add(self, start: float, end: float, ratings: Ratings, causes: tuple[Cause, ...]) -> Fault | None:
        """The next window, of which the seconds from `start` on are new; the fault that begins with it, if one does.
        `recovered` says whether one is over."""
        steady = self._rules.steady
        self.score = ratings if self.score is None or not steady else mixed(self.score, ratings, self._rules.smoothing)
        if self._at_fault(ratings) is None:
            self._low_since = None
            if self.fault is None and steady:
                self._usual = ratings if self._usual is None else mixed(self._usual, ratings, _USUAL)
        elif self._low_since is None:
            self._low_since = start
        dimension = self._at_fault(self.score)
        if self.fault is not None or dimension is None:
            return None
        of_it = [cause for cause in causes if cause.dimension == dimension]
        cause = max(of_it, key=lambda each: each.probability, default=None)
        since = start if self._low_since is None else self._low_since
        self.fault, self._good_since = Fault(dimension, self.score[dimension], cause, since, end), None
        return self.fault

    def _at_fault(self, ratings: Ratings) -> str | None:
        """The dimension that is: the lowest, or the one that fell furthest."""
        if _lowest(ratings) < self._rules.below:
            return min(DIMENSIONS, key=ratings.__getitem__)
        furthest = max(DIMENSIONS, key=lambda name: self._fell(ratings, name))
        return furthest if self._fell(ratings, furthest) >= self._rules.drop else None

    def _fell(self, ratings: Ratings, name: str) -> float:
        return 0.0 if self._usual is None else self._usual[name] - ratings[name]

    def recovered(self, start: float, end: float) -> float | None:
        """After `add`: the second since which the call is good again, once the alert is over."""
        if self.fault is None or self.score is None:
            return None
        above, hold = (self._rules.above, self._rules.hold) if self._rules.steady else (self._rules.below, 0.0)
        fell = max(self._fell(self.score, name) for name in DIMENSIONS)
        if _lowest(self.score) < above or fell > self._rules.drop / 2:
            self._good_since = None
            return None
        if self._good_since is None:
            self._good_since = start
        if end - self._good_since < hold:
            return None
        self.fault = None
        return self._good_since


def mixed(before: Ratings, now: Ratings, past: float) -> Ratings:
    """`past` of the ones before and the rest of those now."""
    names = (*RATINGS, "mos_std")
    return Ratings(**{name: past * getattr(before, name) + (1 - past) * getattr(now, name) for name in names})


def _lowest(ratings: Ratings) -> float:
    return min(ratings[name] for name in RATINGS)
