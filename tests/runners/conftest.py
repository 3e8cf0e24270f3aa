"""A small random checkpoint with its graphs, exported once for all runner and export tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.small_model import save_small


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sqe_fast.export import export  # a machine with a GPU may have no onnx

    folder = save_small(tmp_path_factory.mktemp("exported"))
    export(folder)
    return folder
