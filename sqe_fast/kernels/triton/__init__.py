"""The operators as Triton kernels, forward only; `operators.Operators` says what goes in and comes out."""

from __future__ import annotations

from sqe_fast.kernels.triton.conv_stem import conv_stem
from sqe_fast.kernels.triton.decode_attention import decode_attention
from sqe_fast.kernels.triton.device import check_device
from sqe_fast.kernels.triton.linear import linear_residual, norm_linear, norm_swiglu
from sqe_fast.kernels.triton.packed_attention import packed_attention
from sqe_fast.kernels.triton.prefill_attention import prefill_attention
from sqe_fast.kernels.triton.projector import pool_norm_linear
from sqe_fast.kernels.triton.read_out import read_out

NAME = "triton"
CAPTURABLE = True

__all__ = [
    "CAPTURABLE",
    "NAME",
    "check_device",
    "conv_stem",
    "decode_attention",
    "linear_residual",
    "norm_linear",
    "norm_swiglu",
    "packed_attention",
    "pool_norm_linear",
    "prefill_attention",
    "read_out",
]
