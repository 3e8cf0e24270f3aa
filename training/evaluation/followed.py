"""Do the causes that are named follow the clip, or the ratings that stand before them?

A clip is heard under the ratings of another one that suffers from something else. A model that listens names what is
in the clip; one that guesses from the numbers names what is usual with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqe_fast.answer.program import List, Program
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import log_mel
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, Request
from training.corpora.annotation import Annotation
from training.evaluation.cause_scores import cause_scores, to_be_named
from training.evaluation.rated_sets import RatedSet

AT_ONCE = 64


def followed(engine: Engine, prompts: PromptBuilder, rated: RatedSet, clips: int) -> dict[str, Any]:
    """Of the causes named of the first `clips` that can be paired, those recorded of the clip that was heard, and those
    of the clip whose ratings stood before them."""
    pairs = [*_pairs(rated.rows, clips)]
    named: list[list[str]] = []
    for start in range(0, len(pairs), AT_ONCE):
        asked = [_request(engine, prompts, rated, *pair) for pair in pairs[start : start + AT_ONCE]]
        for result in engine.run(asked):
            if result.error is not None:
                raise result.error
            named.append([cause.name for cause in result.causes])
    precision = {
        side: cause_scores([rated.rows[pair[place]] for pair in pairs], named).precision.to_row()
        for place, side in enumerate(("heard", "written"))
    }
    return {"clips": len(pairs), **precision}


def _pairs(rows: Sequence[Annotation], most: int) -> Iterator[tuple[int, int]]:
    """Indices: a clip to hear, and the next one with none of its causes, whose ratings are written."""
    bad = [index for index, row in enumerate(rows) if to_be_named(row)]
    recorded = [{cause["name"] for cause in row["causes"]} for row in rows]
    for place, heard in enumerate(bad[:most]):
        others = (other for other in [*bad[place + 1 :], *bad[:place]] if recorded[heard].isdisjoint(recorded[other]))
        written = next(others, None)
        if written is not None:
            yield heard, written


def _request(engine: Engine, prompts: PromptBuilder, rated: RatedSet, heard: int, written: int) -> Request:
    [samples] = rated.windows(heard)
    audio = AudioInput(str(heard), log_mel(samples, engine.runner.info.n_mels))
    program = prompts.rate(audio.tokens, describe=False)
    lists = tuple(step for step in program.steps if isinstance(step, List))
    return Request(Program((*program.tokens, *prompts.line(rated.rows[written])), lists), (audio,))
