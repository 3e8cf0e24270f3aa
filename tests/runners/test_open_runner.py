"""Devices and folders that cannot be used are refused by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig, TextConfig
from sqe_fast.checkpoint.hashes import write_hashes
from sqe_fast.errors import UnusableError
from sqe_fast.kernels.triton import device as gpu
from sqe_fast.model.decoder import Qwen2Decoder
from sqe_fast.model.qwen2_audio import load_checkpoint, save_checkpoint
from sqe_fast.model.weights import stored_dtype
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner, torch_runner
from sqe_fast.runners.base import SlotStep, kv_bytes_per_token
from sqe_fast.runners.onnx_encoder import OnnxEncoder
from sqe_fast.runners.torch_runner import TorchRunner, _bytes, _hollow, _slot_bytes, slots_that_fit
from sqe_fast.runners.torch_runner import _dtype as dtype_of
from tests.support.small_model import small_model

PLAIN = ("encoder.onnx", "decoder.onnx", "verifier.onnx")
GRAPHS = (*PLAIN, *(name.replace(".onnx", ".int8.onnx") for name in PLAIN))
FILES = ("config.json", "model.safetensors", *GRAPHS)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "checkpoint"))


@pytest.mark.parametrize(("device", "name"), [("auto", "onnx-cpu"), ("cpu", "onnx-cpu"), ("torch-cpu", "torch-cpu")])
def test_devices(exported: Path, device: str, name: str) -> None:
    assert open_runner(exported, Serving(device=device)).info.name == name


def test_an_unknown_device_is_refused(exported: Path) -> None:
    with pytest.raises(UnusableError, match="'tpu' is unknown"):
        open_runner(exported, Serving(device="tpu"))


def test_cuda_without_a_gpu_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnusableError, match="CUDA was asked for"):
        open_runner(exported, Serving(device="cuda"))


@pytest.mark.parametrize(("device", "package"), [("cuda", "torch"), ("torch-cpu", "torch"), ("cpu", "onnxruntime")])
def test_a_package_that_is_not_installed_is_named(
    exported: Path, monkeypatch: pytest.MonkeyPatch, device: str, package: str
) -> None:
    for module in ("torch_runner", "onnx_cpu"):
        monkeypatch.delitem(sys.modules, f"sqe_fast.runners.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnusableError, match=f"needs {package}"):
        open_runner(exported, Serving(device=device))


def test_the_default_runner_imports_neither_torch_nor_onnx(exported: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import SlotStep
open_runner(Path({str(exported)!r}), Serving(threads=1))
assert not {{"torch", "onnx", "transformers", "safetensors"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_max_length_is_cut_to_the_models(exported: Path) -> None:
    assert open_runner(exported, Serving(max_length=5000)).info.max_length == 1024


@pytest.mark.parametrize("arguments", [{"slots": 0}, {"max_length": 0}, {"threads": 0}])
def test_counts_below_one_are_refused(exported: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        open_runner(exported, Serving(**arguments))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UnusableError, match=f"{name}: corrupt or replaced"):
        open_runner(folder, Serving())


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UnusableError, match=f"{name}: "):
        open_runner(folder, Serving())


def test_graphs_without_hashes_are_refused(folder: Path) -> None:
    """Rewritten weights move within their file: a graph that points at the old places must not be served."""
    write_hashes(folder, ["config.json"])
    with pytest.raises(UnusableError, match=r"no hash of model\.safetensors"):
        open_runner(folder, Serving())


@pytest.mark.parametrize("text", ["{", "[]", '{"sha256": []}'])
def test_a_manifest_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "sqe_fast.json").write_text(text)
    with pytest.raises(UnusableError, match=r"sqe_fast\.json: not"):
        open_runner(folder, Serving())


def test_a_hash_of_a_file_elsewhere_is_refused(folder: Path) -> None:
    path = folder / "sqe_fast.json"
    fields = json.loads(path.read_text())
    fields["sha256"]["../passwords"] = "0" * 64
    path.write_text(json.dumps(fields))
    with pytest.raises(UnusableError, match=r"'\.\./passwords' must be"):
        open_runner(folder, Serving())


def _attribute(model: onnx.ModelProto) -> onnx.AttributeProto:
    return model.graph.node.add(op_type="Constant", output=["stray"]).attribute.add(name="value")


PLACES: dict[str, Callable[[onnx.ModelProto], onnx.TensorProto]] = {
    "initializer": lambda model: model.graph.initializer[0],
    "sparse initializer": lambda model: model.graph.sparse_initializer.add().values,
    "constant": lambda model: _attribute(model).t,
    "list of constants": lambda model: _attribute(model).tensors.add(),
    "sparse constant": lambda model: _attribute(model).sparse_tensor.indices,
    "subgraph": lambda model: _attribute(model).g.initializer.add(),
    "list of subgraphs": lambda model: _attribute(model).graphs.add().initializer.add(),
    "function": lambda model: model.functions.add().node.add().attribute.add().t,
    "training": lambda model: model.training_info.add().algorithm.initializer.add(),
}
"""Where a graph may hold a tensor."""


@pytest.mark.parametrize(
    ("place", "location"),
    [
        *((place, "other.bin") for place in PLACES),
        ("initializer", "../model.safetensors"),
        ("initializer", "/etc/passwd"),
    ],
)
def test_external_data_elsewhere_is_refused_by_name(folder: Path, place: str, location: str) -> None:
    path = folder / "decoder.onnx"
    model = onnx.load(path, load_external_data=False)
    tensor = PLACES[place](model)
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    write_hashes(folder, FILES)
    with pytest.raises(UnusableError, match=f"not in '{location}'"):
        open_runner(folder, Serving())


@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x3a\xff\xff\xff\xff\x0f"])
def test_a_graph_that_is_none_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / "encoder.onnx").write_bytes(content)
    write_hashes(folder, FILES)
    with pytest.raises(UnusableError, match=r"encoder\.onnx"):
        open_runner(folder, Serving())


@pytest.mark.parametrize("graph", ["decoder.onnx", "verifier.onnx"])
def test_a_graph_of_another_version_is_refused_and_told_how_to_renew(folder: Path, graph: str) -> None:
    """A folder exported before, whose hashes are right and whose graph takes other inputs. The verifier is opened when
    it is needed."""
    path = folder / graph
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.input:
        entry.name = entry.name.replace("readers", "rows")
    for node in model.graph.node:
        node.input[:] = ["rows" if name == "readers" else name for name in node.input]
    path.write_bytes(model.SerializeToString())
    write_hashes(folder, FILES)
    with pytest.raises(UnusableError, match=rf"{graph}: written for another version.*run `sqe export .*` again"):
        open_runner(folder, Serving()).decode([SlotStep(0, 1, (3, 4))])


# --- a GPU ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["auto", "cpu", "torch-cpu"])
def test_another_encoder_is_a_choice_on_a_gpu_only(exported: Path, device: str) -> None:
    with pytest.raises(UnusableError, match="on device cuda only"):
        open_runner(exported, Serving(device=device, encoder="onnx"))


def test_a_precision_is_what_was_asked_or_refused(exported: Path) -> None:
    """Half precision asked for on a CPU and single given; a GPU's choice that reaches nothing."""
    for device in ("auto", "cpu", "torch-cpu"):
        with pytest.raises(UnusableError, match="needs cuda"):
            Serving(device, precision="fp16")
        assert dtype_of(Serving(device, precision="fp32"), exported) == torch.float32
    expected = {"auto": torch.float16, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    assert {name: dtype_of(Serving("cuda:1", precision=name), exported) for name in expected} == expected


def test_a_gpu_computes_in_single_precision_only_where_it_is_asked_to(tmp_path: Path) -> None:
    """Without tensor cores, and nothing said so."""
    save_checkpoint(small_model(), tmp_path, torch.float32)
    assert dtype_of(Serving("cuda", precision="fp32"), tmp_path) == torch.float32
    with pytest.raises(UnusableError, match=r"stored in fp32.*choose precision bf16"):
        dtype_of(Serving("cuda"), tmp_path)


def test_an_onnx_encoder_that_would_run_on_the_cpu_is_refused(exported: Path) -> None:
    """ONNX Runtime falls back to the CPU with only a line in its log."""
    with pytest.raises(UnusableError, match="CUDAExecutionProvider; this onnxruntime"):
        OnnxEncoder(exported, torch.device("cpu"), torch.float32, 0)


def test_an_onnx_encoder_whose_provider_did_not_load_is_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime-gpu without its CUDA libraries lists the provider and leaves it out of the session."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, providers: real(path))
    with pytest.raises(UnusableError, match="CUDAExecutionProvider did not load"):
        OnnxEncoder(exported, torch.device("cpu"), torch.float32, 0)


def test_unknown_operators_and_encoders_are_refused(exported: Path) -> None:
    with pytest.raises(UnusableError, match="are unknown"):
        TorchRunner(exported, Serving("torch-cpu", slots=1, max_length=16), operators="cutlass")
    for arguments in ({"encoder": "tflite"}, {"precision": "int3"}):
        with pytest.raises(UnusableError, match="is unknown"):
            Serving("cuda", **arguments)


def test_triton_on_a_cpu_is_refused_outside_its_interpreter(exported: Path) -> None:
    code = f"""
from pathlib import Path
from sqe_fast.errors import UnusableError
from sqe_fast.options import Serving
from sqe_fast.runners.torch_runner import TorchRunner
try:
    TorchRunner(Path({str(exported)!r}), Serving("torch-cpu", slots=1, max_length=16), operators="triton")
except UnusableError as error:
    assert "need a GPU" in str(error)
else:
    raise AssertionError("not refused")
"""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], env=environment)


def test_kv_slots_fill_what_a_gpu_has_left() -> None:
    """7B in bfloat16: a position is 2 × 32 × 32 × 128 × 2 bytes = 512 KiB, a slot of 2,048 is 1 GiB."""
    slot = 2048 * kv_bytes_per_token(TextConfig(), "bfloat16")
    assert slot == 1 << 30
    assert slots_that_fit(50 << 30, slot) == 40
    assert slots_that_fit(10 << 40, slot) == 64
    assert slots_that_fit(50 << 30, slot, asked=5) == 5
    for free, asked in ((1 << 30, None), (50 << 30, 41), (-1 << 30, 1)):
        with pytest.raises(UnusableError, match=r"MiB of the 80% that may be used: .* a smaller max_length"):
            slots_that_fit(free, slot, asked)


@pytest.mark.parametrize(("gigabytes", "least"), [(22.5, 16), (79.0, 200)])
def test_short_slots_serve_many_short_clips(gigabytes: float, least: int) -> None:
    """Of 400 positions, by a 7B on cards of 24 and 80 GB. Slots of 2,048 would leave 5 and
    50."""
    seven = Qwen2AudioConfig(
        AudioConfig(), TextConfig(vocab_size=156_032, layers=32, feed_forward=11_008, max_positions=8_192), 1
    )
    free = int(gigabytes * 2**30) - _bytes(_hollow(seven, Serving("cuda")), torch.bfloat16)
    slot = _slot_bytes(seven, Serving("cuda", max_length=448), torch.bfloat16)
    assert slots_that_fit(free, slot, asked=least) == least


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What torch says of a GPU that is not there: an H100 until a test says otherwise. Nothing may be loaded."""
    found = SimpleNamespace(free=80 << 30, major=9, minor=0, shared_memory_per_block_optin=227 << 10)
    gpu._of_gpu.cache_clear()
    for name, answer in {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
        "get_device_properties": lambda _: found,
        "mem_get_info": lambda _: (found.free, 80 << 30),
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)

    def load(*_: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(torch_runner, "load_checkpoint", load)
    return found


def test_a_gpu_that_is_too_old_is_refused_before_anything_is_loaded(card: SimpleNamespace, exported: Path) -> None:
    """It was said by the first clip, when 17 GB had been loaded."""
    card.major, card.minor = 7, 5
    with pytest.raises(UnusableError, match=r"compute capability 8\.0 or newer; this GPU has 7\.5"):
        open_runner(exported, Serving("cuda"))


@pytest.mark.parametrize("slots", [None, 4])
def test_a_gpu_that_is_too_small_is_refused_before_anything_is_loaded(
    card: SimpleNamespace, exported: Path, slots: int | None
) -> None:
    """By the weights and a slot: torch's own OutOfMemoryError came after the loading, and is no UnusableError. 128
    positions of 2 · 3 · 2 · 16 · 2 bytes are 48 KiB a slot, 60 KiB with what a GPU keeps free."""
    weights = sum(tensor.numel() for tensor in load_checkpoint(exported)[0].state_dict().values()) * 2
    wanted = (slots or 1) * 61_440
    card.free = weights + wanted + 1
    with pytest.raises(AssertionError, match="weights were loaded"):
        open_runner(exported, Serving("cuda", slots, max_length=128))
    card.free = weights + wanted - 2
    with pytest.raises(UnusableError, match="beside the weights the GPU has"):
        open_runner(exported, Serving("cuda", slots, max_length=128))


def test_the_exported_encoder_takes_its_memory_before_the_slots_do(
    card: SimpleNamespace, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slots took four fifths of the memory, then came a session of 2.5 GB; and the other encoder lay there as well. The
    session is bound to the runner's GPU, and its arena bounded."""
    order: list[str] = []
    options: dict[str, int] = {}
    moved: list[nn.Module] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (order.append("free?"), (card.free, card.free))[1])
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda.nvtx, "range", lambda _: nullcontext())
    monkeypatch.setattr(torch_runner, "load_checkpoint", load_checkpoint)
    monkeypatch.setattr(torch_runner, "decode_step", lambda *_: None)
    monkeypatch.setattr(nn.Module, "to", lambda module, *_: (moved.append(module), module)[1])

    def session(path: str, providers: list[tuple[str, dict[str, int]]]) -> SimpleNamespace:
        order.append("session")
        options.update(providers[0][1])
        return SimpleNamespace(get_providers=lambda: ["CUDAExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    open_runner(exported, Serving("cuda", encoder="onnx", max_length=128))
    assert order == ["free?", "session", "free?"]
    assert [type(module) for module in moved] == [Qwen2Decoder]
    assert options["device_id"] == 0
    assert 1 << 30 < options["gpu_mem_limit"] < 2 << 30


def test_a_gpu_computes_in_the_dtype_that_is_stored(exported: Path) -> None:
    assert load_checkpoint(exported, None)[0].decoder.head.weight.dtype == torch.float16
    assert stored_dtype(exported) == torch.float16


def test_the_stored_dtype_of_a_folder_without_a_head_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnusableError, match=r"model\.safetensors: holds no language_model\.lm_head"):
        stored_dtype(folder)
