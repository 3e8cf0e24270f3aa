"""The operators that a served model is made of, in plain torch (`reference`) or as Triton kernels (`triton`).

Rows are tokens or 20 ms positions, packed end to end without padding: [N, width]. Weights are as `nn.Linear` holds
them, [out, in]. Each row's result is independent of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

IDLE = -1
"""In place of the positions that a slot holds: see `Operators.decode_attention`."""


class Norm(NamedTuple):
    """Layer norm of rows of width K; RMS norm where it has no bias."""

    weight: Tensor  # [K]
    bias: Tensor | None  # [K]
    eps: float


class Linear(NamedTuple):
    """x · weightᵀ + bias; or a convolution. With a scale, (x · weightᵀ) · scale + bias."""

    weight: Tensor  # [M, K]; of a convolution [M, K, width]
    bias: Tensor | None  # [M]
    scale: Tensor | None = None  # [M] float32: of int8 weights, what one step of theirs is worth

    def computed_in(self, x: Tensor) -> torch.dtype:
        """The dtype in which rows are multiplied by the weights: theirs; of int8 weights that of the rows."""
        return self.weight.dtype if self.scale is None else x.dtype


class Span(NamedTuple):
    """The next positions of one sequence, among the rows of several: those of each follow those of the one before."""

    slot: int
    past: int
    """Positions that the slot already holds."""
    rows: int


class Operators(Protocol):
    """A module of functions. They are differentiable only where the module says so."""

    NAME: str
    """"torch" or "triton"; every report of what ran names it."""
    CAPTURABLE: bool
    """Whether a decode step reads nothing on the host, so that a CUDA graph can be made of it."""

    def check_device(self, device: torch.device) -> None:
        """Raises RuntimeError for a device that they do not run on."""

    # --- encoder ---------------------------------------------------------------------------------------------------

    def conv_stem(
        self,
        mel: Tensor,  # [n_mels, columns]: clips end to end, each at an even column, a zero column between two
        valid: Tensor,  # [columns] bool: false between clips
        columns: Tensor,  # [N] int32: the column that each output row is centred on
        steps: Tensor,  # [N] int32: its place within its clip
        conv1: Linear,  # [width, n_mels, 3], with a bias
        conv2: Linear,  # [width, width, 3], with a bias
        table: Tensor,  # [positions, width]: position embeddings
    ) -> Tensor:
        """GELU(conv2(valid · GELU(conv1(mel)))) at `columns` only, plus `table[steps]`: [N, width]. Both convolutions
        are 3 wide and see zeros beyond either end; the second has stride 2, hence the even columns."""

    def norm_linear(
        self,
        x: Tensor,  # [N, K]
        norm: Norm,
        linears: Sequence[Linear],  # one to three, each with its own M
        gelu: bool = False,
    ) -> tuple[Tensor, ...]:
        """Norm, then each linear layer, then GELU (exact, by erf) where asked: [N, M] each."""

    def linear_residual(
        self,
        x: Tensor,  # [N, K]
        linear: Linear,  # [M, K]
        residual: Tensor,  # [N, M]
    ) -> Tensor:
        """residual + x · weightᵀ + bias: [N, M]"""

    def packed_attention(
        self,
        q: Tensor,  # [N, heads · head_dim]
        k: Tensor,  # [N, heads · head_dim]
        v: Tensor,  # [N, heads · head_dim]
        heads: int,
        lengths: Sequence[int],  # rows of each clip, end to end; sum N
    ) -> Tensor:
        """Softmax attention of each clip over itself, scaled by 1/√head_dim: [N, heads · head_dim]"""

    def pool_norm_linear(
        self,
        x: Tensor,  # [N, K]
        first: Tensor,  # [A] int32: the first row of each pair
        norm: Norm,
        linear: Linear,  # [M, K]
        out: Tensor,  # [slots, M]
        rows: Tensor,  # [A] int32: where each result goes
    ) -> None:
        """Mean of rows first and first + 1, norm, linear: written to `out[rows]`, the rest of which stays."""

    # --- decoder ---------------------------------------------------------------------------------------------------

    def norm_swiglu(
        self,
        x: Tensor,  # [N, K]
        norm: Norm,
        gate: Linear,  # [M, K], without a bias
        up: Linear,  # [M, K], without a bias
    ) -> Tensor:
        """y = norm of x; SiLU(y · gateᵀ) · (y · upᵀ): [N, M]"""

    def prefill_attention(
        self,
        q: Tensor,  # [T, heads · head_dim], not yet rotated
        k: Tensor,  # [T, kv_heads · head_dim], not yet rotated
        v: Tensor,  # [T, kv_heads · head_dim]
        cos: Tensor,  # [positions, head_dim / 2] float32
        sin: Tensor,  # [positions, head_dim / 2] float32
        keys: Tensor,  # [slots, kv_heads, max_length, head_dim]: written at past … past + rows − 1 of each span's slot
        values: Tensor,  # [slots, kv_heads, max_length, head_dim]
        spans: Sequence[Span],  # of different slots; T rows in all
    ) -> Tensor:
        """The next positions of one or more sequences: applies the rotary embedding, appends keys and values to each
        slot, and attends causally to all that the slot then holds (so a shared prefix is computed once):
        [T, heads · head_dim]. Head h reads KV head h // (heads / kv_heads); halves of a head are rotated against each
        other."""

    def decode_attention(
        self,
        q: Tensor,  # [B, heads · head_dim], not yet rotated
        k: Tensor,  # [B, kv_heads · head_dim], not yet rotated
        v: Tensor,  # [B, kv_heads · head_dim]
        cos: Tensor,  # [positions, head_dim / 2] float32
        sin: Tensor,  # [positions, head_dim / 2] float32
        keys: Tensor,  # [slots, kv_heads, max_length, head_dim]: row b lives in slot b
        values: Tensor,  # [slots, kv_heads, max_length, head_dim]
        past: Tensor,  # [B] int32, on the device: positions that each slot already holds
    ) -> Tensor:
        """One new position of each of B sequences, as `prefill_attention`: [B, heads · head_dim]. Reads nothing of
        `past` on the host, where CAPTURABLE. A row whose `past` is IDLE fills up a batch: its slot stays as it is,
        and its result is of no meaning."""

    def read_out(
        self,
        x: Tensor,  # [B, K]
        norm: Norm,  # without a bias
        head: Tensor,  # [vocabulary, K]
        candidates: Tensor,  # [B, C] int32; −1 stands for none
    ) -> Tensor:
        """RMS norm, logits of the candidates only, and softmax over them: [B, C] float32. A row without candidates
        gives zeros."""
