"""Golden ratings: on every runner, the bundled model says of twelve clips what it said when it was committed."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast.checkpoint.folder import BUNDLED, open_checkpoint
from tests.golden.clips import golden_clips
from tests.golden.regenerate import COMMAND, rate, stored

TOLERANCE = 0.02

bundled = pytest.mark.skipif(
    not (BUNDLED / "tiny" / "model.safetensors").is_file(), reason="the bundled model is not in this tree"
)


def test_the_clips_are_twelve_and_all_different() -> None:
    """A degradation that does nothing would guard nothing."""
    clips = golden_clips()
    assert len(clips) == 12
    assert len({samples.tobytes() for samples, _ in clips.values()}) == 12
    assert all(np.abs(samples).max() <= 1 and len(samples) == 64_000 for samples, _ in clips.values())


@bundled
def test_the_golden_ratings_are_those_of_these_weights() -> None:
    assert stored().get("sha256") == open_checkpoint("tiny").sha256, (
        f"the bundled weights have changed: run `{COMMAND}`, look at the moves it prints, and commit ratings.json"
    )


@bundled
@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_ratings_stay_where_they_were(device: str) -> None:
    """Any change of the way from audio to ratings that moves an answer, on either runner."""
    golden = stored()
    if golden.get("sha256") != open_checkpoint("tiny").sha256:
        pytest.skip(f"ratings.json belongs to other weights: run `{COMMAND}`")
    now = rate(device)
    assert now.keys() == golden["ratings"].keys()
    moved = {
        (clip, name): (value, now[clip][name])
        for clip, values in golden["ratings"].items()
        for name, value in values.items()
        if not abs(now[clip][name] - value) <= TOLERANCE
    }
    assert not moved
