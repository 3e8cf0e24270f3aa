"""Random streams by name: none repeats another, and what is drawn depends on the name and the indices alone."""

import ast
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from training.streams import WORD, Stream, seed_of, stream

TRAINING = Path(__file__).parents[2] / "training"


def test_no_two_streams_collide() -> None:
    """Two decisions that draw the same numbers are one decision: the task of a batch once followed from whether it was
    heard or read. Indices that end in zeros are the trap; NumPy's seeds of plain lists ignore them."""
    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (WORD - 1,)]
    names = list(product(Stream, (0, 1, 11, 1 << 32), indices))
    firsts = {tuple(stream(which, seed, *at).integers(1 << 62, size=2)) for which, seed, at in names}
    seeds = {seed_of(which, seed, *at) for which, seed, at in names}
    assert len(firsts) == len(seeds) == len(names)


def test_the_same_name_draws_the_same_numbers() -> None:
    assert stream(Stream.SFT_MODALITY, 7, 3).random() == stream(Stream.SFT_MODALITY, 7, 3).random()
    assert seed_of(Stream.SFT_WEIGHTS, 7) == seed_of(Stream.SFT_WEIGHTS, 7)


@pytest.mark.parametrize("index", [-1, WORD])
def test_an_index_is_one_word(index: int) -> None:
    """An index of two words would be another stream's two indices."""
    with pytest.raises(ValueError, match="indices of a stream"):
        stream(Stream.CAPTION, 0, 1, index)


def test_training_draws_from_named_streams_only() -> None:
    """Streams that were numbered by hand, in six files, collided without anyone noticing."""
    found = {}
    for path in sorted(TRAINING.rglob("*.py")):
        file = path.relative_to(TRAINING).as_posix()
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        made = [ast.unparse(call.func).split(".")[-1] for call in calls]
        if file != "streams.py" and {"default_rng", "SeedSequence", "RandomState"} & set(made):
            found[file] = made
    assert not found, f"{sorted(found)}: draw from training/streams.py"


def test_streams_are_independent() -> None:
    """Of 4,000 batches, the modality and the first number of the batch's own stream: no correlation."""
    drawn = np.array(
        [
            [stream(which, 1, index).random() for which in (Stream.SFT_MODALITY, Stream.SFT_AUDIO_BATCH)]
            for index in range(4000)
        ]
    )
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.05
