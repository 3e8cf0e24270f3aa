"""What the text expert is given instead of the audio: ratings and recorded causes as text (the paper's x_text)."""

from __future__ import annotations

from sqe_fast.prompt import COMPARE_TASK, RATE_TASK, PromptBuilder
from sqe_fast.results import DIMENSIONS
from training.language.causes import audible
from training.language.scale import Row, shown


def tuple_text(row: Row) -> str:
    """ "noisiness 2.8: clatter 2.8, hum 4.0; coloration 4.8: none; …; mos 3.7."

    Each rating beside its causes, a cause with the rating it alone would leave: what explains a rating is found where
    the rating is.
    """
    row = shown(row)
    parts = [f"{name} {row[name]:.1f}: {_causes(row, name)}" for name in DIMENSIONS]
    return "; ".join([*parts, f"mos {row['mos']:.1f}."])


def _causes(row: Row, dimension: str) -> str:
    heard = audible(row, dimension)
    return ", ".join(f"{cause['name']} {max(cause['rating'], 1.0):.1f}" for cause in heard) or "none"


def rate_prompt(prompts: PromptBuilder, row: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"{tuple_text(row)}\n{RATE_TASK}"))


def compare_prompt(prompts: PromptBuilder, a: Row, b: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"A: {tuple_text(a)}\nB: {tuple_text(b)}\n{COMPARE_TASK}"))
