"""Devices and folders that cannot be used are refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch

from sqe_fast.manifest import write_hashes
from sqe_fast.results import UnusableError
from sqe_fast.runners import open_runner

GRAPHS = ("encoder.onnx", "decoder.onnx")
FILES = ("config.json", "model.safetensors", *GRAPHS)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "checkpoint"))


@pytest.mark.parametrize(("device", "name"), [("auto", "onnx-cpu"), ("cpu", "onnx-cpu"), ("torch-cpu", "torch-cpu")])
def test_devices(exported: Path, device: str, name: str) -> None:
    assert open_runner(exported, device=device).info.name == name


def test_an_unknown_device_is_refused(exported: Path) -> None:
    with pytest.raises(UnusableError, match="'tpu' is unknown"):
        open_runner(exported, device="tpu")


def test_cuda_without_a_gpu_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnusableError, match="CUDA was asked for"):
        open_runner(exported, device="cuda")


@pytest.mark.parametrize(("device", "package"), [("cuda", "torch"), ("torch-cpu", "torch"), ("cpu", "onnxruntime")])
def test_a_package_that_is_not_installed_is_named(
    exported: Path, monkeypatch: pytest.MonkeyPatch, device: str, package: str
) -> None:
    for module in ("torch_runner", "onnx_runner"):
        monkeypatch.delitem(sys.modules, f"sqe_fast.runners.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnusableError, match=f"needs {package}"):
        open_runner(exported, device=device)


def test_the_default_runner_imports_neither_torch_nor_onnx(exported: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from sqe_fast.runners import open_runner
open_runner(Path({str(exported)!r}), threads=1)
assert not {{"torch", "onnx", "transformers", "safetensors"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_max_length_is_cut_to_the_models(exported: Path) -> None:
    assert open_runner(exported, max_length=5000).info.max_length == 1024


@pytest.mark.parametrize("arguments", [{"slots": 0}, {"max_length": 0}, {"threads": 0}])
def test_counts_below_one_are_refused(exported: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        open_runner(exported, **arguments)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UnusableError, match=f"{name}: corrupt or replaced"):
        open_runner(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UnusableError, match=f"{name}: "):
        open_runner(folder)


def test_graphs_without_hashes_are_refused(folder: Path) -> None:
    """Rewritten weights move within their file: a graph that points at the old places must not be served."""
    write_hashes(folder, ["config.json"])
    with pytest.raises(UnusableError, match=r"no hash of model\.safetensors"):
        open_runner(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": []}'])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "sqe_fast.json").write_text(text)
    with pytest.raises(UnusableError, match=r"sqe_fast\.json: not"):
        open_runner(folder)


def test_a_hash_of_a_file_elsewhere_is_refused(folder: Path) -> None:
    path = folder / "sqe_fast.json"
    fields = json.loads(path.read_text())
    fields["sha256"]["../passwords"] = "0" * 64
    path.write_text(json.dumps(fields))
    with pytest.raises(UnusableError, match=r"'\.\./passwords' must be"):
        open_runner(folder)


@pytest.mark.parametrize("location", ["../model.safetensors", "/etc/passwd", "other.bin"])
@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_external_data_elsewhere_is_refused_by_name(folder: Path, location: str, place: str) -> None:
    path = folder / "decoder.onnx"
    model = onnx.load(path, load_external_data=False)
    if place == "initializer":
        tensor = model.graph.initializer[0]
    else:
        node = model.graph.node.add(op_type="Constant", output=["stray"])
        attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
        tensor = attribute.t
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    write_hashes(folder, FILES)
    with pytest.raises(UnusableError, match=f"not in '{location}'"):
        open_runner(folder)


@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x3a\xff\xff\xff\xff\x0f"])
def test_a_graph_that_is_none_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / "encoder.onnx").write_bytes(content)
    write_hashes(folder, FILES)
    with pytest.raises(UnusableError, match=r"encoder\.onnx"):
        open_runner(folder)
