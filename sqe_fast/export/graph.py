"""A small builder of ONNX graphs whose weights stay where they are: in the checkpoint's model.safetensors.

Each weight is an initialiser with external data: the byte range of its tensor in the safetensors file. Casts to
float32 and concatenations of weights are nodes over initialisers, which ONNX Runtime folds once, when it loads.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from sqe_fast.checkpoint.files import WEIGHTS_FILE
from sqe_fast.errors import UnusableError

OPSET = 20  # the first with Gelu
IR_VERSION = 10
MICROSOFT = "com.microsoft"
"""ONNX Runtime's own operators."""

BLOCK, STEPS, ZERO_POINT = 16, 127, 128
"""In 8 bits: how many weights, or activations of a row, share a scale, and how weights are stored: symmetric levels
around the zero point that ONNX Runtime takes where none is given. Whisper's encoder has a few channels far larger than
their neighbours, which in blocks of 32 cost these their digits: of 60 clips a rating moved by 0.18, in blocks of 16
(of the encoder alone) by 0.05."""

_DTYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}

Dimension = int | str


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies in model.safetensors: bytes from the start of the file."""

    dtype: int
    shape: tuple[int, ...]
    offset: int
    length: int


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of model.safetensors by name. Raises UnusableError where the file is missing or of another dtype."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise UnusableError(f"{path}: missing; graphs can only point into one single {WEIGHTS_FILE}")
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
    except (struct.error, ValueError) as error:
        raise UnusableError(f"{path}: not readable safetensors ({error})") from error
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise UnusableError(f"{path}: {name} is {entry['dtype']}; graphs need {', '.join(_DTYPES)}")
        begin, end = entry["data_offsets"]
        tensors[name] = StoredTensor(_DTYPES[entry["dtype"]], tuple(entry["shape"]), 8 + size + begin, end - begin)
    return tensors


class Graph:
    """Nodes in the order in which they were added; a value is known by its name."""

    def __init__(self, name: str, tensors: dict[str, StoredTensor], *, int8: bool = False) -> None:
        """With `int8`, `linear` multiplies in 8 bits, unless it is to be `exact`."""
        self.name = name
        self._tensors = tensors
        self._int8 = int8
        self._nodes: list[Any] = []
        self._initializers: list[TensorProto] = []
        self._known: set[str] = set()
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: int, shape: Sequence[Dimension]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: int, shape: Sequence[Dimension]) -> None:
        """Give `value` a public name."""
        self.op("Identity", [value], outputs=[name])
        self.declare_output(name, dtype, shape)

    def declare_output(self, name: str, dtype: int, shape: Sequence[Dimension]) -> None:
        """For an output that a node already writes under its public name."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def op(self, kind: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add a node; returns its first output. A kind in `domain=` is ONNX Runtime's own."""
        names = list(outputs) or [f"{kind}_{len(self._nodes)}"]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0]

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        outputs = [f"Split_{len(self._nodes)}_{part}" for part in range(len(sizes))]
        self.op("Split", [value, self.constant(np.array(sizes, np.int64))], outputs=outputs, axis=axis)
        return outputs

    def linear(self, x: str, weights: Sequence[str], biases: Sequence[str | int] = (), *, exact: bool = False) -> str:
        """x [N, in] · concatenated weights [out, in]ᵀ + concatenated biases; a size among them is that many zeros."""
        weight = self._joined([self.weight(name) for name in weights])
        bias = None
        if biases:
            zeros = {size: self.constant(np.zeros(size, np.float32)) for size in biases if isinstance(size, int)}
            bias = self._joined([zeros[b] if isinstance(b, int) else self.weight(b) for b in biases])
        if self._int8 and not exact:
            shapes = [self._tensors[name].shape for name in weights]
            return self._product_int8(x, weight, bias, sum(rows for rows, _ in shapes), shapes[0][1])
        return self.op("Gemm", [x, weight] if bias is None else [x, weight, bias], transB=1)

    def _product_int8(self, x: str, weight: str, bias: str | None, rows: int, columns: int) -> str:
        """Weights [rows, columns] in blocks of `BLOCK` columns, each with a scale by its largest; rows of x are rounded
        by the same blocks, so none depends on another. All that is done to weights is done once, at load."""
        blocks = -(-columns // BLOCK)
        if columns % BLOCK:
            weight = self.op("Pad", [weight, self.integers(0, 0, 0, blocks * BLOCK - columns)])
        blocked = self.op("Reshape", [weight, self.integers(rows, blocks, BLOCK)])
        largest = self.op("ReduceMax", [self.op("Abs", [blocked]), self.integers(-1)], keepdims=1)
        steps, one = self.constant(np.array(STEPS, np.float32)), self.constant(np.array(1, np.float32))
        nothing = self.op("Equal", [largest, self.constant(np.array(0, np.float32))])
        scale = self.op("Where", [nothing, one, self.op("Div", [largest, steps])])
        level = self.op("Round", [self.op("Div", [blocked, scale])])
        zero = self.constant(np.array(ZERO_POINT, np.float32))
        stored = self.op("Cast", [self.op("Add", [level, zero])], to=TensorProto.UINT8)
        inputs = [x, stored, self.op("Reshape", [scale, self.integers(rows, blocks)])]
        return self.op(
            "MatMulNBits",
            inputs if bias is None else [*inputs, "", "", bias],
            domain=MICROSOFT,
            N=rows,
            K=columns,
            bits=8,
            block_size=BLOCK,
            accuracy_level=4,
        )

    def _joined(self, values: Sequence[str]) -> str:
        return values[0] if len(values) == 1 else self.op("Concat", values, axis=0)

    def weight(self, name: str) -> str:
        """A stored tensor as float32."""
        stored = self.stored(name)
        if self._tensors[name].dtype == TensorProto.FLOAT:
            return stored
        cast = f"{name}:float32"
        if cast not in self._known:
            self._known.add(cast)
            self.op("Cast", [stored], outputs=[cast], to=TensorProto.FLOAT)
        return cast

    def stored(self, name: str) -> str:
        """A stored tensor in its own dtype."""
        if name in self._known:
            return name
        self._known.add(name)
        where = self._tensors[name]
        tensor = TensorProto(
            name=name, data_type=where.dtype, dims=where.shape, data_location=TensorProto.DataLocation.EXTERNAL
        )
        for key, value in (("location", WEIGHTS_FILE), ("offset", str(where.offset)), ("length", str(where.length))):
            tensor.external_data.add(key=key, value=value)
        self._initializers.append(tensor)
        return name

    def constant(self, array: npt.NDArray[Any]) -> str:
        """A small constant; equal ones are stored once."""
        name = f"constant_{array.dtype}_{list(array.shape)}_{array.tobytes().hex()[:64]}".replace(" ", "")
        if array.nbytes > 32:
            name = f"constant_{len(self._initializers)}"
        if name not in self._known:
            self._known.add(name)
            self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def model(self) -> ModelProto:
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, initializer=self._initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sqe-fast")
