"""Options of the benchmarks. Their defaults are the targets' own; a short run shows only that all of it works:

pytest benchmarks/streaming benchmarks/serve -s --seconds 5 --calls 4 --hours 0.01 --sessions 4 --uploads 8
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="small sizes, two rounds: that the engine's benchmarks work")
    group = parser.getgroup("streaming")
    group.addoption("--seconds", type=float, default=60.0, help="of real time that a load is measured for")
    group.addoption("--calls", type=int, default=100, help="with each fault")
    group.addoption("--hours", type=float, default=1.0, help="of audio: of the soak, and of clean speech")
    group.addoption("--sessions", type=int, default=50, help="calls in the air")
    group.addoption("--uploads", type=int, default=256, help="files that the clients of a server send")
    group.addoption(
        "--speech",
        type=Path,
        default=Path(__file__).parents[1] / "examples",
        help="folder with *_clean.flac, or other clean speech",
    )


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture(scope="session")
def rounds(quick: bool) -> int:
    return 2 if quick else 15
