"""Epochs numbered through, and how processes share them. How a batch is cut is tested in test_examples.py too."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from training.learning.batches import Epochs, cut


@pytest.mark.parametrize("together", [1, 2, 3])
def test_processes_that_share_a_step_take_clips_of_like_length(together: int) -> None:
    """Else each step lasts as long as its longest batch, and the other processes wait."""
    lengths = [int(n) for n in np.random.default_rng(1).integers(16_000, 96_000, size=160)]
    batches = cut(lengths, 10, np.random.default_rng(2), together)
    assert len(batches) % together == 0
    shown = [i for batch in batches for i in batch]
    assert len(shown) == len(set(shown)) > len(lengths) - 10 * together
    assert [lengths[batch[0]] for batch in batches] != sorted(lengths[batch[0]] for batch in batches)
    for start in range(0, len(batches), together):
        for one, other in pairwise(batches[start : start + together]):
            assert lengths[one[-1]] <= lengths[other[0]]
            assert not any(lengths[one[-1]] < length < lengths[other[0]] for length in lengths)


def test_numbers_go_on_from_epoch_to_epoch() -> None:
    epochs = Epochs(lambda epoch: [[epoch, n] for n in range(epoch + 2)])
    walked = [epochs[index] for index in range(9)]
    assert [(place.epoch, place.number) for place in walked] == [
        *((0, n) for n in range(2)),
        *((1, n) for n in range(3)),
        *((2, n) for n in range(4)),
    ]
    assert all(place.items == [place.epoch, place.number] for place in walked)


def test_an_epoch_is_made_once_whatever_comes_first() -> None:
    made: list[int] = []
    epochs = Epochs(lambda epoch: made.append(epoch) or [[epoch]])  # type: ignore[func-returns-value]
    assert [epochs[index].items for index in (3, 0, 3)] == [[3], [0], [3]]
    assert made == [0, 1, 2, 3]


def test_an_empty_epoch_is_refused_rather_than_searched_for_ever() -> None:
    with pytest.raises(ValueError, match="too few rows"):
        Epochs(lambda _: [])[0]
