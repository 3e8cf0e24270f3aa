"""decoder.onnx: tokens and audio embeddings → what is asked after each row's last token: logits of candidates, or the
best tokens. Keys and values are written into the caller's KV memory. The torch twin is model/decoder.py.

verifier.onnx: the same for several tokens of each slot at once, which may be drafts, so it can be asked after each.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from sqe_fast.checkpoint.config import Qwen2AudioConfig, TextConfig
from sqe_fast.export.graph import MICROSOFT, Dimension, Graph, StoredTensor
from sqe_fast.runners.base import VERIFIED

HEAD = "language_model.lm_head.weight"


def decoder_graph(config: Qwen2AudioConfig, tensors: dict[str, StoredTensor], *, int8: bool = False) -> ModelProto:
    """Inputs, all shapes dynamic: input_ids [batch, time] int64; audio [clips' tokens, hidden] float32, at least one
    row, whose k-th replaces the k-th audio token; seqlens_k [batch] int32, positions of each row after this step less
    one; total_length int32, the longest of them; readers [readers] int64, the rows that read candidates [readers,
    count] int64 (−1 fills a list up, its logit means nothing); writers [writers] int64, the rows that want the best
    top_count [1] int64 tokens; past_key_i and past_value_i [batch, kv_heads, max_length, head_dim]. Either of readers
    and writers may be empty: then nothing is computed for it.

    Outputs: candidate_logits [readers, count], top_tokens [writers, top_count] int64, top_logprobs [writers,
    top_count], present_key_i and present_value_i, which must be the same memory as past_key_i and past_value_i.
    """
    g = Graph("decoder", tensors, int8=int8)
    text = config.text
    ids = g.input("input_ids", TensorProto.INT64, ["batch", "time"])
    audio = g.input("audio", TensorProto.FLOAT, ["audio_tokens", text.hidden_size])
    lengths = [
        g.input("seqlens_k", TensorProto.INT32, ["batch"]),
        g.input("total_length", TensorProto.INT32, []),
    ]
    attention = _Attention(g, text, ids, [*lengths, *_rotary_tables(g, text)])

    return _decoder(g, config, _embed(g, config, ids, audio), attention)


def verifier_graph(config: Qwen2AudioConfig, tensors: dict[str, StoredTensor], *, int8: bool = False) -> ModelProto:
    """Text tokens of several slots, at most `VERIFIED` of each, as rows end to end: input_ids [rows] int64.

    Attention takes turns: turn t is one decode step of the t-th token of each slot, so its arithmetic is a decode
    step's, bit for bit; matrix products take all rows at once. Inputs of turn t: places_t [batch_t, 1] int64, the rows
    whose tokens take part; seqlens_k_t [batch_t] int32, their positions; past_key_i_t and past_value_i_t, the memory of
    batch_t slots. A slot that has no t-th token repeats its last one, which writes again what is there. order
    [rows] int64: where, among the turns' rows one turn after the other, each row's attention stands. asked [asked]
    int64: the rows that anything is asked of, at least one; readers and writers count among these. total_length,
    candidates, top_count and the outputs are as in `decoder_graph`, of each turn its own present_key_i_t and
    present_value_i_t.
    """
    g = Graph("verifier", tensors, int8=int8)
    ids = g.input("input_ids", TensorProto.INT64, ["rows"])
    rows = g.op("Gather", [g.stored("language_model.model.embed_tokens.weight"), ids], axis=0)
    return _decoder(g, config, g.op("Cast", [rows], to=TensorProto.FLOAT), _Turns(g, config.text))


def _decoder(g: Graph, config: Qwen2AudioConfig, x: str, attention: _Attention | _Turns) -> ModelProto:
    """From the first layer's input [rows, hidden] on."""
    text = config.text
    for index in range(text.layers):
        x = _layer(g, text, x, index, attention)
    x = _rms_norm(g, text, x, "language_model.model.norm")
    _read(g, x)
    _write(g, x)
    return g.model()


def _embed(g: Graph, config: Qwen2AudioConfig, ids: str, audio: str) -> str:
    """[batch · time, hidden]: the embedding table's rows, or the audio embeddings' in their order."""
    flat = g.op("Reshape", [ids, g.integers(-1)])
    rows = g.op("Gather", [g.stored("language_model.model.embed_tokens.weight"), flat], axis=0)
    rows = g.op("Cast", [rows], to=TensorProto.FLOAT)
    is_audio = g.op("Equal", [flat, g.integers(config.audio_token_id)])
    count = g.op("CumSum", [g.op("Cast", [is_audio], to=TensorProto.INT64), g.constant(np.array(0, np.int64))])
    index = g.op("Max", [g.op("Sub", [count, g.integers(1)]), g.integers(0)])
    chosen = g.op("Gather", [audio, g.op("Mul", [index, g.op("Cast", [is_audio], to=TensorProto.INT64)])], axis=0)
    return g.op("Where", [g.op("Unsqueeze", [is_audio, g.integers(1)]), chosen, rows])


def _layer(g: Graph, text: TextConfig, x: str, index: int, attention: _Attention | _Turns) -> str:
    name = f"language_model.model.layers.{index}"
    attended = attention(_rms_norm(g, text, x, f"{name}.input_layernorm"), index)
    if index == text.layers - 1:  # from here on only rows that something is asked of are looked at
        attended, x = attention.asked(attended), attention.asked(x)
    x = g.op("Add", [x, g.linear(attended, [f"{name}.self_attn.o_proj.weight"])])
    hidden = _rms_norm(g, text, x, f"{name}.post_attention_layernorm")
    both = g.linear(hidden, [f"{name}.mlp.gate_proj.weight", f"{name}.mlp.up_proj.weight"])
    gate, up = g.split(both, [text.feed_forward] * 2, axis=1)
    silu = g.op("QuickGelu", [gate], domain=MICROSOFT, alpha=1.0)  # x · sigmoid(x)
    return g.op("Add", [x, g.linear(g.op("Mul", [silu, up]), [f"{name}.mlp.down_proj.weight"])])


class _Attention:
    """Grouped-query attention over the KV memory, rotary embedding included."""

    def __init__(self, g: Graph, text: TextConfig, ids: str, lengths_and_tables: list[str]) -> None:
        self._g, self._text, self._shared = g, text, lengths_and_tables
        self._batch_and_time = g.op("Shape", [ids])

    def __call__(self, x: str, index: int) -> str:
        """x [batch · time, hidden] → [batch · time, heads · head_dim], before the output projection."""
        qkv = self._rows(_qkv(self._g, x, index))
        return _flat(self._g, self._text, _attended(self._g, self._text, qkv, str(index), "batch", self._shared))

    def asked(self, x: str) -> str:
        """The last position of each row: [batch · time, width] → [batch, width]"""
        return self._g.op("Gather", [self._rows(x), self._g.constant(np.array(-1, np.int64))], axis=1)

    def _rows(self, x: str) -> str:
        """[batch · time, width] → [batch, time, width]"""
        g = self._g
        return g.op("Reshape", [x, g.op("Concat", [self._batch_and_time, g.integers(-1)], axis=0)])


class _Turns:
    """Attention of several tokens of each slot, one turn after the other."""

    def __init__(self, g: Graph, text: TextConfig) -> None:
        self._g, self._text = g, text
        turns = range(VERIFIED)
        self._places = [g.input(f"places_{turn}", TensorProto.INT64, [f"batch_{turn}", "one"]) for turn in turns]
        lengths = [g.input(f"seqlens_k_{turn}", TensorProto.INT32, [f"batch_{turn}"]) for turn in turns]
        total, tables = g.input("total_length", TensorProto.INT32, []), _rotary_tables(g, text)
        self._shared = [[length, total, *tables] for length in lengths]
        self._order = g.input("order", TensorProto.INT64, ["rows"])
        self._asked = g.input("asked", TensorProto.INT64, ["asked"])

    def __call__(self, x: str, index: int) -> str:
        """x [rows, hidden] → [rows, heads · head_dim], before the output projection."""
        g, qkv = self._g, _qkv(self._g, x, index)
        turns: list[str] = []
        for turn, (places, shared) in enumerate(zip(self._places, self._shared, strict=True)):
            if turns:
                # The runtime does not know that all turns share their memory. Times one, the length of the turn before,
                # so that this one waits for it.
                places = g.op("Mul", [places, g.op("Shape", [turns[-1]], start=1, end=2)])
            own = g.op("Gather", [qkv, places], axis=0)
            turns.append(_attended(g, self._text, own, f"{index}_{turn}", f"batch_{turn}", shared))
        return _flat(g, self._text, g.op("Gather", [g.op("Concat", turns, axis=0), self._order], axis=0))

    def asked(self, x: str) -> str:
        """[rows, width] → [asked, width]"""
        return self._g.op("Gather", [x, self._asked], axis=0)


def _qkv(g: Graph, x: str, index: int) -> str:
    name = f"language_model.model.layers.{index}.self_attn"
    weights, biases = ([f"{name}.{part}_proj.{kind}" for part in "qkv"] for kind in ("weight", "bias"))
    return g.linear(x, weights, biases)


def _attended(g: Graph, text: TextConfig, qkv: str, name: str, batch: str, shared: list[str]) -> str:
    """qkv [batch, time, ·] → [batch, time, heads · head_dim]. `name` tells its share of the KV memory; `shared` is
    seqlens_k, total_length, cos and sin."""
    memory: list[Dimension] = [batch, text.kv_heads, "max_length", text.head_dim]
    past = [g.input(f"past_{kind}_{name}", TensorProto.FLOAT, memory) for kind in ("key", "value")]
    attended = g.op(
        "GroupQueryAttention",
        [qkv, "", "", *past, *shared],
        outputs=[f"attended_{name}", f"present_key_{name}", f"present_value_{name}"],
        domain=MICROSOFT,
        num_heads=text.heads,
        kv_num_heads=text.kv_heads,
        do_rotary=1,
    )
    for kind in ("key", "value"):
        g.declare_output(f"present_{kind}_{name}", TensorProto.FLOAT, memory)
    return attended


def _flat(g: Graph, text: TextConfig, x: str) -> str:
    """[batch, time, heads · head_dim] → [batch · time, heads · head_dim]"""
    return g.op("Reshape", [x, g.integers(-1, text.heads * text.head_dim)])


def _rms_norm(g: Graph, text: TextConfig, x: str, name: str) -> str:
    return g.op("SimplifiedLayerNormalization", [x, g.weight(f"{name}.weight")], epsilon=text.rms_norm_eps)


def _rotary_tables(g: Graph, text: TextConfig) -> list[str]:
    """cos and sin [max_positions, head_dim / 2]: computed when the graph is loaded, so that the file stays small."""
    exponents = np.arange(0, text.head_dim, 2, dtype=np.float32) / np.float32(text.head_dim)
    frequencies = (1.0 / np.power(np.float32(text.rope_theta), exponents)).astype(np.float32)
    start, stop, step = (g.constant(np.array(value, np.float32)) for value in (0, text.max_positions, 1))
    positions = g.op("Unsqueeze", [g.op("Range", [start, stop, step]), g.integers(1)])
    angles = g.op("Mul", [positions, g.constant(frequencies[None])])
    return [g.op("Cos", [angles]), g.op("Sin", [angles])]


def _read(g: Graph, x: str) -> None:
    """Logits of the readers' candidates, from their rows of the head alone: x [batch, hidden] after the final norm.

    As products and their sum: a matrix product's order of summation depends on how many candidates there are, and so
    on other rows' lists.
    """
    readers = g.input("readers", TensorProto.INT64, ["readers"])
    candidates = g.input("candidates", TensorProto.INT64, ["readers", "count"])
    hidden = g.op("Unsqueeze", [g.op("Gather", [x, readers], axis=0), g.integers(1)])
    head = g.op("Cast", [g.op("Gather", [g.stored(HEAD), candidates], axis=0)], to=TensorProto.FLOAT)
    logits = g.op("ReduceSum", [g.op("Mul", [hidden, head]), g.integers(-1)], keepdims=0)
    g.output(logits, "candidate_logits", TensorProto.FLOAT, ["readers", "count"])


def _write(g: Graph, x: str) -> None:
    """The best tokens of the writers, over the whole head."""
    writers = g.input("writers", TensorProto.INT64, ["writers"])
    count = g.input("top_count", TensorProto.INT64, [1])
    logprobs = g.op("LogSoftmax", [g.linear(g.op("Gather", [x, writers], axis=0), [HEAD], exact=True)], axis=-1)
    g.op("TopK", [logprobs, count], outputs=["top_logprobs", "top_tokens"], axis=-1)
    g.declare_output("top_tokens", TensorProto.INT64, ["writers", "top_count"])
    g.declare_output("top_logprobs", TensorProto.FLOAT, ["writers", "top_count"])
