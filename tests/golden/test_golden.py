"""Golden ratings: on every runner, the bundled model says of twelve clips what it said when it was committed."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast.checkpoint.folder import BUNDLED, open_checkpoint
from tests.golden.clips import golden_clips
from tests.golden.regenerate import COMMAND, rate, stored

TOLERANCE = {"fp32": 0.02, "int8": 0.1}
"""In 8 bits another processor may round another way, and a rating that is told to 0.1 moves those after it."""

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
@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp32"), ("torch-cpu", "fp32"), ("cpu", "int8")])
def test_ratings_stay_where_they_were(device: str, precision: str) -> None:
    """Any change of the way from audio to ratings that moves an answer, on either runner."""
    golden = stored()
    if golden.get("sha256") != open_checkpoint("tiny").sha256:
        pytest.skip(f"ratings.json belongs to other weights: run `{COMMAND}`")
    now, then = rate(device, precision), golden[precision]
    assert now.keys() == then.keys()
    moved = {
        (clip, name): (value, now[clip][name])
        for clip, values in then.items()
        for name, value in values.items()
        if not abs(now[clip][name] - value) <= TOLERANCE[precision]
    }
    assert not moved
