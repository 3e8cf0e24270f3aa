"""Rows → training examples → batches. A batch follows from (seed, step) alone, so a run can resume anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sqe_fast.features import frame_count
from sqe_fast.model.config import audio_tokens
from sqe_fast.prompt import PromptBuilder
from sqe_fast.results import RATINGS
from training import captions, expert_text

Task = Literal["describe", "line", "compare"]
Row = dict[str, Any]
IGNORED = -100
LONG_CLIP = 6 * 16_000
"""Samples above which a clip takes the room of several in a batch."""


@dataclass(frozen=True)
class Example:
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    line: bool
    """Whether the answer opens with a ratings line that is to be predicted."""
    skipped: int = 0
    """Leading answer tokens that inference forces and training therefore does not score."""
    rows: tuple[Row, ...] = ()
    """The clips heard in the prompt, in order."""


@dataclass(frozen=True)
class Batch:
    tokens: Tensor  # [B, T] int64, padded on the right
    targets: Tensor  # [B, T] int64: the next token where it is part of the answer, else IGNORED
    ratings: Tensor  # [B, T] float32: the exact rating where the next token is part of a ratings line, else NaN
    rows: tuple[Row, ...]


def audio_example(prompts: PromptBuilder, task: Task, rows: Sequence[Row], rng: np.random.Generator) -> Example:
    """What the audio model learns from `rows` (two of them for "compare")."""
    counts = [audio_tokens(frame_count(row["samples"])) for row in rows]
    if task == "compare":
        return _compared(prompts, prompts.compare_prompt(*counts), rows, rng)
    answer = prompts.line(rows[0]) if task == "line" else prompts.rate_answer(rows[0], captions.describe(rows[0], rng))
    return Example(prompts.rate_prompt(counts[0]), answer, line=True, rows=(rows[0],))


def text_example(prompts: PromptBuilder, task: Task, rows: Sequence[Row], rng: np.random.Generator) -> Example:
    """The same answers for the text expert, which reads the ratings instead of hearing the clip."""
    if task == "compare":
        return _compared(prompts, expert_text.compare_prompt(prompts, *rows), (), rng, *rows)
    answer = prompts.rate_answer(rows[0], captions.describe(rows[0], rng))
    return Example(expert_text.rate_prompt(prompts, rows[0]), answer, line=True)


def _compared(
    prompts: PromptBuilder, prompt: tuple[int, ...], heard: Sequence[Row], rng: np.random.Generator, *read: Row
) -> Example:
    a, b = heard or read
    verdict = captions.verdict(*(captions.shown(row)["mos"] for row in (a, b)))
    answer = prompts.compare_answer(a, b, verdict, captions.argue(a, b, rng))
    return Example(prompt, answer, line=False, skipped=len(prompts.compare_head(a, b)), rows=tuple(heard))


MakeExample = Callable[[PromptBuilder, Task, Sequence[Row], np.random.Generator], Example]


@dataclass(frozen=True)
class Sampler:
    """Batches of one task each, of clips of similar length: `batch_size` of them, fewer where they are long."""

    rows: Sequence[Row]
    prompts: PromptBuilder
    make: MakeExample
    tasks: dict[Task, float]
    batch_size: int
    seed: int

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        task: Task = rng.choice(list(self.tasks), p=list(self.tasks.values()))
        rows = self._rows(step)
        if task == "compare":
            rows = rows[: len(rows) // 2 * 2]
            mixed = [rows[int(i)] for i in rng.permutation(len(rows))]
            groups = [mixed[i : i + 2] for i in range(0, len(mixed), 2)]
        else:
            groups = [[row] for row in rows]
        return collate([self.make(self.prompts, task, group, rng) for group in groups])

    def _rows(self, step: int) -> list[Row]:
        epoch = 0
        while step >= len(batches := _epoch(self, epoch)):
            step -= len(batches)
            epoch += 1
        return [self.rows[i] for i in batches[step]]

    @property
    def batches_per_epoch(self) -> int:
        return len(_epoch(self, 0))

    def __hash__(self) -> int:
        return id(self)


@lru_cache(maxsize=64)
def _epoch(sampler: Sampler, epoch: int) -> list[list[int]]:
    """Shuffled rows, sorted by length within pools of 16 batches, cut into batches, shuffled again."""
    rng = np.random.default_rng([sampler.seed, 7, epoch])
    order = [int(i) for i in rng.permutation(len(sampler.rows))]
    pool = sampler.batch_size * 16
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batch: list[int] = []
        for i in sorted(order[start : start + pool], key=lambda i: int(sampler.rows[i]["samples"])):
            longest = int(sampler.rows[i]["samples"])  # the rows come in rising length, so this one pads the others
            if len(batch) == sampler.batch_size or (len(batch) + 1) * longest > sampler.batch_size * LONG_CLIP:
                batches.append(batch)
                batch = []
            batch.append(i)
        batches.append(batch)
    return [batches[int(i)] for i in rng.permutation(len(batches)) if len(batches[int(i)]) > 1]


def collate(examples: Sequence[Example]) -> Batch:
    """Right-padded; the target of position t is token t + 1, so prompt and answer meet at the prompt's last token."""
    length = max(len(example.prompt) + len(example.answer) for example in examples) - 1
    tokens = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full_like(tokens, IGNORED)
    ratings = torch.full(tokens.shape, float("nan"))
    for i, example in enumerate(examples):
        whole = torch.tensor(example.prompt + example.answer)
        tokens[i, : len(whole) - 1] = whole[:-1]
        first = len(example.prompt) - 1 + example.skipped
        targets[i, first : len(whole) - 1] = whole[first + 1 :]
        if example.line and example.rows:
            exact = [example.rows[0][name] for name in RATINGS]
            ratings[i, first : first + len(RATINGS)] = torch.tensor(exact)
    return Batch(tokens, targets, ratings, tuple(row for example in examples for row in example.rows))
