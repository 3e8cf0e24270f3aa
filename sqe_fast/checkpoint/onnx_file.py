"""Where an .onnx file keeps its weights, read from its protobuf bytes: the `onnx` package is no run-time dependency.

ONNX Runtime would follow any path it finds there. Ours must all be model.safetensors, beside the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqe_fast.errors import UnusableError

# message → field number → message inside: every way from a model to its external data (onnx.proto3)
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_external_data(path: Path, expected: str) -> None:
    """Raises UnusableError where `path` is not protobuf, or any of its tensors lies in another file than `expected`."""
    try:
        locations = set(_locations(memoryview(path.read_bytes()), "model"))
    except (IndexError, ValueError) as error:
        raise UnusableError(f"{path}: not an ONNX file ({error})") from error
    for location in sorted(locations - {expected}):
        raise UnusableError(f"{path}: its weights must lie in {expected} beside it, not in {location!r}")


def _locations(data: memoryview, message: str) -> Iterator[str]:
    if message == "entry":  # StringStringEntryProto: 1 key, 2 value
        fields = {number: bytes(value).decode() for number, value in _fields(data)}
        if fields.get(1) == "location":
            yield fields.get(2, "")
        return
    children = _CHILDREN[message]
    for number, value in _fields(data):
        if number in children:
            yield from _locations(value, children[number])


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each length-delimited field."""
    offset = 0
    while offset < len(data):
        tag, offset = _varint(data, offset)
        kind = tag & 7
        if kind == _VARINT:
            _, offset = _varint(data, offset)
        elif kind in (_FIXED64, _FIXED32):
            offset += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            size, offset = _varint(data, offset)
            if offset + size > len(data):
                raise ValueError("a field is cut off")
            yield tag >> 3, data[offset : offset + size]
            offset += size
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
