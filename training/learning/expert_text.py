"""What the text expert is given instead of the audio: ratings and recorded causes as text (the paper's x_text)."""

from __future__ import annotations

from sqe_fast.answer.template import COMPARE_TASK, RATE_TASK, PromptBuilder
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language.causes import audible
from training.language.scale import shown


def tuple_text(clip: Annotation) -> str:
    """ "noisiness 2.8, …, mos 3.7. Causes: clatter 2.8." — a cause with the rating it alone would leave."""
    clip = shown(clip)
    ratings = ", ".join(f"{name} {clip[name]:.1f}" for name in RATINGS)
    audible_causes = [cause for dimension in DIMENSIONS for cause in audible(clip, dimension)]
    causes = ", ".join(f"{cause['name']} {max(cause['rating'], 1.0):.1f}" for cause in audible_causes)
    return f"{ratings}. Causes: {causes or 'none'}."


def rate_prompt(prompts: PromptBuilder, clip: Annotation) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"{tuple_text(clip)}\n{RATE_TASK}"))


def compare_prompt(prompts: PromptBuilder, a: Annotation, b: Annotation) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"A: {tuple_text(a)}\nB: {tuple_text(b)}\n{COMPARE_TASK}"))
