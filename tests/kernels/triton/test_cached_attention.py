"""Attention over a KV cache as Triton kernels, against the reference; memory that nobody wrote is NaN."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import reference
from sqe_fast.kernels.operators import IDLE, Span
from sqe_fast.kernels.triton.decode_attention import CHUNK, decode_attention
from sqe_fast.kernels.triton.prefill_attention import prefill_attention
from tests.kernels.triton.cases import DTYPES, assert_close, normal

NAN = float("nan")
HEADS = [(2, 2, 16), (4, 2, 48), (7, 1, 32), (2, 1, 128)]
"""(heads, kv_heads, head_dim): ratios of 1, 2 and 7; halves of fewer than 16 columns and of no power of two."""
SPANS = [(0, 1), (0, 21), (37, 40), (70, 1)]
"""(past, T)"""
PREFILLS = [*((HEADS[2], span) for span in SPANS), (HEADS[1], SPANS[1]), *((heads, SPANS[2]) for heads in HEADS[::3])]
"""Every span of grouped heads, and the other heads each at one."""
MAX_LENGTH = 2 * CHUNK + 20


class Memory(NamedTuple):
    keys: Tensor  # [slots, kv_heads, max_length, head_dim]
    values: Tensor

    @classmethod
    def holding(cls, past: list[int], kv_heads: int, head_dim: int, dtype: torch.dtype) -> Memory:
        """Slots of which each holds so many positions."""
        memory = cls(*(normal(len(past), kv_heads, MAX_LENGTH, head_dim, dtype=dtype, seed=seed) for seed in (5, 6)))
        for slot, held in enumerate(past):
            for part in memory:
                part[slot, :, held:] = NAN
        return memory

    def to(self, dtype: torch.dtype) -> Memory:
        """A copy."""
        return Memory(*(part.to(dtype, copy=True) for part in self))


def rows(count: int, heads: int, kv_heads: int, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v, columns of one matrix."""
    q, k, v = normal(count, (heads + 2 * kv_heads) * head_dim, dtype=dtype).split(
        [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim], 1
    )
    return q, k, v


def angles(head_dim: int) -> tuple[Tensor, Tensor]:
    turns = torch.arange(MAX_LENGTH)[:, None] * 100.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
    return turns.cos(), turns.sin()


def assert_memory_close(found: Memory, expected: Memory, exact: Memory) -> None:
    """Written positions are close, all others the same bits."""
    for part, other, precise in zip(found, expected, exact, strict=True):
        empty = precise.isnan()
        assert torch.equal(part.isnan(), empty)
        assert_close(*(each.masked_fill(empty, 0.0) for each in (part, other, precise)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "span"), PREFILLS)
def test_prefill(shape: tuple[int, int, int], span: tuple[int, int], dtype: torch.dtype) -> None:
    (heads, kv_heads, head_dim), (past, steps) = shape, span
    given, turns = rows(steps, heads, kv_heads, head_dim, dtype), angles(head_dim)
    memory = Memory.holding([3, past, 9], kv_heads, head_dim, dtype)
    copies = [memory.to(dtype), memory.to(dtype), memory.to(torch.float64)]
    spans = [Span(1, past, steps)]
    found = prefill_attention(*given, *turns, *copies[0], spans)
    expected = reference.prefill_attention(*given, *turns, *copies[1], spans)
    exactly = (part.double() for part in given)
    exact = reference.prefill_attention(*exactly, *turns, *copies[2], spans)
    assert_close(found, expected, exact)
    assert_memory_close(*copies)
    for part, before in zip(copies[0], memory, strict=True):
        assert torch.equal(part[1, :, :past], before[1, :, :past])


@pytest.mark.parametrize(("shape", "dtype"), [*zip(HEADS, DTYPES * 2, strict=True), (HEADS[2], torch.float16)])
def test_decode(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Empty slots, ends of chunks, and a slot more than rows."""
    heads, kv_heads, head_dim = shape
    past = [0, 37, CHUNK - 1, CHUNK, 2 * CHUNK + 3]
    given, turns = rows(len(past), heads, kv_heads, head_dim, dtype), angles(head_dim)
    memory = Memory.holding([*past, 50], kv_heads, head_dim, dtype)
    copies = [memory.to(dtype), memory.to(dtype), memory.to(torch.float64)]
    held = torch.tensor(past, dtype=torch.int32)
    found = decode_attention(*given, *turns, *copies[0], held)
    expected = reference.decode_attention(*given, *turns, *copies[1], held)
    exact = reference.decode_attention(*(part.double() for part in given), *turns, *copies[2], held)
    assert_close(found, expected, exact)
    assert_memory_close(*copies)
    for part, before in zip(copies[0], memory, strict=True):
        for slot, kept in enumerate([*past, 50]):
            assert torch.equal(part[slot, :, :kept], before[slot, :, :kept])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [HEADS[0], HEADS[2]])
def test_sequences_that_are_prefilled_together_do_not_touch(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Bit for bit what each gives alone, in slots of any order; one of a single row, one that goes on, one of more than
    a tile. The slot of nobody stays as it is."""
    heads, kv_heads, head_dim = shape
    spans = [Span(3, 0, 70), Span(0, 37, 1), Span(4, 5, 21), Span(1, 0, 16)]
    count = sum(span.rows for span in spans)
    given, turns = rows(count, heads, kv_heads, head_dim, dtype), angles(head_dim)
    memory = Memory.holding([37, 0, 9, 0, 5], kv_heads, head_dim, dtype)
    together, alone = memory.to(dtype), memory.to(dtype)
    found = prefill_attention(*given, *turns, *together, spans)
    pieces, start = [], 0
    for span in spans:
        own = (part[start : start + span.rows] for part in given)
        pieces.append(prefill_attention(*own, *turns, *alone, [span]))
        start += span.rows
    assert torch.equal(found, torch.cat(pieces))
    assert found.isfinite().all()
    for part, other, before in zip(together, alone, memory, strict=True):
        assert torch.equal(part.nan_to_num(7.0), other.nan_to_num(7.0))
        assert torch.equal(part[2].nan_to_num(7.0), before[2].nan_to_num(7.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_prefill_in_pieces_is_the_whole(dtype: torch.dtype) -> None:
    """Bit for bit: steps along the keys begin at fixed positions. So a shared prefix changes nothing."""
    heads = 2, 1, 32
    given, turns = rows(60, *heads, dtype), angles(32)
    whole, pieces = (Memory.holding([0], *heads[1:], dtype) for _ in range(2))
    expected = prefill_attention(*given, *turns, *whole, [Span(0, 0, 60)])
    found = [
        prefill_attention(*(part[start:end] for part in given), *turns, *pieces, [Span(0, start, end - start)])
        for start, end in ((0, 37), (37, 38), (38, 60))
    ]
    assert torch.equal(torch.cat(found), expected)
    for part, other in zip(pieces, whole, strict=True):
        assert torch.equal(part.nan_to_num(7.0), other.nan_to_num(7.0))


@pytest.mark.parametrize(("past", "dtype"), [(20, torch.float32), (CHUNK + 5, torch.float16)])
def test_decode_goes_on_where_prefill_ended(past: int, dtype: torch.dtype) -> None:
    heads = 4, 2, 32
    given, turns = rows(past + 1, *heads, dtype), angles(32)
    memory = Memory.holding([0], *heads[1:], dtype)
    longer = prefill_attention(*given, *turns, *memory.to(dtype), [Span(0, 0, past + 1)])[past:]
    exactly = (part.double() for part in given)
    exact = reference.prefill_attention(*exactly, *turns, *memory.to(torch.float64), [Span(0, 0, past + 1)])[past:]
    prefill_attention(*(part[:past] for part in given), *turns, *memory, [Span(0, 0, past)])
    held = torch.tensor([past], dtype=torch.int32)
    assert_close(decode_attention(*(part[past:] for part in given), *turns, *memory, held), longer, exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_later_positions_are_not_seen(dtype: torch.dtype) -> None:
    given, turns = rows(40, 2, 1, 32, dtype), angles(32)
    memory = Memory.holding([0], 1, 32, dtype)
    before = prefill_attention(*given, *turns, *memory, [Span(0, 0, 40)])
    for part in given:
        part[25:] += 3
    after = prefill_attention(*given, *turns, *memory, [Span(0, 0, 40)])
    assert torch.equal(before[:25], after[:25])
    assert not torch.equal(before[25:], after[25:])


@pytest.mark.parametrize(("heads", "kv_heads", "dtype"), [(2, 2, torch.float32), (7, 1, torch.float16)])
def test_a_row_decodes_the_same_alone(
    heads: int, kv_heads: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, however many programs share its chunks."""
    past = [2 * CHUNK + 7, 3, CHUNK]
    given, turns = rows(3, heads, kv_heads, 32, dtype), angles(32)
    memory, held = Memory.holding(past, kv_heads, 32, dtype), torch.tensor(past, dtype=torch.int32)
    beside = memory.to(dtype)
    together = decode_attention(*given, *turns, *beside, held)  # a program for each chunk
    for programs in (1, 2 * kv_heads):
        monkeypatch.setattr(sys.modules[decode_attention.__module__], "MOST_PROGRAMS", programs)
        for row in range(3):
            own = slice(row, row + 1)
            one = Memory(*(part[own].clone() for part in memory))
            alone = decode_attention(*(part[own] for part in given), *turns, *one, held[own])
            assert torch.equal(together[own], alone)
            for part, other in zip(one, beside, strict=True):
                assert torch.equal(part[0, :, : past[row] + 1], other[row, :, : past[row] + 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_idle_row_writes_nothing_and_changes_no_other(dtype: torch.dtype) -> None:
    """Rows that fill up a CUDA graph: their slots may hold what a moved sequence left, or nothing."""
    past = [CHUNK + 5, IDLE, 7]
    given, turns = rows(3, 4, 2, 32, dtype), angles(32)
    memory = Memory.holding([CHUNK + 5, 9, 7], 2, 32, dtype)
    copy, busy = memory.to(dtype), memory.to(dtype)
    found = decode_attention(*given, *turns, *copy, torch.tensor(past, dtype=torch.int32))
    expected = decode_attention(*given, *turns, *busy, torch.tensor([CHUNK + 5, 9, 7], dtype=torch.int32))
    for part, other, before in zip(copy, busy, memory, strict=True):
        assert torch.equal(part[[0, 2]].nan_to_num(7.0), other[[0, 2]].nan_to_num(7.0))
        assert torch.equal(part[1].nan_to_num(7.0), before[1].nan_to_num(7.0))
    assert torch.equal(found[[0, 2]], expected[[0, 2]])
    reference.decode_attention(*given, *turns, *memory, torch.tensor(past, dtype=torch.int32))
    assert memory.keys[1, :, 9:].isnan().all()


def test_nothing_to_append() -> None:
    memory = Memory.holding([4], 1, 32, torch.float32)
    none = rows(0, 2, 1, 32, torch.float32)
    assert prefill_attention(*none, *angles(32), *memory, [Span(0, 4, 0)]).shape == (0, 64)
    assert decode_attention(*none, *angles(32), *memory, torch.empty(0, dtype=torch.int32)).shape == (0, 64)
