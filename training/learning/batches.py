"""Which items make batch number N: those of similar length together, shuffled anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

HUMAN_SHARE = 0.04
"""Of the batches that are heard, those of clips that people rated: a few hundred, each heard about as often as eight
simulated ones."""
LONG_CLIP = 6 * 16_000
"""Samples above which a clip takes the room of several in a batch."""


def cut(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator, together: int = 1, long: int = LONG_CLIP
) -> list[list[int]]:
    """Indices shuffled, sorted by length within pools of 16 batches, cut into batches, shuffled again.

    A batch padded to its longest holds at most `batch_size` items, and at most `batch_size` × `long` in all. Each
    `together` batches in turn are neighbours in length: of as many processes that share a step, none waits long for the
    others. Batches at the end that are too few for that are left out.
    """
    order = [int(i) for i in rng.permutation(len(lengths))]
    pool = batch_size * 16
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batch: list[int] = []
        for i in sorted(order[start : start + pool], key=lambda i: lengths[i]):
            # The items come in rising length, so this one pads the others.
            if len(batch) == batch_size or (batch and (len(batch) + 1) * lengths[i] > batch_size * long):
                batches.append(batch)
                batch = []
            batch.append(i)
        batches.append(batch)
    return [batches[int(i) * together + j] for i in rng.permutation(len(batches) // together) for j in range(together)]


class Place(NamedTuple):
    """Where a batch stands among all, and the items in it."""

    epoch: int
    number: int
    """Within the epoch."""
    items: list[int]


class Epochs:
    """The batches of epoch after epoch, numbered through. `make` gives those of one; an epoch holds at least one."""

    def __init__(self, make: Callable[[int], list[list[int]]]) -> None:
        self._make = make
        self._made: list[list[list[int]]] = []

    def __getitem__(self, index: int) -> Place:
        for epoch in count():
            batches = self.of(epoch)
            if index < len(batches):
                return Place(epoch, index, batches[index])
            index -= len(batches)
        raise AssertionError("epochs do not end")

    def of(self, epoch: int) -> list[list[int]]:
        """Raises ValueError for an epoch without a batch: there is too little to choose from."""
        while epoch >= len(self._made):
            batches = self._make(len(self._made))
            if not batches:
                raise ValueError("too few rows for a batch")
            self._made.append(batches)
        return self._made[epoch]
