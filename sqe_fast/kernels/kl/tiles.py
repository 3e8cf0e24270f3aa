"""A language model's logits, one tile at a time: a matrix product makes it, it is used, the next one overwrites it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCRATCH_BYTES = 10 << 20
"""Limit for the tiles of one call; matrix products use some scratch of their own."""
TILE_ROWS = 512
LEAST_COLUMNS = 64


@dataclass(frozen=True)
class LinearModel:
    """Hidden states [N, D] and head [V, D] of one model."""

    hidden: Tensor
    head: Tensor

    @property
    def vocabulary(self) -> int:
        return len(self.head)

    @property
    def width(self) -> int:
        return self.hidden.shape[1]

    def at(self, positions: Tensor) -> LinearModel:
        """The same model at some `positions` [M] of its N."""
        return LinearModel(self.hidden[positions], self.head)

    def widens(self, dtype: torch.dtype) -> bool:
        """Whether products take half precision as it is, with sums and results in single, as a GPU can."""
        halves = self.hidden.dtype == self.head.dtype != dtype
        return halves and self.hidden.is_cuda and dtype == torch.float32

    def columns(self, columns: slice, dtype: torch.dtype) -> Tensor:
        """The head's rows for some ids, [n, D], in the precision in which `logits` multiplies them."""
        return self.head[columns] if self.widens(dtype) else self.head[columns].to(dtype)

    def logits(self, rows: slice, columns: slice, head: Tensor, out: Tensor) -> Tensor:
        """A tile of logits [rows, columns], written to flat memory `out`; `head` is what `columns` returns for them."""
        tile = out[: (rows.stop - rows.start) * (columns.stop - columns.start)]
        tile = tile.view(rows.stop - rows.start, columns.stop - columns.start)
        if self.widens(tile.dtype):
            return torch.mm(self.hidden[rows], head.T, out_dtype=tile.dtype, out=tile)
        return torch.mm(self.hidden[rows].to(tile.dtype), head.T, out=tile)


@dataclass(frozen=True)
class Cut:
    """How [N, vocabulary] is cut into tiles."""

    rows: tuple[slice, ...]
    columns: int
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, student: LinearModel, teacher: LinearModel, gradients: bool = False) -> Cut:
        dtype = torch.promote_types(torch.promote_types(student.hidden.dtype, teacher.hidden.dtype), torch.float32)
        size = dtype.itemsize
        height = max(1, min(TILE_ROWS, len(student.hidden)))
        # Beside the tiles: heads in half precision, and copies in single where products need them, of heads and hidden
        # states. For gradients the student's need them, and its head's gradient is summed in single too.
        a_column, a_row = 2 * height * size, 0
        for model in (student, teacher):
            half, widened = model.hidden.dtype != dtype, model.widens(dtype)
            copied = half and (not widened or (gradients and model is student))
            a_column += model.width * (copied * size + widened * model.hidden.dtype.itemsize)
            a_row += model.width * copied * size
        if gradients and student.hidden.dtype != dtype:
            a_column += student.width * size
        columns = max(LEAST_COLUMNS, (SCRATCH_BYTES - height * a_row) // a_column)
        return cls(tuple(slices(0, len(student.hidden), height)), columns, dtype, student.hidden.device)

    def scratch(self, tiles: int) -> Tensor:
        """Memory for so many tiles, [tiles, size of one]. On the CPU it is mapped, and so goes back to the system when
        it is let go: the heap might not find the same place again for the backward pass, and hold it twice."""
        height = max((rows.stop - rows.start for rows in self.rows), default=0)
        size = height * self.columns
        if self.device.type != "cpu" or not size * tiles:
            return torch.empty(tiles, size, dtype=self.dtype, device=self.device)
        pages = mmap.mmap(-1, tiles * size * self.dtype.itemsize, access=mmap.ACCESS_COPY)
        return torch.frombuffer(pages, dtype=self.dtype).view(tiles, size)


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    """From start to stop, each of `step` but for the last."""
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


@dataclass(frozen=True)
class LogitTile:
    """Some rows and columns, and each model's logits there; the next tile's overwrite them."""

    rows: slice
    columns: slice
    logits: tuple[Tensor, ...]  # [rows, columns] of each model
    heads: tuple[Tensor, ...]  # as `LinearModel.columns` has them


def walk(models: Sequence[LinearModel], cut: Cut, start: int, stop: int) -> Iterator[LogitTile]:
    """The tiles of the ids from `start` to `stop`: all rows for some ids, then all rows for the next."""
    scratch = cut.scratch(len(models))
    for columns in slices(start, stop, cut.columns):
        heads = tuple(model.columns(columns, cut.dtype) for model in models)
        for rows in cut.rows:
            made = (m.logits(rows, columns, h, out) for m, h, out in zip(models, heads, scratch, strict=True))
            yield LogitTile(rows, columns, tuple(made), heads)


class Gradients:
    """Accumulates the gradients of a model's hidden states and head from tiles of its logits' gradient.

    In the tiles' precision. Tiles come in the order of `walk`, the model's logits first in each.
    """

    def __init__(self, model: LinearModel, cut: Cut, targets: Tensor, of_logprob: Tensor, of_head: bool) -> None:
        self.model, self.cut, self.targets, self.of_logprob = model, cut, targets, of_logprob.to(cut.dtype)
        # The log-probability rises with the target's logit; all else that it rests on is in the tiles.
        self.hidden = model.head[targets].to(cut.dtype)
        self.hidden *= self.of_logprob[:, None]
        fresh = torch.empty_like if cut.rows else torch.zeros_like  # the first rows' product overwrites what is there
        self.head = fresh(model.head) if of_head else model.head.new_empty(0)
        copied = of_head and model.head.dtype != cut.dtype
        self._copy = model.head.new_empty(cut.columns, model.width, dtype=cut.dtype) if copied else None
        self._targets = targets.cpu()  # which of them a tile holds is asked here: a GPU need not be waited for
        self._columns = model.head[:0].to(cut.dtype)  # the head's part for a tile's ids, in the tiles' precision

    def add(self, tile: LogitTile) -> None:
        """`tile.logits[0]` has been overwritten by the gradient towards the model's logits."""
        if tile.rows.start == 0:
            self._columns = tile.heads[0].to(self.cut.dtype)
        self.hidden[tile.rows].addmm_(tile.logits[0], self._columns)
        if self.head.numel():
            self._add_to_head(tile)

    def _add_to_head(self, tile: LogitTile) -> None:
        part = self.head[tile.columns] if self._copy is None else self._copy[: tile.logits[0].shape[1]]
        hidden = self.model.hidden[tile.rows].to(self.cut.dtype)
        part.addmm_(tile.logits[0].T, hidden, beta=0 if tile.rows.start == 0 else 1)
        if tile.rows.stop < len(self.hidden):
            return
        hit = within(self._targets, tile.columns).nonzero()[:, 0].to(self.cut.device)
        hidden = self.model.hidden[hit].to(self.cut.dtype)
        part.index_add_(0, self.targets[hit] - tile.columns.start, self.of_logprob[hit, None] * hidden)
        if self._copy is not None:
            self.head[tile.columns] = part


def within(ids: Tensor, columns: slice) -> Tensor:
    """Which ids [N] a tile of `columns` holds: [N] bool."""
    inside: Tensor = (ids >= columns.start) & (ids < columns.stop)
    return inside
