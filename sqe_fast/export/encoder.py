"""encoder.onnx: one clip's log-mel at its true length → audio embeddings. The torch twin is model/encoder.py."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from sqe_fast.checkpoint.config import MEL_PER_POSITION, POSITIONS_PER_TOKEN, Qwen2AudioConfig
from sqe_fast.export.graph import MICROSOFT, Graph, StoredTensor
from sqe_fast.model.encoder import LAYER_NORM_EPS


def encoder_graph(config: Qwen2AudioConfig, tensors: dict[str, StoredTensor], *, int8: bool = False) -> ModelProto:
    """Inputs: mel [n_mels, columns] float32, frames [1] int64. Output: audio [tokens, hidden] float32."""
    g = Graph("encoder", tensors, int8=int8)
    audio = config.audio
    mel = g.input("mel", TensorProto.FLOAT, [audio.n_mels, "columns"])
    frames = g.input("frames", TensorProto.INT64, [1])
    one = g.integers(1)
    positions = g.op("Add", [g.op("Div", [g.op("Sub", [frames, one]), g.integers(MEL_PER_POSITION)]), one])

    x = g.op("Unsqueeze", [mel, g.integers(0)])
    x = g.op("Gelu", [_convolution(g, x, "audio_tower.conv1", stride=1)])
    x = g.op("Gelu", [_convolution(g, x, "audio_tower.conv2", stride=MEL_PER_POSITION)])
    x = g.op("Transpose", [g.op("Squeeze", [x, g.integers(0)])], perm=[1, 0])
    x = _first(g, x, positions)
    x = g.op("Add", [x, _first(g, g.weight("audio_tower.embed_positions.weight"), positions)])
    for index in range(audio.layers):
        x = _layer(g, x, f"audio_tower.layers.{index}", config)
    x = _pool(g, x, positions, audio.width)
    x = _norm(g, x, "audio_tower.layer_norm")
    projector = "multi_modal_projector.linear"
    x = g.linear(x, [f"{projector}.weight"], [f"{projector}.bias"])
    g.output(x, "audio", TensorProto.FLOAT, ["tokens", config.text.hidden_size])
    return g.model()


def _convolution(g: Graph, x: str, name: str, *, stride: int) -> str:
    weights = [x, g.weight(f"{name}.weight"), g.weight(f"{name}.bias")]
    return g.op("Conv", weights, kernel_shape=[3], strides=[stride], pads=[1, 1])


def _first(g: Graph, x: str, count: str) -> str:
    """The first `count` rows."""
    return g.op("Slice", [x, g.integers(0), count, g.integers(0)])


def _norm(g: Graph, x: str, name: str) -> str:
    return g.op("LayerNormalization", [x, g.weight(f"{name}.weight"), g.weight(f"{name}.bias")], epsilon=LAYER_NORM_EPS)


def _layer(g: Graph, x: str, name: str, config: Qwen2AudioConfig) -> str:
    attended = _attention(g, _norm(g, x, f"{name}.self_attn_layer_norm"), f"{name}.self_attn", config)
    x = g.op("Add", [x, attended])
    hidden = _norm(g, x, f"{name}.final_layer_norm")
    hidden = g.op("Gelu", [g.linear(hidden, [f"{name}.fc1.weight"], [f"{name}.fc1.bias"])])
    return g.op("Add", [x, g.linear(hidden, [f"{name}.fc2.weight"], [f"{name}.fc2.bias"])])


def _attention(g: Graph, x: str, name: str, config: Qwen2AudioConfig) -> str:
    width = config.audio.width
    weights = [f"{name}.{part}_proj.weight" for part in "qkv"]
    qkv = g.linear(x, weights, [f"{name}.q_proj.bias", width, f"{name}.v_proj.bias"])  # keys have no bias
    batch = g.integers(0)
    q, k, v = (g.op("Unsqueeze", [part, batch]) for part in g.split(qkv, [width] * 3, axis=1))
    attended = g.op("MultiHeadAttention", [q, k, v], domain=MICROSOFT, num_heads=config.audio.heads)
    attended = g.op("Squeeze", [attended, batch])
    return g.linear(attended, [f"{name}.out_proj.weight"], [f"{name}.out_proj.bias"])


def _pool(g: Graph, x: str, positions: str, width: int) -> str:
    """Mean of each pair of rows; an odd last row is dropped."""
    pairs = g.op("Mul", [g.op("Div", [positions, g.integers(POSITIONS_PER_TOKEN)]), g.integers(POSITIONS_PER_TOKEN)])
    x = g.op("Reshape", [_first(g, x, pairs), g.constant(np.array([-1, POSITIONS_PER_TOKEN, width], np.int64))])
    return g.op("ReduceMean", [x, g.integers(1)], keepdims=0)
