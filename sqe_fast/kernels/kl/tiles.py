"""A language model's logits, one tile at a time: a matrix product makes it, it is used, the next one overwrites it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCRATCH_BYTES = 10 << 20
"""On a CPU, limit for the tiles of one call; matrix products use some scratch of their own."""
TILE_ROWS = 512
LEAST_COLUMNS = 64
GPU_SCRATCH_BYTES, GPU_LARGE_SCRATCH_BYTES = 256 << 20, 1 << 30
"""On a GPU, and where four times the larger is free. Only two: how it is cut is part of the order of summation."""
GPU_TILE_ROWS = 32_768
"""All rows, as good as always: each is then met once for every column, and a head's gradient is one product."""
GPU_COLUMNS = 1_024, 16_384
"""The least and the most; steps of the least. Products of this size fill any GPU's processors, whatever the width."""


def on_gpu(device: torch.device) -> bool:
    """Whether tiles are cut for a GPU. The `meta` device, on which calls are counted, stands for one."""
    return device.type != "cpu"


def multiply(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """a · b in their precision, summed in single at least, written to `out` in its own."""
    if a.dtype == out.dtype:
        return torch.mm(a, b, out=out)
    return torch.mm(a, b, out_dtype=out.dtype, out=out)


def add_product(into: Tensor, a: Tensor, b: Tensor) -> None:
    """into += a · b, where products of half precision are summed in single."""
    if a.dtype == into.dtype:
        into.addmm_(a, b)
    else:
        into += torch.mm(a, b, out_dtype=into.dtype)


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

    def factors(self, dtype: torch.dtype) -> torch.dtype:
        """In which precision products of tiles in `dtype` take hidden states and the head's rows: a GPU's take half
        precision as it is, and the head of mixed precision training is rounded to it, as autocast does."""
        return self.hidden.dtype if on_gpu(self.hidden.device) and self.hidden.itemsize == 2 else dtype

    def columns(self, columns: slice, dtype: torch.dtype) -> Tensor:
        """The head's rows for some ids, [n, D], in the precision in which `logits` multiplies them."""
        return self.head[columns].to(self.factors(dtype))

    def logits(self, rows: slice, columns: slice, head: Tensor, out: Tensor) -> Tensor:
        """A tile of logits [rows, columns], written to flat memory `out`; `head` is what `columns` returns for them."""
        tile = out[: (rows.stop - rows.start) * (columns.stop - columns.start)]
        tile = tile.view(rows.stop - rows.start, columns.stop - columns.start)
        return multiply(self.hidden[rows].to(head.dtype), head.T, tile)


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
        device, count = student.hidden.device, len(student.hidden)
        height = max(1, min(GPU_TILE_ROWS if on_gpu(device) else TILE_ROWS, count))
        if on_gpu(device):
            least, most = GPU_COLUMNS
            room = gpu_scratch(device) // (2 * height * dtype.itemsize)
            columns = max(least, min(most, room // least * least))
        else:
            columns = _columns_on_cpu(student, teacher, dtype, height, gradients)
        return cls(tuple(slices(0, count, height)), columns, dtype, device)

    def scratch(self, tiles: int) -> Tensor:
        """Memory for so many tiles, [tiles, size of one]. On the CPU it is mapped, and so goes back to the system when
        it is let go: the heap might not find the same place again for the backward pass, and hold it twice."""
        height = max((rows.stop - rows.start for rows in self.rows), default=0)
        size = height * self.columns
        if self.device.type != "cpu" or not size * tiles:
            return torch.empty(tiles, size, dtype=self.dtype, device=self.device)
        pages = mmap.mmap(-1, tiles * size * self.dtype.itemsize, access=mmap.ACCESS_COPY)
        return torch.frombuffer(pages, dtype=self.dtype).view(tiles, size)


def gpu_scratch(device: torch.device) -> int:
    """Bytes for the tiles of one call, by what the driver and torch's own allocator have free."""
    if device.type != "cuda":
        return GPU_SCRATCH_BYTES
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + kept
    return GPU_LARGE_SCRATCH_BYTES if free >= 4 * GPU_LARGE_SCRATCH_BYTES else GPU_SCRATCH_BYTES


def _columns_on_cpu(
    student: LinearModel, teacher: LinearModel, dtype: torch.dtype, height: int, gradients: bool
) -> int:
    """What SCRATCH_BYTES allow for. Beside the tiles: copies in single precision of heads and hidden states in half,
    and the student's head's gradient, which is summed in single too."""
    size = dtype.itemsize
    a_column, a_row = 2 * height * size, 0
    for model in (student, teacher):
        copied = model.hidden.dtype != dtype
        a_column += model.width * copied * size
        a_row += model.width * copied * size
    if gradients and student.hidden.dtype != dtype:
        a_column += student.width * size
    return max(LEAST_COLUMNS, (SCRATCH_BYTES - height * a_row) // a_column)


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

    In the tiles' precision; products take the gradients in that of their factors, in which the smallest of them would
    be 0 for float16: see `unit`. Tiles come in the order of `walk`, the model's logits first in each. Nothing is read
    on the host.
    """

    def __init__(self, model: LinearModel, cut: Cut, targets: Tensor, of_logprob: Tensor, of_head: bool) -> None:
        """`of_logprob` [N]: the gradient towards the log-probability of each of `targets` [N]."""
        self.model, self.cut, self.targets, self.of_logprob = model, cut, targets, of_logprob.to(cut.dtype)
        head, factors = model.head, model.factors(cut.dtype)
        self.hidden = torch.zeros(len(model.hidden), model.width, dtype=cut.dtype, device=cut.device)
        fresh = head.new_empty if cut.rows else head.new_zeros  # the first rows' product overwrites what is there
        self.head = fresh(head.shape) if of_head else head.new_empty(0)
        # A product can be written to the head's gradient itself where it need not be added to, or is as precise.
        whole = len(cut.rows) == 1 and head.dtype == factors == torch.bfloat16
        copied = of_head and head.dtype != cut.dtype and not whole
        self._copy = head.new_empty(cut.columns, model.width, dtype=cut.dtype) if copied else None

    def add(self, tile: LogitTile, unit: Tensor | None = None) -> None:
        """`tile.logits[0]` has been overwritten by the gradient towards the model's logits, but for what the
        log-probability rises with the target's own; all times `unit` [], where one is given."""
        gradient, head = tile.logits[0], tile.heads[0]
        places = self.targets[tile.rows] - tile.columns.start
        inside = (places >= 0) & (places < gradient.shape[1])
        added = self.of_logprob[tile.rows].where(inside, 0)
        gradient.scatter_add_(1, places.where(inside, 0)[:, None], added[:, None])
        gradient = gradient.to(head.dtype)
        add_product(self.hidden[tile.rows], gradient, head)
        if self.head.numel():
            self._add_to_head(tile, gradient, unit)

    def _add_to_head(self, tile: LogitTile, gradient: Tensor, unit: Tensor | None) -> None:
        part = self.head[tile.columns] if self._copy is None else self._copy[: gradient.shape[1]]
        hidden = self.model.hidden[tile.rows].to(gradient.dtype)
        if tile.rows.start == 0:
            multiply(gradient.T, hidden, part)
        else:
            add_product(part, gradient.T, hidden)
        if tile.rows.stop < len(self.hidden):
            return
        if unit is not None:
            part /= unit
        if self._copy is not None:
            self.head[tile.columns] = part
