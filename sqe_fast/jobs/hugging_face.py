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
    """Adds to each row of a dataset what `sqe score` says of its recording:

        rate = Rate(describe=False)
        rated = dataset.map(rate, batched=True, batch_size=64, features=rate.features(dataset.features))

    Without `features`, `datasets` takes the types of the columns from the first batch, in which nothing may be wrong.

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

    def features(self, features: Mapping[str, Any]) -> Any:
        """The dataset's features with those of the new columns, a `datasets.Features`."""
        from datasets import Features, List, Value

        text, number = Value("string"), Value("float64")
        kinds = dict.fromkeys(COLUMNS, number) | {
            "causes": List({"name": text, "dimension": text, "probability": number}),
            "description": text,
            "flags": List(text),
            "no_speech": List({"start": number, "end": number, "kind": text}),
            "model": text,
            "error": {"code": text, "message": text},
        }
        return Features({**features, **{self._prefix + name: kind for name, kind in kinds.items()}})

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which each process opens: so that `datasets` can send it, and knows it again."""
        return self.__dict__ | {"_evaluator": None}
