"""What one program of a matrix product computes, by the GPU and by how many programs fill it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

GROUP = 8
"""Tiles of rows that neighbouring programs share: the weights they read at one time stay in L2."""


class Tile(NamedTuple):
    m: int  # rows of x
    n: int  # outputs
    warps: int
    stages: int  # steps along K that shared memory holds at a time


class Gpu(NamedTuple):
    processors: int
    tiles: tuple[Tile, ...]  # largest first


# The small tiles stream weights past few rows. What counts there is bytes in flight, hence many stages, and a program
# on every processor, hence few outputs for each. All of an A100's run on mma.m16n8k16.
A100 = Gpu(
    108,
    (Tile(128, 256, 8, 3), Tile(128, 128, 8, 3), Tile(64, 64, 8, 5), Tile(16, 64, 4, 6), Tile(16, 32, 4, 8)),
)
# wgmma has no fewer than 64 rows. For fewer there would be another instruction, which need not add in the same order: a
# row's result would then depend on its batch. Rows that are not there cost no memory traffic.
H100 = Gpu(132, (Tile(128, 256, 8, 4), Tile(128, 128, 8, 3), Tile(64, 64, 4, 6), Tile(64, 32, 4, 8)))

FLOAT32 = Tile(64, 64, 4, 2)
"""Without tensor cores, which would round the factors to 10 bits."""


def gpu(architecture: int) -> Gpu:
    return H100 if architecture >= 90 else A100


def step(dtype: torch.dtype) -> int:
    """Elements along K at a time: the same for all tiles, as it is part of the order of summation."""
    return 32 if dtype == torch.float32 else 64


def choose(rows: int, outputs: Sequence[int], dtype: torch.dtype, architecture: int, widest: int = 256) -> Tile:
    """The largest tile that the rows fill and that leaves no processor idle, of at most `widest` outputs."""
    if dtype == torch.float32:
        return FLOAT32
    processors, tiles = gpu(architecture)
    fewest = tiles[-1].m
    for tile in tiles:
        if tile.m <= max(rows, fewest) and tile.n <= widest and programs(tile, rows, outputs) >= processors:
            return tile
    return tiles[-1]


def programs(tile: Tile, rows: int, outputs: Sequence[int]) -> int:
    return -(-rows // tile.m) * sum(-(-count // tile.n) for count in outputs)
