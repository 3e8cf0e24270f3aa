"""What alignment asks the model: to describe a clip, or to compare two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqe_fast.answer.program import Program
from sqe_fast.answer.template import PromptBuilder
from training.corpora.annotation import Annotation
from training.corpora.corpus import Clips
from training.learning.examples import argued_pairs, audio_program, stored_argument
from training.streams import Stream, stream

COMPARE_SHARE = 0.25
"""Pairs to be compared for each clip to be described."""


@dataclass(frozen=True)
class Question:
    clips: tuple[Annotation, ...]

    @property
    def task(self) -> Literal["describe", "compare"]:
        return "describe" if len(self.clips) == 1 else "compare"

    @property
    def samples(self) -> int:
        """Length of all clips together."""
        return sum(int(clip["samples"]) for clip in self.clips)

    def program(self, prompts: PromptBuilder) -> Program:
        """What the engine runs to answer."""
        return audio_program(prompts, self.clips)

    def corpus_program(self, prompts: PromptBuilder) -> Program:
        """What the corpus text follows: an argument that a language model wrote knows nothing of the outline."""
        outlined = self.task == "describe" or stored_argument(*self.clips) is None
        return audio_program(prompts, self.clips, outlined=outlined)


def draw_questions(clips: Clips, seed: int, limit: int | None = None) -> list[Question]:
    """Every clip (or the first `limit`) to be described, and pairs of them to be compared: random ones, or some of
    those that a language model argued."""
    described = clips.annotations[:limit]
    rng = stream(Stream.ALLD_PAIRS, seed)
    argued = argued_pairs(described)
    count = round(COMPARE_SHARE * len(described)) if len(described) > 1 else 0
    if argued:
        pairs = [argued[int(i)] for i in rng.permutation(len(argued))[:count]]
    else:
        chosen = (rng.choice(len(described), 2, replace=False) for _ in range(count))
        pairs = [(described[int(a)], described[int(b)]) for a, b in chosen]
    return [Question((clip,)) for clip in described] + [Question(pair) for pair in pairs]
