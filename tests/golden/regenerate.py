"""Write the golden ratings of the bundled model anew: `python -m tests.golden.regenerate`.

To be run when the weights have changed, and for no other reason; the printed moves belong into the commit's message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqe_fast import Evaluator
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.results import RATINGS, Evaluation
from tests.golden.clips import golden_clips

PATH = Path(__file__).with_name("ratings.json")
COMMAND = "python -m tests.golden.regenerate"
PRECISIONS = ("fp32", "int8")

Rated = dict[str, dict[str, float]]
"""{clip: {rating: value}}"""


def stored() -> dict[str, Any]:
    """ "sha256" of the weights, and `Rated` by precision; empty where nothing was ever stored."""
    fields: dict[str, Any] = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
    return fields


def rate(device: str, precision: str) -> Rated:
    """The ratings of all golden clips by the bundled model, to four digits."""
    clips, evaluator = golden_clips(), Evaluator.from_pretrained("tiny", device=device, precision=precision)
    evaluations = evaluator.evaluate(clips.values(), describe=False)
    return {name: _values(evaluation) for name, evaluation in zip(clips, evaluations, strict=True)}


def _values(evaluation: Evaluation) -> dict[str, float]:
    assert evaluation.ratings is not None, evaluation.error
    return {name: round(evaluation.ratings[name], 4) for name in RATINGS}


def main() -> None:
    fields: dict[str, Any] = {"sha256": open_checkpoint("tiny").sha256}
    for precision in PRECISIONS:
        before, now = stored().get(precision, {}), rate("cpu", precision)
        for clip, values in now.items():
            moves = {name: value - before.get(clip, {}).get(name, value) for name, value in values.items()}
            print(precision, clip, *(f"{name} {values[name]:.2f} ({moves[name]:+.2f})" for name in values))
        fields[precision] = now
    PATH.write_text(json.dumps(fields, indent=1) + "\n", "utf-8")
    print(f"wrote {PATH}")


if __name__ == "__main__":
    main()
