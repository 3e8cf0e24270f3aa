"""What the engine's benchmarks share: the bundled model, its clips, and runners with one or two threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sqe_fast.audio.features import SAMPLE_RATE
from sqe_fast.checkpoint.folder import BUNDLED
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import Runner
from tests.golden.clips import golden_clips

THREADS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not (BUNDLED / "tiny" / "model.safetensors").is_file():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="the bundled model is not in this tree"))


@pytest.fixture(scope="session")
def tiny() -> Path:
    return BUNDLED / "tiny"


@pytest.fixture(autouse=True)
def torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def runner(tiny: Path) -> Runner:
    return open_runner(tiny, Serving(device="cpu", threads=THREADS, slots=33))


def speech(seconds: float) -> np.ndarray:
    """A golden clip, over and over."""
    samples, rate = golden_clips()["june_clean"]
    assert rate == SAMPLE_RATE
    return np.resize(samples, round(seconds * SAMPLE_RATE)).astype(np.float32)
