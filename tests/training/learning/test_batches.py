"""Epochs numbered through. How they are cut is tested where examples are (test_examples.py)."""

from __future__ import annotations

import pytest

from training.learning.batches import Epochs


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
