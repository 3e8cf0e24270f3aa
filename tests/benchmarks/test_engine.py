"""The engine's benchmarks work with the bundled model as it is: its vocabulary, its graphs, what it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sqe_fast.checkpoint.folder import BUNDLED

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not (BUNDLED / "tiny" / "model.safetensors").is_file(), reason="the bundled model is not in this tree"
)
@pytest.mark.parametrize("part", ["encoder", "decoder", "precision"])
def test_the_benchmarks_of_a_stage_run(part: str) -> None:
    """One whose prompts were drawn from a larger vocabulary failed, unseen, from the day on which that shrank."""
    command = ("pytest", f"benchmarks/engine/test_{part}.py", "--quick", "--benchmark-disable", "-q", "-p", "no:xdist")
    ended = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert " passed" in ended.stdout
