"""What the engine runs for one request: tokens to prefill, then steps that read a distribution, force a token or
write prose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_DESCRIPTION_TOKENS = 192


@dataclass(frozen=True)
class Read:
    """Read softmax(logits[candidates]) at the current position, keep it under `name`, and append the candidate whose
    value is nearest to the expectation."""

    name: str
    candidates: tuple[int, ...]
    values: tuple[float, ...]

    def expectation(self, probabilities: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Mean and standard deviation of the candidates' values under `probabilities` [len(candidates)]."""
        values, p = np.asarray(self.values), probabilities.astype(np.float64)
        mean = float((p * values).sum())
        return mean, math.sqrt(max(0.0, float((p * (values - mean) ** 2).sum())))

    def nearest(self, mean: float) -> int:
        """The candidate token whose value is nearest to `mean`; the lower one of two equally near."""
        return self.candidates[int(np.argmin(np.abs(np.asarray(self.values) - mean)))]


@dataclass(frozen=True)
class Force:
    """Append these tokens, whatever the model would have said."""

    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Write:
    """Write prose until `stop`. The k-th number in it is forced to `numbers[k]`: the name of an earlier `Read`, or a
    number token's id; so that prose and ratings cannot disagree. Numbers beyond the list repeat its last."""

    numbers: tuple[str | int, ...]
    stop: int
    number_ids: frozenset[int]
    prose: frozenset[int]
    """Every token that prose may hold, number tokens included. Anything else but `stop` spoils the answer."""
    outline: tuple[tuple[int, ...], ...] = ()
    """How its sentences begin, whatever the model would have said; each goes on to `full_stop`, the last to `stop`."""
    full_stop: int | None = None
    max_tokens: int = MAX_DESCRIPTION_TOKENS
    """With the stop."""


Step = Read | Force | Write


@dataclass(frozen=True)
class Program:
    """One request for the engine. `tokens` holds one audio token id per audio embedding."""

    tokens: tuple[int, ...]
    steps: tuple[Step, ...]
