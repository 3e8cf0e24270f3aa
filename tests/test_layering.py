"""The line of rooms of ARCHITECTURE.md, read from the sources: each stands above all that it imports.

Imports inside functions count as much as those at the top. A new room finds its place here first.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "sqe_fast"

LINE = (
    ("_native", "errors"),
    ("results", "options"),
    ("audio", "answer"),
    ("checkpoint",),
    ("kernels",),
    ("model",),
    ("runners",),
    ("engine", "export"),
    ("live",),
    ("evaluator",),
    ("", "agents", "jobs"),  # "": sqe_fast/__init__.py, the public names
    ("report", "server"),
    ("cli",),
    ("__main__",),
)
"""Rooms from the ground up: a module or a folder of the package. Those on one floor don't know of one another."""
FLOOR = {room: floor for floor, rooms in enumerate(LINE) for room in rooms}

BARRED = {"kernels": {"errors", "options", "results", "audio", "answer", "checkpoint"}}
"""Rooms further down that are out of reach all the same: kernels know tensors, and nothing of ours but `_native`."""

# Heavy packages → the rooms that may import them at all. Hugging Face's classes judge ours in the tests; none is used.
HOMES: dict[str, set[str]] = {
    "torch": {"kernels", "model", "runners", "export"},
    "triton": {"kernels"},
    "onnxruntime": {"runners", "export"},
    "onnx": {"export"},
    "datasets": {"jobs"},
    "pyarrow": {"jobs"},
    "ray": {"jobs"},
    "pipecat": {"agents"},
    "livekit": {"agents"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "prometheus_client": {"server"},
    "pydantic": {"server"},
    "transformers": set(),
    "training": set(),
    "tests": set(),
    "benchmarks": set(),
}


class Import(NamedTuple):
    """`importer` imports `module`; both dotted, the package's name included."""

    importer: str
    module: str


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of every module."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text("utf-8")


MODULES = dict(sources())


def imports_of(module: str, source: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute, so that the line can be read"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(module, whole if whole in {*MODULES, f"{PACKAGE}._native"} else str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            # A name in a string escapes this test; only the lazy public names need one.
            assert module == PACKAGE, f"{module}: imports are statements"


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def faults(module: str, source: str) -> list[str]:
    """What is wrong with the imports of one module."""
    found = []
    own = room(module)
    if own not in FLOOR:
        return [f"{module} has no place in LINE"]
    for _, target in imports_of(module, source):
        top = target.split(".")[0]
        if top != PACKAGE:
            if own not in HOMES.get(top, {own}):
                found.append(f"{module} imports {top}")
        elif room(target) != own and (
            FLOOR.get(room(target), len(LINE)) >= FLOOR[own] or room(target) in BARRED.get(own, set())
        ):
            found.append(f"{module} imports {target}")
    return found


def test_every_room_stands_above_what_it_imports() -> None:
    assert [fault for module, source in MODULES.items() for fault in faults(module, source)] == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("sqe_fast.engine.engine", "import torch"),
        ("sqe_fast.engine.engine", "from onnxruntime import InferenceSession"),
        ("sqe_fast.engine.engine", "from sqe_fast import evaluator"),
        ("sqe_fast.kernels.decode", "from sqe_fast.errors import UnusableError"),
        ("sqe_fast.runners.base", "from sqe_fast.engine.sequence import Request"),
        ("sqe_fast.audio.level", "from sqe_fast.answer import scale"),
        ("sqe_fast.model.encoder", "import transformers"),
        ("sqe_fast.evaluator", "def f():\n    import torch"),
        ("sqe_fast.cli.main", "from training import corpus"),
        ("sqe_fast.unheard_of", "import os"),
    ],
)
def test_an_import_up_the_line_is_seen(importer: str, line: str) -> None:
    """The checker itself: a rule that never fires guards nothing."""
    assert faults(importer, line)


def test_tests_look_at_no_benchmark() -> None:
    """What both share stands in tests/support; only the benchmarks' own tests stand above them."""
    tests = ROOT / "tests"
    others = [path for path in tests.rglob("*.py") if path.relative_to(tests).parts[0] != "benchmarks"]
    assert [path for path in others if re.search(r"^ *(from|import) benchmarks", path.read_text("utf-8"), re.M)] == []


def test_only_the_selector_sees_the_reference_kernels() -> None:
    seen_by = {
        module
        for module, source in MODULES.items()
        for found in imports_of(module, source)
        if found.module == "sqe_fast.kernels.reference"
    }
    assert seen_by <= {"sqe_fast.kernels"}


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after `statement`."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "onnxruntime", "soundfile", "soxr", "tokenizers", "transformers", "rich", "typer"}
    assert not loaded_by("import sqe_fast") & heavy


@pytest.mark.parametrize("module", ["evaluator", "jobs.run", "cli.main", "runners.onnx_cpu"])
def test_the_cpu_path_loads_no_torch(module: str) -> None:
    loaded = loaded_by(f"import {PACKAGE}.{module}")
    assert PACKAGE in loaded
    assert not loaded & {"torch", "transformers", "onnx", "scipy", "librosa", "pyarrow", "ray"}
