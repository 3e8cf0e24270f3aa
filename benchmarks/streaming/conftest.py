"""What the options of benchmarks/conftest.py say."""

from __future__ import annotations

import pytest

from benchmarks.streaming.sound import Speech


@pytest.fixture(scope="session")
def seconds(pytestconfig: pytest.Config) -> float:
    return float(pytestconfig.getoption("--seconds"))


@pytest.fixture(scope="session")
def calls(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--calls"))


@pytest.fixture(scope="session")
def hours(pytestconfig: pytest.Config) -> float:
    return float(pytestconfig.getoption("--hours"))


@pytest.fixture(scope="session")
def sessions(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--sessions"))


@pytest.fixture(scope="session")
def speech(pytestconfig: pytest.Config) -> Speech:
    return Speech(pytestconfig.getoption("--speech"))
