"""No word to the outside: a run leaves no file behind in HOME and looks nothing up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "examples" / "june_clean.flac"

COUNTED = """
"$@" || exit
cat /proc/net/snmp /proc/net/snmp6
"""
"""A shell's command; then what its network namespace counted."""

AWAITED = """
import time
from pathlib import Path

import onnxruntime

until = time.monotonic() + 60
while not list(Path.home().rglob("deviceid")) and time.monotonic() < until:
    time.sleep(0.05)
"""
"""Telemetry that is on: a thread of its own writes its files, when it comes to that."""


def isolated(home: Path, *command: str) -> tuple[str, int]:
    """Standard output of a command without a network, and how often it tried to reach one. Of the environment only the
    path is handed on: telemetry is still where a variable says that a CI runs, and would not be seen."""
    namespace = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no network namespace")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    shell = [*namespace, "bash", "-c", COUNTED, "-", *command]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment, cwd=ROOT, check=True, timeout=300)
    said, counters = done.stdout[: done.stdout.index("Ip: ")], done.stdout[done.stdout.index("Ip: ") :]
    return said, unreachable(counters)


def unreachable(counters: str) -> int:
    """Packets that had no way out, IPv4 and IPv6."""
    lines = counters.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Ip:"))
    [sixth] = [line.split()[1] for line in lines if line.startswith("Ip6OutNoRoutes")]
    return int(values[names.index("OutNoRoutes")]) + int(sixth)


@pytest.mark.parametrize("command", [["info"], ["score", str(CLIP), "--no-describe"]], ids=lambda command: command[0])
def test_a_run_leaves_no_file_and_looks_nothing_up(command: list[str], tmp_path: Path) -> None:
    """ONNX Runtime's telemetry: a device id and a database in HOME, and a host looked up again and again."""
    said, tried = isolated(tmp_path, sys.executable, "-m", "sqe_fast", *command)
    assert "tiny@" in said
    assert tried == 0
    assert list(tmp_path.rglob("*")) == []


def test_workers_are_told_too(tmp_path: Path) -> None:
    """A process that imports ONNX Runtime alone, as a pool's workers do before they import us."""
    worker = (
        "import subprocess, sys, sqe_fast; subprocess.run([sys.executable, '-c', 'import onnxruntime'], check=True)"
    )
    assert isolated(tmp_path, sys.executable, "-c", worker)[1] == 0
    assert list(tmp_path.rglob("*")) == []


def test_what_is_looked_for_would_be_seen(tmp_path: Path) -> None:
    """The check itself: a look-up is counted, and telemetry that is on leaves its files."""
    look_up = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('example.org', 80)"
    assert isolated(tmp_path, sys.executable, "-c", look_up)[1] > 0
    isolated(tmp_path, sys.executable, "-c", AWAITED)
    assert list(tmp_path.rglob("deviceid"))
