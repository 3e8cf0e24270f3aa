"""Bytes that the fused linear KL would move on a GPU, by a model (benchmarks/kernels/hbm_model.py), not measured."""

from __future__ import annotations

import pytest

from benchmarks.kernels.hbm_model import SCRATCH, Shape, least_bytes, moved_bytes
from tests.support.shapes import AUDIO_VOCABULARY, LOSS_POSITIONS, LOSS_WIDTHS, VOCABULARY

MB = 1 << 20


@pytest.mark.parametrize("positions", LOSS_POSITIONS)
@pytest.mark.parametrize("width", LOSS_WIDTHS)
@pytest.mark.parametrize("vocabularies", [(AUDIO_VOCABULARY, VOCABULARY), (VOCABULARY, AUDIO_VOCABULARY)])
@pytest.mark.parametrize("head_learns", [True, False])
def test_no_more_than_a_tenth_over_the_least(
    positions: int, width: int, vocabularies: tuple[int, int], head_learns: bool
) -> None:
    """Tiles and copies included: they leave the L2 when all is over, if ever."""
    shape = Shape(positions, *vocabularies, width, head_learns)
    moved = moved_bytes(shape)
    assert 0.99 <= sum(moved.values()) / least_bytes(shape) <= 1.1
    assert moved[SCRATCH] <= 12 * MB


def test_the_model_sees_what_does_not_fit() -> None:
    """Hidden states and their gradient, 15 MB, are met again with every head's tile; beside 10 MB of scratch."""
    shape = Shape(2_048, AUDIO_VOCABULARY, VOCABULARY, 896, True)
    assert sum(moved_bytes(shape, 20 * MB).values()) > 2 * least_bytes(shape)


def test_the_least_by_hand() -> None:
    """One position and one id of width 2: two hidden states and two heads of 4 bytes, read twice; two gradients of 4;
    four doubles kept for the backward pass and three floats of results, written and read."""
    assert least_bytes(Shape(1, 1, 1, 2, True)) == 2 * 4 * 4 + 2 * 4 + 2 * (4 * 8 + 3 * 4)
