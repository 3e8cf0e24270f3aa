"""Ratings as columns of a dataset of Hugging Face's `datasets`, by its own `map`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqe_fast.audio import Channels
from sqe_fast.evaluator import Evaluator
from sqe_fast.options import Serving

COLUMNS = (
    "mos", "mos_std", "noisiness", "coloration", "discontinuity", "loudness", "causes", "description", "flags",
    "no_speech", "duration", "model", "error",
)  # fmt: skip


class Rate:
    """For `dataset.map(Rate(), batched=True, batch_size=64)`: adds to each row what `sqe score` says of it.

    `column` holds the recordings: Audio, decoded or not, paths or bytes. A row stays a row, so one sound is heard of
    each: `channels` is "mix", or a channel's number. `prefix` stands before the names of the new columns, as where a
    dataset has a `mos` of its own. With `num_proc` each process opens a model: pass `Serving(threads=1)`. Cast Audio to
    `Audio(decode=False)` before, or `datasets` decodes it itself. Raises ValueError for "auto" and "each".
    """

    def __init__(
        self,
        column: str = "audio",
        *,
        model: str = "tiny",
        serving: Serving = Serving(),  # noqa: B008 (frozen)
        describe: bool = True,
        channels: Channels = "mix",
        prefix: str = "",
    ) -> None:
        if channels in ("auto", "each"):
            raise ValueError(f'channels "{channels}" may give several rows: pass "mix" or the number of a channel')
        self._column = column
        self._model = model
        self._serving = serving
        self._describe = describe
        self._channels = channels
        self._prefix = prefix
        self._evaluator: Evaluator | None = None

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The new columns of a batch."""
        if self._evaluator is None:
            self._evaluator = Evaluator.open(self._model, self._serving)
        evaluations = self._evaluator.evaluate(batch[self._column], self._describe, channels=self._channels)
        rows = [evaluation.to_row() for evaluation in evaluations]
        return {self._prefix + name: [row[name] for row in rows] for name in COLUMNS}

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process opens: so that `datasets` can send it, and knows it again."""
        return self.__dict__ | {"_evaluator": None}
