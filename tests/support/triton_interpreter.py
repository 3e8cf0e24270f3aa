"""Triton's interpreter multiplies tiles as a GPU does: what a row gives does not depend on the rows beside it.

Its own product is NumPy's `matmul`, thus BLAS, which for some processors adds up the rows at a tile's edge in another
order. Bit-for-bit tests of the kernels would then judge BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle


def product(a: npt.NDArray[Any], b: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """a [M, K] · b [K, N], multiplied and summed in `dtype`. Each element is one run of the same loop over two
    contiguous vectors of length K, wherever it stands: `einsum` that is not optimised calls no BLAS."""
    rows, columns = np.ascontiguousarray(a, dtype), np.ascontiguousarray(b.T, dtype)
    return np.einsum("mk,nk->mn", rows, columns, optimize=False)


def _create_dot(_: InterpreterBuilder, a: Any, b: Any, d: Any, *precision: Any) -> TensorHandle:
    return TensorHandle(product(a.data, b.data, d.data.dtype) + d.data, d.dtype.scalar)


def multiply_rows_apart() -> None:
    """From here on, in this process."""
    InterpreterBuilder.create_dot = _create_dot
