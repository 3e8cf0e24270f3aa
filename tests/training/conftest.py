"""The simulation's speech codecs are libraries of the system's packages: what needs one that is absent is skipped."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from training.simulation.codec_libraries import AbsentLibraryError


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    try:
        yield
    except AbsentLibraryError as absent:
        pytest.skip(str(absent))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    try:
        return (yield)
    except AbsentLibraryError as absent:
        pytest.skip(str(absent))
