"""Checkpoint files: whole or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2AudioForConditionalGeneration

from sqe_fast.errors import UnusableError
from sqe_fast.model.qwen2_audio import load_checkpoint, save_checkpoint
from tests.support.small_model import save_small, small_model

HEAD = "language_model.lm_head.weight"


def rewrite(folder: Path, change: dict[str, torch.Tensor | None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in change.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors")


def test_a_round_trip_keeps_every_weight(tmp_path: Path) -> None:
    model = small_model()
    save_checkpoint(model, tmp_path, torch.float32)
    loaded, config = load_checkpoint(tmp_path)
    assert config == model.config
    expected = model.state_dict()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert not loaded.training
    assert not loaded.encoder.positions.requires_grad
    assert loaded.decoder.head.weight.requires_grad


def test_half_precision_is_the_default(tmp_path: Path) -> None:
    save_small(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}


def test_tied_weights_are_stored_twice(tmp_path: Path) -> None:
    """Hugging Face's loader would leave the head random."""
    model = small_model()
    model.decoder.head.weight = model.decoder.embed.weight
    save_checkpoint(model, tmp_path, torch.float32)
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(tensors[HEAD], tensors["language_model.model.embed_tokens.weight"])


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (save_small(tmp_path / name) / "model.safetensors" for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({HEAD: None}, "1 tensors are missing: language_model.lm_head.weight"),
        ({"audio_tower.layers.9.fc1.bias": torch.zeros(2)}, "belong to no part of this model: audio_tower.layers.9"),
        ({HEAD: torch.zeros(3, 4)}, r"lm_head.weight is \[3, 4\]"),
        ({"audio_tower.conv1.bias": torch.zeros(48, dtype=torch.int8)}, "conv1.bias is torch.int8"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    rewrite(save_small(tmp_path), change)
    with pytest.raises(UnusableError, match=message):
        load_checkpoint(tmp_path)


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    save_small(tmp_path / "one")
    theirs = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "one")
    theirs.save_pretrained(tmp_path / "many", max_shard_size="100KB")
    assert not (tmp_path / "many" / "model.safetensors").exists()
    one, many = (load_checkpoint(tmp_path / name)[0].state_dict() for name in ("one", "many"))
    assert all(torch.equal(one[name], many[name]) for name in one)


def test_a_shard_elsewhere_is_refused(tmp_path: Path) -> None:
    save_small(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path.parent / "stray.safetensors")
    index = {"weight_map": {HEAD: "../stray.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UnusableError, match=r"\.\./stray"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    save_small(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / name)
    with pytest.raises(UnusableError, match=f"{name}: pickled"):
        load_checkpoint(tmp_path)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = save_small(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnusableError, match=r"model\.safetensors: not readable"):
        load_checkpoint(tmp_path)


def test_no_weights_are_refused(tmp_path: Path) -> None:
    (save_small(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(UnusableError, match=r"holds no model\.safetensors"):
        load_checkpoint(tmp_path)


def test_a_weight_beyond_half_precision_is_not_saved_as_infinity(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.decoder.head.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="lm_head"):
        save_checkpoint(model, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
