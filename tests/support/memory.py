"""The process's memory at its peak, as the kernel counts it (Linux)."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest


def reset_peak() -> int:
    """Begin anew; the peak from which it begins, in bytes. Freed memory goes back first, so that it counts when it is
    used again. Skips the test where the mark cannot be reset."""
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the high-water mark of this machine's memory cannot be reset")
    return peak_bytes()


def peak_bytes() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) << 10
