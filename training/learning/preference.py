"""What alignment compares: two responses to one question, after two prompts, aligned token by token.

The audio model hears the clips (x_audio), the expert reads their ratings (x_text); both are scored on the corpus text
y_t and on y_a, the audio model's own answer. What the template forces (`program.chosen`) is scored on neither side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from sqe_fast.answer.program import chosen
from sqe_fast.answer.template import PromptBuilder
from training.learning.batches import Epochs, cut
from training.learning.examples import IGNORED, Batch, Example, audio_example, collate, text_prompt
from training.learning.questions import Question
from training.streams import Stream, stream


@dataclass(frozen=True)
class PreferenceBatch:
    """B questions. Rows 0 … B−1 of both batches answer them with y_t, rows B … 2B−1 with y_a."""

    student: Batch
    """After x_audio; `clips` are those of the B questions, once."""
    teacher: Batch
    """After x_text."""

    def __post_init__(self) -> None:
        """Raises ValueError unless both sides score the same tokens, row by row."""
        ours, theirs = self.student.targets, self.teacher.targets
        counts = (ours != IGNORED).sum(1), (theirs != IGNORED).sum(1)
        if not torch.equal(*counts) or not torch.equal(ours[ours != IGNORED], theirs[theirs != IGNORED]):
            raise ValueError("audio model and expert must be scored on the same response tokens")

    def to(self, device: torch.device) -> PreferenceBatch:
        return PreferenceBatch(self.student.to(device), self.teacher.to(device))


def preference_batch(
    prompts: PromptBuilder,
    questions: Sequence[Question],
    sampled: Sequence[tuple[int, ...]],
    rng: np.random.Generator,
) -> PreferenceBatch:
    """Both responses to each question (all of one task), after both prompts."""
    preferred = [_target(prompts, question, rng) for question in questions]
    rejected = [
        Example(target.prompt, answer, scored=chosen(question.program(prompts), answer))
        for target, question, answer in zip(preferred, questions, sampled, strict=True)
    ]
    with_audio = preferred + rejected
    texts = [text_prompt(prompts, question.clips) for question in questions] * 2
    with_text = [Example(text, one.answer, scored=one.scored) for text, one in zip(texts, with_audio, strict=True)]
    for example in (*with_audio, *with_text):
        _check_boundary(prompts, example)
    return PreferenceBatch(collate(with_audio), collate(with_text))


def _target(prompts: PromptBuilder, question: Question, rng: np.random.Generator) -> Example:
    """y_t. An argument ends as the engine ends it, which is then scored no more than in y_a."""
    example = audio_example(prompts, question.task, question.clips, rng, certain=True)
    return replace(example, scored=chosen(question.corpus_program(prompts), example.answer))


def _check_boundary(prompts: PromptBuilder, example: Example) -> None:
    """Raises ValueError unless the prompt ends in a newline token of its own: a token that merged the prompt's end
    with the answer's beginning would shift every position of one side against the other."""
    newline = prompts.encode("\n")
    if example.prompt[-len(newline) :] != newline:
        raise ValueError("a prompt must end in a newline token; the answer's first token would merge into it")


@dataclass(frozen=True, eq=False)
class PreferenceSampler:
    """Batch `index` of the questions and their sampled responses: one task each, prompts of similar length."""

    prompts: PromptBuilder
    questions: Sequence[Question]
    sampled: Sequence[tuple[int, ...]]
    batch_size: int
    seed: int

    def __call__(self, index: int) -> PreferenceBatch:
        epoch, number, places = self.epochs[index]
        rng = stream(Stream.ALLD_WORDS, self.seed, epoch, number)
        questions, sampled = [self.questions[i] for i in places], [self.sampled[i] for i in places]
        return preference_batch(self.prompts, questions, sampled, rng)

    @cached_property
    def epochs(self) -> Epochs:
        return Epochs(self._epoch)

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = stream(Stream.ALLD_ORDER, self.seed, epoch)
        batches: list[list[int]] = []
        for task in ("describe", "compare"):
            ids = [i for i, question in enumerate(self.questions) if question.task == task]
            cuts = cut([self.questions[i].samples for i in ids], self.batch_size, rng)
            batches += [[ids[k] for k in batch] for batch in cuts if batch]
        return [batches[int(i)] for i in rng.permutation(len(batches))]
