"""Weights on disk: one strict table, Hugging Face's names to ours. Nothing missing, nothing left over, no pickles."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig
from sqe_fast.checkpoint.files import INDEX_FILE, WEIGHTS_FILE
from sqe_fast.errors import UnusableError
from sqe_fast.model.adapter import Adapter

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")

_ENCODER = {
    "conv1.weight": "conv1.weight",
    "conv1.bias": "conv1.bias",
    "conv2.weight": "conv2.weight",
    "conv2.bias": "conv2.bias",
    "embed_positions.weight": "positions",
    "layer_norm.weight": "norm.weight",
    "layer_norm.bias": "norm.bias",
}
_ENCODER_LAYER = {
    "self_attn_layer_norm.weight": "attention_norm.weight",
    "self_attn_layer_norm.bias": "attention_norm.bias",
    "self_attn.q_proj.weight": "q.weight",
    "self_attn.q_proj.bias": "q.bias",
    "self_attn.k_proj.weight": "k.weight",
    "self_attn.v_proj.weight": "v.weight",
    "self_attn.v_proj.bias": "v.bias",
    "self_attn.out_proj.weight": "out.weight",
    "self_attn.out_proj.bias": "out.bias",
    "final_layer_norm.weight": "mlp_norm.weight",
    "final_layer_norm.bias": "mlp_norm.bias",
    "fc1.weight": "fc1.weight",
    "fc1.bias": "fc1.bias",
    "fc2.weight": "fc2.weight",
    "fc2.bias": "fc2.bias",
}
EMBEDDING, HEAD = "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"
_PROJECTOR_AND_DECODER = {
    "multi_modal_projector.linear.weight": "projector.linear.weight",
    "multi_modal_projector.linear.bias": "projector.linear.bias",
    EMBEDDING: "decoder.embed.weight",
    "language_model.model.norm.weight": "decoder.norm.weight",
    HEAD: "decoder.head.weight",
}
_DECODER_LAYER = {
    "input_layernorm.weight": "attention_norm.weight",
    "self_attn.q_proj.weight": "q.weight",
    "self_attn.q_proj.bias": "q.bias",
    "self_attn.k_proj.weight": "k.weight",
    "self_attn.k_proj.bias": "k.bias",
    "self_attn.v_proj.weight": "v.weight",
    "self_attn.v_proj.bias": "v.bias",
    "self_attn.o_proj.weight": "o.weight",
    "post_attention_layernorm.weight": "mlp_norm.weight",
    "mlp.gate_proj.weight": "gate.weight",
    "mlp.up_proj.weight": "up.weight",
    "mlp.down_proj.weight": "down.weight",
}


def encoder_table(config: AudioConfig) -> dict[str, str]:
    """Every tensor of the encoder: Hugging Face's on-disk name → ours within `Encoder`."""
    names = {f"audio_tower.{theirs}": ours for theirs, ours in _ENCODER.items()}
    for index in range(config.layers):
        for theirs, ours in _ENCODER_LAYER.items():
            names[f"audio_tower.layers.{index}.{theirs}"] = f"layers.{index}.{ours}"
    return names


def table(config: Qwen2AudioConfig) -> dict[str, str]:
    """Every tensor of the model: Hugging Face's on-disk name → ours within `Qwen2Audio`."""
    names = {theirs: f"encoder.{ours}" for theirs, ours in encoder_table(config.audio).items()}
    names.update(_PROJECTOR_AND_DECODER)
    for index in range(config.text.layers):
        for theirs, ours in _DECODER_LAYER.items():
            names[f"language_model.model.layers.{index}.{theirs}"] = f"decoder.layers.{index}.{ours}"
    return names


def load(
    model: nn.Module, config: Qwen2AudioConfig, folder: Path, dtype: torch.dtype | None, adapter: Path | None = None
) -> None:
    """Fill `model` (which may be on the meta device) with the folder's weights, a LoRA adapter's folder merged.

    `dtype` None: that of the head as it is stored.

    Raises UnusableError naming the file or tensor: missing, left over, of another shape, not floating point.
    """
    tensors = _read(folder)
    if dtype is None and HEAD in tensors:
        dtype = tensors[HEAD].dtype
    if adapter is not None:
        Adapter.read(adapter).merge(tensors)
    names = table(config)
    _refuse(folder, "tensors are missing", names.keys() - tensors.keys())
    _refuse(folder, "tensors belong to no part of this model", tensors.keys() - names.keys())
    expected = model.state_dict()
    for theirs, ours in names.items():
        tensor = tensors[theirs]
        if tensor.shape != expected[ours].shape:
            raise UnusableError(f"{folder}: {theirs} is {list(tensor.shape)}, not {list(expected[ours].shape)}")
        if not tensor.is_floating_point():
            raise UnusableError(f"{folder}: {theirs} is {tensor.dtype}, not floating point")
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    model.load_state_dict({ours: tensors[theirs].to(dtype) for theirs, ours in names.items()}, assign=True)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)


def stored_dtype(folder: Path) -> torch.dtype:
    """Of the head, by the file's header alone. Raises UnusableError where there is no such tensor or file."""
    path = folder / WEIGHTS_FILE
    if not path.is_file() and (folder / INDEX_FILE).is_file():
        path = folder / str(_weight_map(folder / INDEX_FILE).get(HEAD))
    try:
        with safe_open(path, "pt") as file:
            dtype = file.get_slice(HEAD).get_dtype()
    except (OSError, SafetensorError) as error:
        raise UnusableError(f"{path}: holds no {HEAD} ({error})") from error
    if dtype not in _DTYPES:
        raise UnusableError(f"{path}: {HEAD} is {dtype}, not one of {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def save(model: nn.Module, config: Qwen2AudioConfig, folder: Path, dtype: torch.dtype) -> None:
    """Write model.safetensors under Hugging Face's names, whole or not at all.

    Raises ValueError where a weight is not finite in `dtype`.
    """
    state = model.state_dict()
    tensors = {theirs: state[ours].detach().to("cpu", dtype, copy=True) for theirs, ours in table(config).items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} is not finite in {dtype}")
    partial = folder / f".{WEIGHTS_FILE}.partial"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors makes it private, and a package's files are for all
    os.replace(partial, folder / WEIGHTS_FILE)


def _read(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the shards its index names."""
    if (folder / WEIGHTS_FILE).is_file():
        return _read_file(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).is_file():
        tensors: dict[str, Tensor] = {}
        for shard in sorted(set(_weight_map(folder / INDEX_FILE).values())):
            tensors.update(_read_file(folder / shard))
        return tensors
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise UnusableError(
            f"{folder / pickles[0]}: pickled weights can run code and are refused; convert them to {WEIGHTS_FILE}"
        )
    raise UnusableError(f"{folder}: holds no {WEIGHTS_FILE}")


def _weight_map(index: Path) -> dict[str, str]:
    """Which shard of the same folder each tensor is in."""
    try:
        shards = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableError(f"{index}: not a safetensors index ({error})") from error
    for shard in shards.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise UnusableError(f"{index}: shard {shard!r} must be a .safetensors file in the same folder")
    return shards


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnusableError(f"{path}: not readable safetensors ({error})") from error


def _refuse(folder: Path, what: str, names: set[str]) -> None:
    if names:
        some = ", ".join(sorted(names)[:4])
        raise UnusableError(f"{folder}: {len(names)} {what}: {some}{', …' if len(names) > 4 else ''}")
