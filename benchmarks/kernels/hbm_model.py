"""How many bytes the fused linear KL moves between a GPU and its memory, by count: no GPU was asked.

The walk of `sqe_fast.kernels.kl.tiles` is gone through with the tiles that it would cut, for half precision, and every
operand of every step is looked up in a cache of the size of the GPU's L2. Assumed:

- the L2 keeps what was used last (LRU), an operand is in it as a whole or not at all, and writing is done when an
  operand leaves it, or at the end;
- a matrix product and an element-wise step read each operand once and write each result once; what a product reads
  again from tile to tile of its own it finds in the L2 or nearer;
- logits are products of half precision with results in single (`LinearModel.widens`); gradients are products in single
  precision, of copies: of the head's rows once for all positions, of hidden states for each tile;
- temperature 1, and no other work on the GPU.

A real L2 is no strict LRU, and in two halves, each of which may hold what the other does. Where what a step comes
back to does not fit, every tile reads it again, and far more is moved: see `moved_bytes` for a smaller `l2_bytes`, or
for wide models (2,048 positions of width 3,584: over twenty times the least).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sqe_fast.kernels.kl.tiles import Cut, LinearModel, slices

L2_BYTES = 32 << 20
"""To be on the safe side: an A100 has 40 MB, an H100 50 MB."""
HALF, SINGLE, DOUBLE = 2, 4, 8
INPUTS, OUTPUTS, SUMS, SCRATCH = "inputs", "outputs", "sums", "scratch"


@dataclass(frozen=True)
class Shape:
    positions: int
    student_vocabulary: int
    teacher_vocabulary: int
    width: int  # of both models
    head_learns: bool

    @property
    def shared(self) -> int:
        return min(self.student_vocabulary, self.teacher_vocabulary)


@dataclass
class Memory:
    """Counts what passes between the L2 and the memory behind it, by kind."""

    l2_bytes: int
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys((INPUTS, OUTPUTS, SUMS, SCRATCH), 0))
    _bytes: int = 0
    _held: OrderedDict[Hashable, tuple[str, int, bool]] = field(default_factory=OrderedDict)

    def read(self, kind: str, name: Hashable, size: int) -> None:
        if name not in self._held:
            self.moved[kind] += size
        self._use(kind, name, size, written=False)

    def write(self, kind: str, name: Hashable, size: int) -> None:
        self._use(kind, name, size, written=True)

    def flush(self) -> None:
        self._shrink(0)

    def _use(self, kind: str, name: Hashable, size: int, written: bool) -> None:
        _, before, dirty = self._held.pop(name, (kind, 0, False))
        self._held[name] = kind, size, dirty or written
        self._bytes += size - before
        self._shrink(self.l2_bytes)

    def _shrink(self, limit: int) -> None:
        while self._bytes > limit:
            _, (kind, size, dirty) = self._held.popitem(last=False)
            self._bytes -= size
            self.moved[kind] += size * dirty


def moved_bytes(shape: Shape, l2_bytes: int = L2_BYTES) -> dict[str, int]:
    """Forward and backward pass, by kind: inputs read, outputs written (with what their sums in single precision cost
    on the way), sums of rows, and scratch, that is tiles of logits and copies, which should stay in the L2."""
    memory = Memory(l2_bytes)
    _forward(memory, shape)
    _backward(memory, shape)
    memory.flush()
    return memory.moved


def least_bytes(shape: Shape) -> int:
    """What any operator moves that keeps no logits: inputs once in each pass, gradients and results once."""
    forward = 2 * shape.positions + shape.student_vocabulary + shape.teacher_vocabulary
    backward = 2 * shape.positions + shape.student_vocabulary + shape.shared
    inputs = (forward + backward) * shape.width * HALF
    gradients = (shape.positions + shape.head_learns * shape.student_vocabulary) * shape.width * HALF
    kept_and_results = shape.positions * (4 * DOUBLE + 3 * SINGLE)
    return inputs + gradients + 2 * kept_and_results


def cut_of(shape: Shape, gradients: bool) -> Cut:
    """As the operator cuts tensors of bfloat16 on a GPU."""

    def model(vocabulary: int) -> LinearModel:
        hidden, head = (
            torch.empty(n, shape.width, dtype=torch.bfloat16, device="cuda") for n in (shape.positions, vocabulary)
        )
        return LinearModel(hidden, head)

    with FakeTensorMode():
        return Cut.of(model(shape.student_vocabulary), model(shape.teacher_vocabulary), gradients)


def _logits(memory: Memory, shape: Shape, models: Sequence[str], rows: slice, columns: slice) -> int:
    """The products of a tile for each model; returns a tile's bytes."""
    height, count = rows.stop - rows.start, columns.stop - columns.start
    for model in models:
        memory.read(INPUTS, (model, "hidden", rows.start), height * shape.width * HALF)
        memory.read(INPUTS, (model, "head", columns.start), count * shape.width * HALF)
        memory.write(SCRATCH, (model, "tile"), height * count * SINGLE)
    return height * count * SINGLE


def _target_rows(memory: Memory, shape: Shape, model: str) -> None:
    memory.read(INPUTS, (model, "rows of targets"), shape.positions * shape.width * HALF)


def _forward(memory: Memory, shape: Shape) -> None:
    cut = cut_of(shape, gradients=False)
    parts = (slice(0, shape.shared), ("student", "teacher")), *_alone(shape)
    for part, models in parts:
        for columns in slices(part.start, part.stop, cut.columns):
            for rows in cut.rows:
                size = _logits(memory, shape, models, rows, columns)
                for model in models:
                    memory.read(SCRATCH, (model, "tile"), size)
                sums = (rows.stop - rows.start) * (5 if len(models) == 2 else 2) * DOUBLE
                memory.read(SUMS, (models, "sums", rows.start), sums)
                memory.write(SUMS, (models, "sums", rows.start), sums)
    for model in ("student", "teacher"):
        _target_rows(memory, shape, model)
        for rows in cut.rows:
            memory.read(INPUTS, (model, "hidden", rows.start), (rows.stop - rows.start) * shape.width * HALF)
    memory.write(SUMS, "kept and results", shape.positions * (4 * DOUBLE + 3 * SINGLE))


def _alone(shape: Shape) -> list[tuple[slice, tuple[str]]]:
    """Ids that one model has alone."""
    longer = "student" if shape.student_vocabulary > shape.shared else "teacher"
    return [(slice(shape.shared, max(shape.student_vocabulary, shape.teacher_vocabulary)), (longer,))]


def _backward(memory: Memory, shape: Shape) -> None:
    cut = cut_of(shape, gradients=True)
    width = shape.width
    _target_rows(memory, shape, "student")
    memory.read(SUMS, "kept and results", shape.positions * (4 * DOUBLE + 3 * SINGLE))
    for rows in cut.rows:
        memory.write(OUTPUTS, ("of hidden", rows.start), (rows.stop - rows.start) * width * SINGLE)
    own = slices(shape.shared, shape.student_vocabulary, cut.columns)
    for columns in chain(slices(0, shape.shared, cut.columns), own):
        models = ("student", "teacher") if columns.stop <= shape.shared else ("student",)
        count = columns.stop - columns.start
        for rows in cut.rows:
            height = rows.stop - rows.start
            size = _logits(memory, shape, models, rows, columns)
            for model in models:
                memory.read(SCRATCH, (model, "tile"), size)
            memory.read(SUMS, ("scales", rows.start), height * 6 * DOUBLE)
            memory.write(SCRATCH, ("student", "tile"), size)
            if rows.start == 0:
                memory.read(INPUTS, ("student", "head", columns.start), count * width * HALF)
                memory.write(SCRATCH, "head's copy", count * width * SINGLE)
            memory.read(SCRATCH, ("student", "tile"), size)
            memory.read(SCRATCH, "head's copy", count * width * SINGLE)
            memory.read(OUTPUTS, ("of hidden", rows.start), height * width * SINGLE)
            memory.write(OUTPUTS, ("of hidden", rows.start), height * width * SINGLE)
            if shape.head_learns:
                memory.read(INPUTS, ("student", "hidden", rows.start), height * width * HALF)
                memory.write(SCRATCH, "hidden's copy", height * width * SINGLE)
                memory.read(SCRATCH, "hidden's copy", height * width * SINGLE)
                memory.write(SCRATCH, "head's gradient", count * width * SINGLE)
        if shape.head_learns:
            memory.read(SCRATCH, "head's gradient", count * width * SINGLE)
            memory.write(OUTPUTS, ("of head", columns.start), count * width * HALF)
    for rows in cut.rows:
        memory.read(OUTPUTS, ("of hidden", rows.start), (rows.stop - rows.start) * width * SINGLE)
        memory.write(OUTPUTS, ("in half", rows.start), (rows.stop - rows.start) * width * HALF)
