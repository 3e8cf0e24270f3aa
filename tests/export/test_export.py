"""Graphs point into the weights, hold none, are the same each time, and are only left behind if they are right."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

import sqe_fast.export.encoder
from sqe_fast.errors import UnusableError
from sqe_fast.export import ParityError, export
from sqe_fast.model.qwen2_audio import save_checkpoint
from sqe_fast.model.weights import table
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from tests.support.small_model import SMALL, save_small, small_model

PLAIN = ("encoder.onnx", "decoder.onnx", "verifier.onnx")
GRAPHS = (*PLAIN, *(name.replace(".onnx", ".int8.onnx") for name in PLAIN))


def test_the_report_states_each_difference(tmp_path: Path) -> None:
    report = export(save_small(tmp_path))
    assert report.parity.passed
    exact, coarse = (
        [each.largest / each.scale for each in report.parity.differences if each.precision == precision]
        for precision in ("fp32", "int8")
    )
    assert len(exact) == len(coarse)
    assert 0 <= max(exact) < 2e-5
    assert 1e-3 < max(coarse) < 0.03
    assert "encoder, 321 frames" in str(report)
    assert "decode 4, candidates" in str(report)
    assert "verify 4, best" in str(report)
    assert report.graph_bytes == {name: (tmp_path / name).stat().st_size for name in GRAPHS}


def test_every_weight_is_pointed_at_and_none_is_copied(tmp_path: Path) -> None:
    export(save_small(tmp_path))
    pointed = set()
    for name in GRAPHS:
        model = onnx.load(tmp_path / name, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                pointed.add(tensor.name)
            else:
                assert tensor.ByteSize() < 1024, tensor.name
    assert pointed == set(table(SMALL))


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        export(save_small(tmp_path / name))
    for name in GRAPHS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_new_weights_are_exported_over_old_ones(tmp_path: Path) -> None:
    """The hashes of an earlier export are stale by then."""
    export(save_small(tmp_path, seed=1))
    export(save_small(tmp_path, seed=2))
    assert open_runner(tmp_path, Serving()).info.name == "onnx-cpu"


def test_the_cards_own_fields_are_kept(tmp_path: Path) -> None:
    save_small(tmp_path)
    (tmp_path / "sqe_fast.json").write_text(json.dumps({"name": "small", "template": "numbers-first"}))
    export(tmp_path)
    fields = json.loads((tmp_path / "sqe_fast.json").read_text())
    assert (fields["name"], fields["template"]) == ("small", "numbers-first")
    assert set(fields["sha256"]) == {"config.json", "model.safetensors", *GRAPHS}


def test_full_precision_weights_export_too(tmp_path: Path) -> None:
    save_checkpoint(small_model(), tmp_path, torch.float32)
    assert export(tmp_path).parity.passed


def test_a_wrong_graph_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqe_fast.export.encoder, "LAYER_NORM_EPS", 1e-2)
    with pytest.raises(ParityError, match=r"encoder, 50 frames.*ABOVE"):
        export(save_small(tmp_path))
    assert not any((tmp_path / name).exists() for name in GRAPHS)
    with pytest.raises(UnusableError, match=r"encoder\.onnx: missing"):
        open_runner(tmp_path, Serving())


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    save_small(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    fields["text_config"]["num_hidden_layers"] = 4
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(UnusableError, match=r"layers\.3"):
        export(tmp_path)
    assert not (tmp_path / "sqe_fast.json").exists()
