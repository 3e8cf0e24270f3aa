"""The import arrows of ARCHITECTURE.md, read from the sources: who may know of whom.

Imports inside functions count as much as those at the top. A new module of the package finds its layer here first.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "sqe_fast"
MAX_LINES = 400
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

# Layer → the layers it may import, itself included for free. A layer is a module or a folder of the package; of two
# that fit a module, the longer name holds.
ARROWS: dict[str, set[str]] = {
    "": {"evaluator", "results"},  # sqe_fast/__init__.py: the public names
    # Nothing of ours below.
    "_native": set(),
    "results": set(),
    "truncation": set(),
    "runners.base": set(),
    "kernels": set(),
    "kernels.tile_ops": {"_native"},
    "kernels.fused_kl": {"kernels", "kernels.tile_ops"},
    "kernels.fused_kl_top_k": {"kernels", "kernels.fused_kl", "kernels.tile_ops"},
    # A clip's way in, and a prompt's.
    "features": {"_native"},
    "signal_flags": {"results"},
    "decoding": {"results", "truncation"},
    "audio": {"results", "decoding", "signal_flags"},
    "windows": {"results"},
    "argument": {"results"},
    "prompt": {"argument", "results"},
    "manifest": {"results"},
    "model.config": {"results"},  # sizes and file names; needs no torch
    "checkpoint": {"manifest", "model.config", "prompt", "results"},
    # The model, and what serves it.
    "model": {"model.config", "kernels", "results"},
    "runners": {"runners.base", "kernels", "manifest", "model", "model.config", "results"},
    "engine": {"runners.base", "audio", "features", "prompt", "results"},
    # The public API and what stands on it.
    "flow": {"engine", "model.config", "audio", "features", "prompt", "results", "signal_flags", "windows"},
    "evaluator": {"flow", "engine", "runners", "runners.base", "checkpoint", "audio", "features", "prompt", "results"},
    "export": {
        "model",
        "model.config",
        "runners",
        "runners.base",
        "manifest",
        "results",
    },  # the parity report runs both runners
    # Batch jobs and the command line.
    "inputs": {"results"},
    "rows": {"results"},
    "jobs": {"evaluator", "inputs", "rows", "audio", "results"},
    "terminal": {"jobs", "results"},
    "about": {"", "evaluator", "checkpoint", "manifest", "results"},
    "cli": {"", "about", "terminal", "jobs", "inputs", "rows", "evaluator", "export", "audio", "results"},
}

# Names taken from a layer that is otherwise out of reach: runners say that they are unusable, and nothing else.
ONLY_NAMES = {(layer, "results"): {"UnusableError"} for layer in ("runners", "model", "model.config")}

# Heavy packages → the layers that may import them at all. Hugging Face's classes judge ours in the tests; none is used.
HOMES: dict[str, set[str]] = {
    "torch": {"model", "runners", "export", *(layer for layer in ARROWS if layer.startswith("kernels"))},
    "triton": {"kernels", "kernels.fused_kl"},
    "onnxruntime": {"runners", "export"},
    "onnx": {"export"},
    "transformers": set(),
    "training": set(),
    "tests": set(),
    "benchmarks": set(),
}


class Import(NamedTuple):
    """`importer` imports `name` from `module` ("" for the module itself); all dotted, the package's name included."""

    importer: str
    module: str
    name: str = ""


def sources(folder: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sources(PACKAGE)}
KNOWN = {*MODULES, f"{PACKAGE}._native"}


def imports_of(module: str, source: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute, so that arrows can be read"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(module, whole) if whole in KNOWN else Import(module, str(node.module), alias.name)


def layer_of(module: str) -> str | None:
    """The longest layer that holds `module`; None for a module that has no layer."""
    parts = module.split(".")[1:]
    if not parts:
        return ""
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in ARROWS), None)


def fault(found: Import) -> str | None:
    """What is wrong with one import, or None."""
    layer = layer_of(found.importer)
    if layer is None:
        return f"{found.importer} has no layer in ARROWS"
    top = found.module.split(".")[0]
    if top != PACKAGE:
        return f"{found.importer} imports {top}" if layer not in HOMES.get(top, {layer}) else None
    target = layer_of(found.module)
    if target == layer:
        return None
    if target is None or target not in ARROWS[layer]:
        return f"{found.importer} imports {found.module}"
    allowed = ONLY_NAMES.get((layer, target))
    if allowed is not None and found.name not in allowed:
        return f"{found.importer} imports {found.name or 'all'} of {found.module}"
    return None


ALL_IMPORTS = [found for name, path in MODULES.items() for found in imports_of(name, path.read_text("utf-8"))]


def test_the_arrows_hold() -> None:
    assert [text for text in map(fault, ALL_IMPORTS) if text] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_a_layer(module: str) -> None:
    assert layer_of(module) is not None


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("sqe_fast.engine.engine", "import torch"),
        ("sqe_fast.engine.engine", "from onnxruntime import InferenceSession"),
        ("sqe_fast.engine.engine", "from sqe_fast.runners.onnx_runner import OnnxRunner"),
        ("sqe_fast.engine.engine", "from sqe_fast import evaluator"),
        ("sqe_fast.kernels.decode", "from sqe_fast.results import UnusableError"),
        ("sqe_fast.kernels.decode", "from sqe_fast import _native"),
        ("sqe_fast.runners.onnx_runner", "from sqe_fast.prompt import Program"),
        ("sqe_fast.runners.onnx_runner", "from sqe_fast.results import Ratings"),
        ("sqe_fast.runners.base", "import torch"),
        ("sqe_fast.model.encoder", "import transformers"),
        ("sqe_fast.evaluator", "def f():\n    import torch"),
        ("sqe_fast.cli", "from training import corpus"),
        ("sqe_fast.results", "from sqe_fast.prompt import Program"),
        ("sqe_fast.unheard_of", "import os"),
    ],
)
def test_a_broken_arrow_is_seen(importer: str, line: str) -> None:
    """The checker itself: a rule that never fires guards nothing."""
    assert any(fault(found) for found in imports_of(importer, line))


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("sqe_fast.engine.engine", "from sqe_fast.runners.base import Row"),
        ("sqe_fast.runners.onnx_runner", "from sqe_fast.results import UnusableError"),
        ("sqe_fast.kernels.tile_ops", "from sqe_fast import _native"),
        ("sqe_fast.cli", "from sqe_fast.evaluator import Evaluator"),
    ],
)
def test_an_allowed_arrow_passes(importer: str, line: str) -> None:
    assert not any(fault(found) for found in imports_of(importer, line))


def graph(imports: list[Import]) -> Mapping[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for found in imports:
        if found.module in KNOWN and found.module != found.importer:
            edges.setdefault(found.importer, set()).add(found.module)
    return edges


def test_no_circles() -> None:
    TopologicalSorter(graph(ALL_IMPORTS)).prepare()


def test_a_circle_is_seen() -> None:
    there, back = Import("sqe_fast.audio", "sqe_fast.results"), Import("sqe_fast.results", "sqe_fast.audio")
    with pytest.raises(CycleError):
        TopologicalSorter(graph([there, back])).prepare()


def test_only_the_selector_sees_the_reference_kernels() -> None:
    seen_by = {found.importer for found in ALL_IMPORTS if found.module == "sqe_fast.kernels.reference"}
    assert seen_by <= {"sqe_fast.kernels"}


def test_modules_are_imported_by_statement() -> None:
    """A name in a string escapes every check above; only the lazy public names need one."""
    dynamic = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
    }
    assert dynamic <= {PACKAGE}


CODE = [
    path
    for folder in (PACKAGE, "training", "tests", "benchmarks", "csrc")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".pyi", ".cpp", ".h", ".cu", ".cuh"}
]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_subject(path: Path) -> None:
    """Past 400 lines it holds two; a vague name says that it never had one."""
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES
    assert not VAGUE_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after `statement`."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"numpy", "torch", "onnxruntime", "soundfile", "soxr", "tokenizers", "transformers", "rich", "typer"}
    assert not loaded_by("import sqe_fast") & heavy


@pytest.mark.parametrize("module", ["evaluator", "jobs", "cli", "runners.onnx_runner"])
def test_the_cpu_path_loads_no_torch(module: str) -> None:
    if f"{PACKAGE}.{module}" not in MODULES:
        pytest.skip(f"{PACKAGE}.{module} does not exist yet")
    loaded = loaded_by(f"import {PACKAGE}.{module}")
    assert PACKAGE in loaded
    assert not loaded & {"torch", "transformers", "onnx", "scipy", "librosa"}
