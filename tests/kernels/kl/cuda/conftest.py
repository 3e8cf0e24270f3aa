"""The kernels as they are, compiled once for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.kernels.kl.cuda.compiled import Kernels, compile_library


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    return Kernels(compile_library(tmp_path_factory.mktemp("kernels")))
