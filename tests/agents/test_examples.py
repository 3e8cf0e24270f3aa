"""The agents of examples/, as a newcomer runs them: real frameworks, the bundled model, real time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

for name in ("pipecat", "livekit.agents"):
    pytest.importorskip(name, reason="needs the frameworks of constraints-agents.txt")

ROOT = Path(__file__).parents[2]


def test_they_run_to_their_end() -> None:
    """What they hear of the call depends on how busy the machine is, so that they hear it at all is looked at."""
    running = {
        name: subprocess.Popen([sys.executable, f"examples/{name}.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in ("pipecat_agent", "livekit_agent")
    }
    for name, process in running.items():
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == 0, name
        told, read = printed.split("what the language model reads:")
        assert "The call " in told
        assert read.strip()
