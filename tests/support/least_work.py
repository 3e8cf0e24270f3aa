"""What each operator has to do at least: multiply-adds, and bytes between a GPU and its memory. By count, not measured.

Assumed of the least bytes: every input is read once and every result written once, and whatever lies between the two
stays on the chip. A KV cache counts as far as it is held, a table of positions or the head of a read-out as far as it
is used. Norms, softmax and GELU cost no multiply-adds here: beside the matrix products they are few.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from tests.support.operator_calls import Call


class Work(NamedTuple):
    products: int  # multiply-adds; twice as many FLOPs
    bytes: int


def least_work(call: Call, held: int) -> Work:
    """`held`: positions in each slot before a decode step."""
    return Work(_products(call, held), _bytes(call, held))


def _products(call: Call, held: int) -> int:
    a = call.arguments
    rows, width = a[0].shape
    if call.weights:
        rows = len(a[1]) if call.operator == "pool_norm_linear" else rows
        return rows * width * sum(len(weight) for weight in call.weights)
    if call.operator == "conv_stem":
        columns = int(a[1].numel())
        return a[4].weight.numel() * columns + a[5].weight.numel() * len(a[2])
    if call.operator == "packed_attention":
        return 2 * width * sum(length * length for length in a[4])
    if call.operator == "prefill_attention":
        seen = (range(past + 1, past + count + 1) for _, past, count in a[7])
        return 2 * width * sum(map(sum, seen))
    if call.operator == "decode_attention":
        return 2 * width * rows * (held + 1)
    assert call.operator == "read_out", call.operator
    return a[3].numel() * width


def _bytes(call: Call, held: int) -> int:
    a = call.arguments
    rows, width = a[0].shape
    item = a[0].element_size()
    if call.operator == "conv_stem":
        return _sizes(a[:6]) + 2 * len(a[2]) * a[6].shape[1] * item
    if call.operator == "packed_attention":
        return 4 * _sizes(a[0])
    if call.operator in ("prefill_attention", "decode_attention"):
        new = a[1].shape[1] * item  # of a position's keys, or values
        before = sum(span.past for span in a[7]) if call.operator == "prefill_attention" else rows * held
        turns = 2 * rows * a[3].shape[1] * a[3].element_size()
        return 2 * _sizes(a[0]) + 2 * _sizes(a[1]) + 2 * (before + rows) * new + turns
    if call.operator == "read_out":  # the same candidates in every row
        head = a[3].shape[1] * width * item
        return _sizes(a[0]) + _sizes(a[1]) + head + 2 * a[3].numel() * 4
    if call.operator == "pool_norm_linear":
        pairs = len(a[1])
        return _sizes(a[2:4]) + 2 * pairs * 4 + pairs * (2 * width + len(a[3].weight)) * item
    out = len(a[2].weight) if call.operator == "norm_swiglu" else sum(len(weight) for weight in call.weights)
    return _sizes(a) + rows * out * item


def _sizes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, tuple | list):
        return sum(_sizes(part) for part in value)
    return 0
