"""Settings of the whole suite. Fixtures stand in the test files that use them."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Before any test imports ONNX Runtime: as the package does (sqe_fast/__init__.py).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from tests.support.on_gpu import GPU

# Triton decides when it is imported: kernels run in its interpreter, on the CPU, or with --gpu on the GPU. What a GPU's
# compiler makes of them is looked at in processes of their own (tests/kernels/triton/survey.py).
if GPU:
    os.environ.pop("TRITON_INTERPRET", None)
else:
    os.environ["TRITON_INTERPRET"] = "1"

    from tests.support.triton_interpreter import multiply_rows_apart

    multiply_rows_apart()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gpu", action="store_true", help="kernels on the GPU that is here, not in Triton's interpreter")


# Models here are small: a second thread of torch gains nothing, and spins where the cores have other work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples are drawn the same way in every run, and no deadline: the machine may be busy with other work.
settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("repeatable")
