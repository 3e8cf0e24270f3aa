"""What can be wrong with speech: the names that a checkpoint knows, and which of them is written next in a list.

A list is read one entry at a time, the worst cause first. Before each entry the model gives every name that may still
follow, and the end, a probability of coming next. Causes of different dimensions that are all surely there share that
among themselves, for only one of them can come next. So a name is judged by its share of what its own dimension and the
end have (`Causes.offers`), and `Causes.decide` says what is written. It never names more than is known: not a kind
where only its group is sure, not a group where only the dimension is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from sqe_fast.results import DIMENSIONS, Cause

END = "end"
"""Ends a list."""
UNCLEAR = dict(zip(DIMENSIONS, ("unclear noise", "unclear colour", "unclear flow", "unclear level"), strict=True))
"""Something lowers this dimension, and what it is is not clear."""
MOST = 6
"""Entries of a list, its end not counted."""
_LEAST = 1e-6
"""Probabilities nearer to 0 or 1 count as this near: float32 reads 0 where it means little."""


@dataclass(frozen=True)
class Kind:
    """A cause by its name."""

    name: str
    dimension: str
    """Which it lowers."""
    group: str | None = None
    """The coarser kind that is named where this one is not sure."""


@dataclass(frozen=True)
class Calibration:
    """From a name's share p to the probability that it is true, σ(slope · logit(p) + offset) (Platt 1999), and what the
    latter must reach for the name to be written: it never reaches 1. Raises ValueError for a slope of 0 or below, a
    threshold that is no probability, and for what is not finite."""

    slope: float = 1.0
    offset: float = 0.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and math.isfinite(self.offset) and 0 <= self.threshold <= 1):
            raise ValueError(
                f"slope {self.slope}, offset {self.offset} and threshold {self.threshold} calibrate nothing"
            )

    def __call__(self, share: float) -> float:
        p = min(max(share, _LEAST), 1 - _LEAST)
        return min(0.5 + 0.5 * math.tanh((self.slope * math.log(p / (1 - p)) + self.offset) / 2), 1 - _LEAST)


@dataclass(frozen=True)
class Causes:
    """The kinds that a checkpoint knows, and how its reading of each name is calibrated: of each kind, each of
    `UNCLEAR` and `END`. Raises ValueError where the two don't fit, or a kind's dimension or group is none."""

    kinds: tuple[Kind, ...]
    reading: Mapping[str, Calibration]

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.kinds]
        if len({*names, *UNCLEAR.values(), END}) != len(names) + len(UNCLEAR) + 1:
            raise ValueError("a cause has a name that another has, or that means something else in a list")
        for kind in self.kinds:
            group = self.dimension.get(kind.group) if kind.group is not None else kind.dimension
            if kind.dimension not in DIMENSIONS or group != kind.dimension:
                raise ValueError(f"{kind.name}: its dimension or its group is none that is known")
            if any(other.group == kind.name for other in self.kinds) and kind.group is not None:
                raise ValueError(f"{kind.name}: a group that has a group")
        if set(self.reading) != set(self.entries):
            raise ValueError(f"calibrated are {sorted(self.reading)}, and what is read is {sorted(self.entries)}")

    @cached_property
    def dimension(self) -> dict[str, str]:
        """Of each name but `END`."""
        of_unclear = {name: dimension for dimension, name in UNCLEAR.items()}
        return {kind.name: kind.dimension for kind in self.kinds} | of_unclear

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """All that may stand in a list, in the order in which a runner is asked."""
        return (*self.dimension, END)

    @cached_property
    def members(self) -> dict[str, tuple[str, ...]]:
        """Of each group, itself among them."""
        groups = dict.fromkeys(kind.group for kind in self.kinds if kind.group is not None)
        return {group: (group, *(kind.name for kind in self.kinds if kind.group == group)) for group in groups}

    @cached_property
    def _kinds(self) -> dict[str, tuple[str, ...]]:
        """Their names, by dimension."""
        return {d: tuple(kind.name for kind in self.kinds if kind.dimension == d) for d in DIMENSIONS}

    def covers(self, name: str) -> tuple[str, ...]:
        """The kinds that `name` may stand for: all of a dimension that is unclear, the members of a group, or one."""
        if name in UNCLEAR.values():
            return self._kinds[self.dimension[name]]
        return self.members.get(name, (name,))

    def remaining(self, listed: Sequence[str]) -> tuple[str, ...]:
        """What may follow in a list, in the order of `entries`. No name comes twice; a group stands for its members,
        and what is unclear about a dimension for all of its kinds. At most `MOST`."""
        if len(listed) >= MOST:
            return (END,)
        told = {*listed, *(kind for name in listed for kind in self.covers(name))}
        return tuple(name for name in self.entries if name not in told)

    def listable(self, names: Sequence[str]) -> tuple[str, ...]:
        """`names` as a list may hold them, in their order: without those that may not follow."""
        listed: list[str] = []
        for name in names:
            if name in self.remaining(listed):
                listed.append(name)
        return tuple(listed)

    def offers(self, chances: Mapping[str, float]) -> Iterator[list[tuple[str, float]]]:
        """What could be written next, and the share that it rests on: lists of equally fine names, the first choice
        first. `chances` holds the probability of each remaining name, and of the end, of coming next.

        The likeliest dimension comes first with three lists: its kinds by their own probabilities, its groups by those
        of all their members, what is unclear by that of the whole dimension; each as a share of what the dimension and
        the end have. Milder causes of other dimensions come later, so they are no rivals; but a dimension that was
        turned down before is one. Equals go by name, and sums are exact (`fsum`), so the order in which they were asked
        changes nothing.
        """
        kinds_of = {d: {name: chances[name] for name in self._kinds[d] if name in chances} for d in DIMENSIONS}
        whole = {d: math.fsum((*kinds.values(), chances.get(UNCLEAR[d], 0.0))) for d, kinds in kinds_of.items()}
        rivals = [chances[END]]
        for dimension in sorted(DIMENSIONS, key=lambda d: -whole[d]):
            kinds = kinds_of[dimension]
            groups = {
                group: math.fsum(kinds[member] for member in members if member in kinds)
                for group, members in self.members.items()
                if group in kinds
            }
            unclear = {UNCLEAR[dimension]: whole[dimension]} if UNCLEAR[dimension] in chances else {}
            rivals.append(whole[dimension])
            for offered in (kinds, groups, unclear):
                shares = ((name, chance / math.fsum(rivals)) for name, chance in offered.items())
                yield sorted(shares, key=lambda offer: (-offer[1], offer[0]))

    def decide(self, chances: Mapping[str, float]) -> Cause | None:
        """What is written next: the first offer whose calibrated probability reaches its threshold; None, the end,
        where no offer's does, or the end's own, which is calibrated as it is."""
        if self._reaches(END, chances[END]):
            return None
        for name, share in chain.from_iterable(self.offers(chances)):
            if self._reaches(name, share):
                return self._cause(name, share)
        return None

    def cause(self, name: str, chances: Mapping[str, float]) -> Cause:
        """`name`, one of the `chances` but not the end, with its calibrated probability."""
        return self._cause(name, dict(chain.from_iterable(self.offers(chances)))[name])

    def _cause(self, name: str, share: float) -> Cause:
        return Cause(name, self.dimension[name], self.reading[name](share))

    def _reaches(self, name: str, share: float) -> bool:
        reading = self.reading[name]
        return reading(share) >= reading.threshold
