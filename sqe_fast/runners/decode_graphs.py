"""CUDA graphs of the decode step: some 400 launches of a 7B model's step become one.

A graph is captured for a number of rows when it is first needed, so no row is ever padding; it is replayed with new
tokens and positions copied into the tensors that it was captured with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sqe_fast.model.packed import PackedModel


class DecodeGraphs:
    """`PackedModel.decode` on a GPU. Every capture takes its memory from one pool: replays never overlap."""

    def __init__(self, model: PackedModel, slots: int, device: torch.device) -> None:
        self._model = model
        self._tokens = torch.zeros(slots, dtype=torch.int64, device=device)
        self._past = torch.zeros(slots, dtype=torch.int32, device=device)
        self._captured: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, tokens: Tensor, past: Tensor) -> Tensor:
        """As `PackedModel.decode`; the result is overwritten by the next call."""
        rows = len(tokens)
        self._tokens[:rows].copy_(tokens, non_blocking=True)
        self._past[:rows].copy_(past, non_blocking=True)
        if rows not in self._captured:
            self._captured[rows] = self._capture(rows)
        graph, hidden = self._captured[rows]
        graph.replay()
        return hidden

    def _capture(self, rows: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        tokens, past = self._tokens[:rows], self._past[:rows]
        # Once outside: kernels are compiled by their first launch, which a capture does not allow. It writes what the
        # replay will write again.
        ahead = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        ahead.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(ahead):
            self._model.decode(tokens, past)
        torch.cuda.current_stream().wait_stream(ahead)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            hidden = self._model.decode(tokens, past)
        return graph, hidden
