"""What the text expert is given instead of the audio: ratings and recorded causes as text (the paper's x_text)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqe_fast.prompt import COMPARE_TASK, RATE_TASK, PromptBuilder
from sqe_fast.results import RATINGS
from training.captions import NOISE_CAUSES, OTHER_CAUSES, shown

Row = Mapping[str, Any]


def tuple_text(row: Row) -> str:
    """ "noisiness 2.8, …, mos 3.7. Causes: kitchen noise 2.8." — a cause with the rating it alone would give."""
    row = shown(row)
    ratings = ", ".join(f"{name} {row[name]:.1f}" for name in RATINGS)
    causes = ", ".join(f"{cause_name(c)} {c['rating']:.1f}" for c in row["causes"] if c["stage"] != "level")
    return f"{ratings}. Causes: {causes or 'none'}."


def cause_name(cause: Row) -> str:
    if cause["stage"] == "noise":
        return NOISE_CAUSES[cause["kind"]][0]
    return OTHER_CAUSES[cause["kind"] if cause["stage"] == "band" else cause["stage"]][0]


def rate_prompt(prompts: PromptBuilder, row: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"{tuple_text(row)}\n{RATE_TASK}"))


def compare_prompt(prompts: PromptBuilder, a: Row, b: Row) -> tuple[int, ...]:
    return prompts.turn(prompts.encode(f"A: {tuple_text(a)}\nB: {tuple_text(b)}\n{COMPARE_TASK}"))
