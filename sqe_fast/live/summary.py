"""What is kept of a call for its summary: the same memory for a minute and for a day."""

from __future__ import annotations

from collections import Counter

import numpy as np

from sqe_fast.answer.sentences import label, worst_stretch
from sqe_fast.engine.sequence import AudioInput
from sqe_fast.live.events import PERCENTILES, ChannelSummary, Moment
from sqe_fast.results import RATING_MIN, RATINGS

WORST = 3
"""Moments of a summary."""
_STEP = 0.01
"""Of a rating, in the counts that percentiles are read from."""


class Tally:
    """Counts of one channel's windows, and the few of them that stand out."""

    def __init__(self) -> None:
        self.rated = self.without_speech = self.dropped = self.failed = self.alerts = 0
        self.worst: tuple[Moment, ...] = ()
        self.typical: tuple[Moment, AudioInput] | None = None
        """The window that stands for the call: of those whose MOS was nearest to the mean as it was then, the last."""
        self._counts = np.zeros((len(RATINGS), round(4 / _STEP) + 1), np.int64)
        self._causes: Counter[str] = Counter()
        self._mos = 0.0
        """Their sum."""

    def add(self, moment: Moment, clip: AudioInput) -> None:
        """A rated window."""
        self.rated += 1
        for row, name in enumerate(RATINGS):
            self._counts[row, round((moment.ratings[name] - RATING_MIN) / _STEP)] += 1
        self._causes.update({cause.name for cause in moment.causes})
        self._mos += moment.ratings.mos
        mean = self._mos / self.rated
        if self.typical is None or abs(moment.ratings.mos - mean) <= abs(self.typical[0].ratings.mos - mean):
            self.typical = moment, clip
        self._keep_worst(moment)

    def _keep_worst(self, moment: Moment) -> None:
        """The lowest first, none overlapping a lower one. A moment that lies between two of them may cost a third: what
        it displaced is not kept."""
        kept: list[Moment] = []
        for each in sorted((*self.worst, moment), key=lambda each: (round(each.ratings.mos, 2), each.start)):
            if all(each.end <= other.start or each.start >= other.end for other in kept):
                kept.append(each)
        self.worst = tuple(kept[:WORST])

    def summary(self, channel: int | None, prose: str | None) -> ChannelSummary:
        shares = {name: count / self.rated for name, count in self._causes.most_common()}
        return ChannelSummary(
            channel,
            self.rated,
            self.without_speech,
            self.dropped,
            self.failed,
            self._percentiles(),
            shares,
            self.worst,
            self.alerts,
            self._description(channel, shares, prose),
        )

    def _percentiles(self) -> dict[str, tuple[float, ...]]:
        """The smallest values that so many in a hundred windows do not exceed."""
        if not self.rated:
            return {}
        ranks = [max(1, -(-percent * self.rated // 100)) for percent in PERCENTILES]
        places = (np.searchsorted(np.cumsum(counts), ranks) for counts in self._counts)
        return {
            name: tuple(round(RATING_MIN + _STEP * int(place), 2) for place in found)
            for name, found in zip(RATINGS, places, strict=True)
        }

    def _description(self, channel: int | None, shares: dict[str, float], prose: str | None) -> str:
        who = "The call" if channel is None else f"Channel {channel}"
        if not self.rated:
            return f"{who} held no speech that was rated."
        mos = self._percentiles()["mos"][1]
        said = [f"{who} was {label(mos)}: half of the time its MOS was {mos:.1f} or less."]
        if shares:
            named = ", ".join(f"{name} {share:.0%}" for name, share in list(shares.items())[:WORST])
            said.append(f"Named most, by share of the time: {named}.")
        worst = self.worst[0]
        said.append(worst_stretch(worst.start, worst.end, worst.ratings.mos, worst.causes))
        return " ".join([*said, *([prose] if prose else [])])
