"""Choosing the next prose token from the few best that a runner reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from sqe_fast.runners.base import FloatArray, IntArray

RETRY_TEMPERATURE = 0.8
"""Of the one retry after greedy prose went wrong: enough to leave a loop, and still close to what the model means."""


def greedy(top_tokens: IntArray) -> int:
    """The best of `top_tokens` [k], best first."""
    return int(top_tokens[0])


def sample(
    top_tokens: IntArray,  # [k]
    top_logprobs: FloatArray,  # [k], natural log
    allowed: npt.NDArray[np.bool_],  # [k]
    rng: np.random.Generator,
) -> int | None:
    """Draw one of the allowed tokens at `RETRY_TEMPERATURE`; None where no token is allowed."""
    if not allowed.any():
        return None
    logits = top_logprobs[allowed].astype(np.float64) / RETRY_TEMPERATURE
    weights = np.exp(logits - logits.max())
    return int(rng.choice(top_tokens[allowed], p=weights / weights.sum()))


def content_seed(tokens: Sequence[int], digests: Iterable[str]) -> int:
    """A seed that depends on what is asked and on nothing else: not on the neighbours, the order or the clock."""
    content = hashlib.sha256(np.asarray(tokens, dtype="<i8").tobytes())
    for digest in digests:
        content.update(digest.encode())
    return int.from_bytes(content.digest()[:8], "little")
