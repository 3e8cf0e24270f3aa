"""What the text expert is given instead of the audio: ratings and recorded causes as text (the paper's x_text)."""

from __future__ import annotations

from sqe_fast.answer.template import COMPARE_TASK, RATE_TASK, PromptBuilder
from sqe_fast.results import DIMENSIONS, RATINGS
from training.language.causes import audible
from training.language.scale import Row, shown


def tuple_text(row: Row) -> str:
    """ "noisiness 2.8, …, mos 3.7. Causes: clatter 2.8." — a cause with the rating it alone would leave."""
    row = shown(row)
    ratings = ", ".join(f"{name} {row[name]:.1f}" for name in RATINGS)
    heard = [cause for dimension in DIMENSIONS for cause in audible(row, dimension)]
    causes = ", ".join(f"{cause['name']} {max(cause['rating'], 1.0):.1f}" for cause in heard)
    return f"{ratings}. Causes: {causes or 'none'}."


def rate_prompt(prompts: PromptBuilder, row: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"{tuple_text(row)}\n{RATE_TASK}"))


def compare_prompt(prompts: PromptBuilder, a: Row, b: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"A: {tuple_text(a)}\nB: {tuple_text(b)}\n{COMPARE_TASK}"))
