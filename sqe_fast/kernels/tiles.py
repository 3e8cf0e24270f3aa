"""Logits of a language model, tile by tile: made by a matrix product, used, and overwritten by the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SCRATCH_BYTES = 12 << 20
"""What the tiles of one call may take; matrix products keep some of their own."""
TILE_ROWS = 512
LEAST_COLUMNS = 64


@dataclass(frozen=True)
class LinearModel:
    """Hidden states [N, D] and head [V, D] of one model; or its logits [N, V], and no head."""

    hidden: Tensor
    head: Tensor | None

    @property
    def vocabulary(self) -> int:
        return self.hidden.shape[1] if self.head is None else len(self.head)

    @property
    def width(self) -> int:
        return 0 if self.head is None else self.hidden.shape[1]

    def at(self, positions: Tensor) -> LinearModel:
        return LinearModel(self.hidden[positions], self.head)

    def columns(self, columns: slice, dtype: torch.dtype) -> Tensor | None:
        """The head's part for some ids, [n, D]."""
        return None if self.head is None else self.head[columns].to(dtype)

    def logits(self, rows: slice, columns: slice, head: Tensor | None, out: Tensor) -> Tensor:
        """A tile of logits, in the place of `out`; `head` is that of `columns`."""
        tile = out[: (rows.stop - rows.start) * (columns.stop - columns.start)]
        tile = tile.view(rows.stop - rows.start, columns.stop - columns.start)
        if head is None:
            return tile.copy_(self.hidden[rows, columns])
        return torch.mm(self.hidden[rows].to(tile.dtype), head.T, out=tile)


@dataclass(frozen=True)
class Cut:
    """How [N, vocabulary] is cut into tiles."""

    rows: tuple[slice, ...]
    columns: int
    dtype: torch.dtype

    @classmethod
    def of(cls, student: LinearModel, teacher: LinearModel) -> Cut:
        dtype = torch.promote_types(torch.promote_types(student.hidden.dtype, teacher.hidden.dtype), torch.float32)
        size = dtype.itemsize
        # Half precision is copied to single: hidden states of a tile's rows, heads of its columns, the head's gradient.
        copies = [model.width for model in (student, teacher) if model.hidden.dtype != dtype]
        height = max(1, min(TILE_ROWS, len(student.hidden)))
        a_column = 2 * height * size + (sum(copies) + student.width * bool(copies)) * size
        columns = max(LEAST_COLUMNS, (SCRATCH_BYTES - height * sum(copies) * size) // a_column)
        return cls(tuple(slices(0, len(student.hidden), height)), columns, dtype)

    def scratch(self) -> Tensor:
        height = max((rows.stop - rows.start for rows in self.rows), default=0)
        return torch.empty(height * self.columns, dtype=self.dtype)


def slices(start: int, stop: int, step: int) -> Iterator[slice]:
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


def array(tensor: Tensor) -> Any:
    """As `_native` takes it, without a copy."""
    return tensor.detach().numpy()


class Gradients:
    """Sums up what tiles of the logits' gradient mean for hidden states and head, in the tiles' precision."""

    def __init__(self, model: LinearModel, cut: Cut, targets: Tensor, of_logprob: Tensor, of_head: bool) -> None:
        assert model.head is not None
        self.model, self.cut, self.targets, self.of_logprob = model, cut, targets, of_logprob.to(cut.dtype)
        self.hidden = torch.zeros(model.hidden.shape, dtype=cut.dtype)
        fresh = torch.empty_like if cut.rows else torch.zeros_like  # the first rows' product overwrites what is there
        self.head = fresh(model.head) if of_head else model.head.new_empty(0)
        copied = of_head and model.head.dtype != cut.dtype
        self._copy = torch.empty(cut.columns, model.width, dtype=cut.dtype) if copied else None

    def add(self, rows: slice, columns: slice, head: Tensor | None, tile: Tensor) -> None:
        """`tile` is the gradient of the logits of `rows` and `columns`; rows come in order."""
        assert head is not None
        self.hidden[rows].addmm_(tile, head)
        if self.head.numel():
            hidden = self.model.hidden[rows].to(self.cut.dtype)
            self._part(columns).addmm_(tile.T, hidden, beta=0 if rows.start == 0 else 1)

    def finish(self, columns: slice) -> None:
        """All rows of `columns` were added: what is left is that the log-probability rises with the target's logit."""
        assert self.model.head is not None
        hit = ((self.targets >= columns.start) & (self.targets < columns.stop)).nonzero()[:, 0]
        ids, scale = self.targets[hit], self.of_logprob[hit, None]
        self.hidden.index_add_(0, hit, scale * self.model.head[ids].to(self.cut.dtype))
        if self.head.numel():
            part = self._part(columns)
            part.index_add_(0, ids - columns.start, scale * self.model.hidden[hit].to(self.cut.dtype))
            if self._copy is not None:
                self.head[columns] = part

    def _part(self, columns: slice) -> Tensor:
        return self.head[columns] if self._copy is None else self._copy[: columns.stop - columns.start]
