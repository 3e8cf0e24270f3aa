"""What an installation brings, and what it must not: read from the built package's own metadata and binary."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sqe_fast import _native

ROOT = Path(__file__).parents[1]
NAME = "sqe-fast"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEAVY = {"torch", "transformers", "peft", "triton", "scipy", "librosa", "onnx"}


def expanded(extra: str) -> Iterator[str]:
    """The names that `extra` brings, extras of our own that it stands on included."""
    for text in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == NAME:
            for inner in requirement.extras:
                yield from expanded(inner)
        else:
            yield canonicalize_name(requirement.name)


def base() -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}


def closure(names: set[str]) -> set[str]:
    """Everything that installing `names` brings along, as the installed distributions declare it."""
    seen: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {str(canonicalize_name(requirement.name))} - seen
    return seen


def test_metadata_is_the_projects() -> None:
    """An installation older than pyproject.toml would make the other tests here speak of another project."""
    installed = metadata.metadata(NAME)
    assert installed["Version"] == PROJECT["version"]
    assert installed["Requires-Python"] == ">=3.11"
    assert set(installed.get_all("Provides-Extra") or []) == {"cpu", "gpu", "train", "test"}
    declared = {canonicalize_name(Requirement(t).name) for t in metadata.requires(NAME) or [] if "extra ==" not in t}
    assert declared == base()


def test_cpu_brings_no_torch() -> None:
    brought = closure(base() | set(expanded("cpu")))
    assert {"numpy", "onnxruntime", "soundfile", "soxr", "tokenizers", "typer", "rich"} <= brought
    assert not brought & HEAVY


@pytest.mark.parametrize("extra", ["cpu", "gpu", "train", "test"])
def test_one_onnxruntime_an_environment(extra: str) -> None:
    """onnxruntime and onnxruntime-gpu install the same files: the later one breaks the earlier one."""
    brought = base() | set(expanded(extra))
    assert len(brought & {"onnxruntime", "onnxruntime-gpu"}) == 1


def test_command_line_entry() -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name="sqe")
    assert entry.value == "sqe_fast.cli.main:main"


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("#")[0].strip() for line in lines]
    return {canonicalize_name(name): version for name, version in (pin.split("==") for pin in pins if pin)}


def test_constraints_pin_whatever_the_tests_install() -> None:
    """An unpinned package is one that tomorrow's run tests in another version."""
    assert closure(base() | set(expanded("test"))) <= set(constraints())


def test_constraints_are_what_is_tested() -> None:
    """A pin of a local build ("+cpu") would be refused by an index that has none."""
    for name, version in constraints().items():
        assert "+" not in version
        assert metadata.version(name).split("+")[0] == version, name


def test_typed_and_stubbed() -> None:
    files = {path.name for path in (ROOT / "sqe_fast").iterdir()}
    assert {"py.typed", "_native.pyi"} <= files


def test_native_module_links_neither_torch_nor_cuda() -> None:
    """One build for every torch, and an import that needs no driver."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf (binutils) is not installed")
    listing = subprocess.run([readelf, "-d", _native.__file__], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", listing)
    assert any(name.startswith("libc.") for name in needed)
    assert not [name for name in needed if re.match(r"lib(torch|c10|cuda|cudart|nv|python|gomp)", name)]
