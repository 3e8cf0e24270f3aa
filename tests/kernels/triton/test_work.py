"""How much of the launches' work is padding, and how many bytes they move, by count (`work`)."""

from __future__ import annotations

import pytest

from tests.kernels.triton.survey import Survey
from tests.kernels.triton.work import Done

ARCHITECTURES = (80, 90)
"""A100 and H100, whose tiles the others take."""
PADDING = 0.01
LAYER_NORMS = {"norm_linear", "pool_norm_linear"}


def of(rows: list[Done], stage: str) -> dict[str, Done]:
    found = {row.call: row for row in rows if row.call.startswith(stage)}
    assert found
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_of_a_packed_batch_are_hardly_padded(surveyed: dict[int, Survey], architecture: int) -> None:
    for name, row in of(surveyed[architecture].work, "encode").items():
        if row.operator != "packed_attention":
            assert 0 <= row.padding <= PADDING, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_clips_attend_to_no_more_than_their_tiles(surveyed: dict[int, Survey], architecture: int) -> None:
    """Clips of 2 to 12 s are 100 to 600 positions, in tiles of 64 or 128. Padded to the longest, or to 30 s, attention
    would compute 2.5 or 16 times what is needed. `work` asserts that no tile lies beyond a clip's end."""
    (row,) = [row for row in surveyed[architecture].work if row.operator == "packed_attention"]
    assert 0 < row.padding < 0.4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_decoding_moves_little_beside_weights_and_keys(surveyed: dict[int, Survey], architecture: int) -> None:
    for name, row in of(surveyed[architecture].work, "decode").items():
        assert 0.999 <= row.moved / row.least <= 1.03, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_only_a_norm_of_its_own_and_the_stem_move_more_in_the_encoder(
    surveyed: dict[int, Survey], architecture: int
) -> None:
    """A norm's result goes to memory and back, as does what lies between the two convolutions."""
    for name, row in of(surveyed[architecture].work, "encode").items():
        most = 1.5 if row.operator in LAYER_NORMS else 2.6 if row.operator == "conv_stem" else 1.001
        assert 0.95 <= row.moved / row.least <= most, name
