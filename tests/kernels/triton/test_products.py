"""The interpreter's product of tiles (tests/support/triton_interpreter.py): the bit-for-bit tests here rest on it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.triton_interpreter import product


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("depth", [16, 24, 64, 128])
def test_an_element_is_the_same_wherever_it_stands(depth: int, dtype: type) -> None:
    """Bit for bit, whatever tile it is part of: BLAS treats the last rows of a tile in another way."""
    generator = np.random.default_rng(depth)
    a, b = (generator.standard_normal((70, depth)).astype(dtype) for _ in range(2))
    whole = product(a, b.T, np.float32)
    np.testing.assert_allclose(whole, a.astype(float) @ b.T.astype(float), rtol=0, atol=1e-4)
    for row, height, column, width in ((69, 1, 0, 70), (0, 70, 69, 1), (3, 16, 17, 33), (1, 64, 5, 32)):
        part = product(a[row : row + height], b[column : column + width].T, np.float32)
        assert np.array_equal(part, whole[row : row + height, column : column + width])
