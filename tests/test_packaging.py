"""What an installation brings, and what it must not: read from the built package's own metadata and binary."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from importlib import metadata
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sqe_fast import _native
from tests.support.distributions import NAME, ROOT, brought, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEAVY = {"torch", "transformers", "peft", "triton", "scipy", "librosa", "onnx"}


def names(texts: Iterable[str]) -> list[str]:
    return sorted(canonicalize_name(Requirement(text).name) for text in texts)


def test_metadata_is_the_projects() -> None:
    """An installation older than pyproject.toml would make the other tests here speak of another project."""
    installed = metadata.metadata(NAME)
    assert installed["Version"] == PROJECT["version"]
    assert installed["Requires-Python"] == PROJECT["requires-python"]
    declared = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    assert names(metadata.requires(NAME) or []) == names(declared)


def test_cpu_brings_no_torch() -> None:
    assert {"numpy", "onnxruntime", "soundfile", "soxr", "tokenizers", "typer", "rich"} <= brought("cpu")
    assert not brought("cpu") & HEAVY


def test_one_onnxruntime_an_environment() -> None:
    """onnxruntime and onnxruntime-gpu install the same files: the later one breaks the earlier one."""
    assert "onnxruntime-gpu" not in brought("test")
    gpu = names(PROJECT["optional-dependencies"]["gpu"])
    assert "onnxruntime-gpu" in gpu
    assert not {"onnxruntime", NAME} & set(gpu)


def test_constraints_pin_whatever_the_tests_install() -> None:
    """An unpinned package is one that tomorrow's run tests in another version."""
    assert brought("test") <= pins("constraints.txt").keys()


def test_constraints_are_what_is_tested() -> None:
    """Of what [test] brings; what is pinned besides is installed beside it, or not at all (README, "Work on it")."""
    found = {name: metadata.version(name).split("+")[0] for name in brought("test")}
    assert found == {name: version for name, version in pins("constraints.txt").items() if name in found}


def test_constraints_name_no_local_build() -> None:
    """A pin of a local build ("+cpu") would be refused by an index that has none."""
    assert not [pin for pin in pins("constraints.txt").items() if "+" in pin[1]]


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
