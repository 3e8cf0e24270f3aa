"""docs/streaming.md: what it shows runs, and the numbers that it names are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sqe_fast.audio.level import SILENCE_DBFS
from sqe_fast.live.alarms import Alerting
from sqe_fast.live.signal import SignalFaults
from sqe_fast.options import HOP_SECONDS, WINDOW_DEADLINE, WINDOW_SECONDS

TEXT = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text("utf-8")


def test_its_code_is_python() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        ast.parse(block.replace("…", "..."))


def test_its_numbers_are_the_codes() -> None:
    """A default that moved on while the page stayed."""
    rules, faults = Alerting(), SignalFaults()
    text = " ".join(TEXT.split())
    for said in (
        f"each `hop` ({HOP_SECONDS:g} s) | the last `window` ({WINDOW_SECONDS:g} s)",
        f"under {rules.below:g}, or a dimension by {rules.drop:.1f} under",
        f"{rules.smoothing:g} of the last score and {1 - rules.smoothing:g} of the window's own",
        f"have been {rules.above:g} or higher, and within half of that drop, for {rules.hold:g} s",
        f'{faults.mute:g} s of one and the same sample ("mute")',
        f'{faults.silence:g} s under −{-SILENCE_DBFS:g} dBFS ("silence")',
        f'{faults.dc:g} s off zero ("dc offset")',
        f'{faults.clipped_share:.1%} of a second clipped ("clipping")'.replace("%", " %"),
        f"within `deadline` ({WINDOW_DEADLINE:g} s)",
    ):
        assert said in text, said
