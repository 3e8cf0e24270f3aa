"""Logits of a language model, tile by tile: made by a matrix product, used, and overwritten by the next."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCRATCH_BYTES = 10 << 20
"""What the tiles of one call may take; matrix products keep some of their own."""
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
        return LinearModel(self.hidden[positions], self.head)

    def widens(self, dtype: torch.dtype) -> bool:
        """Whether half precision is multiplied as it is, with sums and product in single: a GPU can."""
        halves = self.hidden.dtype == self.head.dtype != dtype
        return halves and self.hidden.is_cuda and dtype == torch.float32

    def columns(self, columns: slice, dtype: torch.dtype) -> Tensor:
        """The head's part for some ids, [n, D], as `logits` multiplies it."""
        return self.head[columns] if self.widens(dtype) else self.head[columns].to(dtype)

    def logits(self, rows: slice, columns: slice, head: Tensor, out: Tensor) -> Tensor:
        """A tile of logits, in the place of `out`; `head` is that of `columns`."""
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
        """[tiles, size of one]. On the CPU it goes back to the system when it is let go: the heap, with smaller things
        about it, may not find its place again for the backward pass, and holds it twice."""
        height = max((rows.stop - rows.start for rows in self.rows), default=0)
        size = height * self.columns
        if self.device.type != "cpu" or not size * tiles:
            return torch.empty(tiles, size, dtype=self.dtype, device=self.device)
        pages = mmap.mmap(-1, tiles * size * self.dtype.itemsize, access=mmap.ACCESS_COPY)
        return torch.frombuffer(pages, dtype=self.dtype).view(tiles, size)


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


@dataclass(frozen=True)
class Place:
    """Some rows and columns, and each model's logits there; they are overwritten by those of the next place."""

    rows: slice
    columns: slice
    tiles: tuple[Tensor, ...]
    heads: tuple[Tensor, ...]  # as `LinearModel.columns` has them


def walk(models: Sequence[LinearModel], cut: Cut, start: int, stop: int) -> Iterator[Place]:
    """Goes through the ids from `start` to `stop`, and for some of them through all rows before the next."""
    scratch = cut.scratch(len(models))
    for columns in slices(start, stop, cut.columns):
        heads = tuple(model.columns(columns, cut.dtype) for model in models)
        for rows in cut.rows:
            made = (m.logits(rows, columns, h, out) for m, h, out in zip(models, heads, scratch, strict=True))
            yield Place(rows, columns, tuple(made), heads)


class Gradients:
    """Sums up what tiles of the logits' gradient mean for hidden states and head, in the tiles' precision."""

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

    def walk(self, others: Sequence[LinearModel], start: int, stop: int) -> Iterator[Place]:
        """As `walk` of the model and `others`; the caller overwrites the model's tile with its logits' gradient."""
        for place in walk((self.model, *others), self.cut, start, stop):
            yield place
            if place.rows.start == 0:
                head = place.heads[0].to(self.cut.dtype)
            self.hidden[place.rows].addmm_(place.tiles[0], head)
            if self.head.numel():
                self._add_to_head(place)

    def _add_to_head(self, place: Place) -> None:
        part = self.head[place.columns] if self._copy is None else self._copy[: place.tiles[0].shape[1]]
        hidden = self.model.hidden[place.rows].to(self.cut.dtype)
        part.addmm_(place.tiles[0].T, hidden, beta=0 if place.rows.start == 0 else 1)
        if place.rows.stop < len(self.hidden):
            return
        hit = within(self._targets, place.columns)[1].nonzero()[:, 0].to(self.cut.device)
        hidden = self.model.hidden[hit].to(self.cut.dtype)
        part.index_add_(0, self.targets[hit] - place.columns.start, self.of_logprob[hit, None] * hidden)
        if self._copy is not None:
            self.head[place.columns] = part


def within(ids: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
    """Where in a tile of `columns` each id stands, and whether it does; 0 where not."""
    inside = (ids >= columns.start) & (ids < columns.stop)
    return (ids - columns.start).where(inside, 0), inside
