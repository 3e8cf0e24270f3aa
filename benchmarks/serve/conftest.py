"""What the options of benchmarks/conftest.py say."""

from __future__ import annotations

import pytest

from benchmarks.streaming.conftest import seconds, sessions, speech

__all__ = ["seconds", "sessions", "speech"]


@pytest.fixture(scope="session")
def uploads(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--uploads"))
