"""A command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path


def on_a_terminal(command: Sequence[str], columns: int, cwd: Path) -> tuple[str, int]:
    """Everything that a command shows on a terminal so many columns wide, and its exit status."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4_096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return shown.decode(), process.wait(60)
