"""What alignment compares: two responses to one question, after two prompts, aligned token by token.

The audio model hears the clips (x_audio), the expert reads their ratings (x_text); both are scored on the corpus text
y_t and on y_a, the audio model's own answer. What inference forces (newline, an argument's head and conclusion,
numbers in prose, the clip ahead in a dimension) is scored on neither side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from sqe_fast.answer.argument import ASPECTS
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.results import RATINGS
from training.corpora.corpus import Clips
from training.learning.batches import Epochs, cut
from training.learning.examples import IGNORED, Batch, Example, argued_pairs, audio_example, collate, text_prompt
from training.learning.sampling import Question
from training.streams import Stream, stream

COMPARE_SHARE = 0.25
"""Pairs to be compared for each clip to be described."""


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


def scored(prompts: PromptBuilder, question: Question, response: Sequence[int]) -> tuple[bool, ...]:
    """Which tokens of a response the model chose, as opposed to the template. A response that was cut off is fine.

    Raises ValueError for what does not follow the template.
    """
    forced = _template(prompts, question, response)
    marks = [True] * len(response)
    for start, tokens in forced:
        if tuple(response[start : start + len(tokens)]) != tokens:
            raise ValueError(f"a response to {question.task!r} does not follow the template at token {start}")
        marks[start : start + len(tokens)] = [False] * len(tokens)
    numbers, letters = set(prompts.number_ids), set(prompts.clip_ids.values())
    contexts = [prompts.encode(f" {aspect} Speech") for aspect in ASPECTS.values()]
    last, tokens = forced[-1]
    for i in range(last + len(tokens), len(response)):
        ahead = response[i] in letters and any(tuple(response[i - len(c) : i]) == c for c in contexts)
        if response[i] in numbers or ahead:
            marks[i] = False
    return tuple(marks)


def _template(prompts: PromptBuilder, question: Question, response: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Where what is forced before the prose stands, and what it is."""
    if question.task == "describe":
        return [(len(RATINGS), prompts.encode("\n"))]
    head = prompts.compare_head(*question.clips)
    verdicts = {id: verdict for verdict, id in prompts.verdict_ids.items()}
    if len(response) <= len(head) or response[len(head)] not in verdicts:
        raise ValueError(f"a response to {question.task!r} must hold a verdict at token {len(head)}")
    argued = prompts.argued_head(*question.clips, verdicts[response[len(head)]])  # type: ignore[arg-type]
    return [(0, head), (len(head) + 1, argued[len(head) + 1 :])]


def preference_batch(
    prompts: PromptBuilder,
    questions: Sequence[Question],
    sampled: Sequence[tuple[int, ...]],
    rng: np.random.Generator,
    *,
    diverse: bool = True,
) -> PreferenceBatch:
    """Both responses to each question (all of one task), after both prompts."""
    with_audio: list[Example] = []
    for question in questions:
        target = audio_example(prompts, question.task, question.clips, rng, diverse=diverse)
        with_audio.append(replace(target, scored=scored(prompts, question, target.answer)))
    for target, question, answer in zip(tuple(with_audio), questions, sampled, strict=True):
        with_audio.append(Example(target.prompt, answer, scored=scored(prompts, question, answer)))
    texts = [text_prompt(prompts, question.clips) for question in questions] * 2
    with_text = [Example(text, one.answer, scored=one.scored) for text, one in zip(texts, with_audio, strict=True)]
    for example in (*with_audio, *with_text):
        _check_boundary(prompts, example)
    return PreferenceBatch(collate(with_audio), collate(with_text))


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
    sampled: Mapping[int, tuple[int, ...]]
    batch_size: int
    seed: int
    diverse: bool = True

    def __call__(self, index: int) -> PreferenceBatch:
        epoch, number, chosen = self.epochs[index]
        rng = stream(Stream.ALLD_WORDS, self.seed, epoch, number)
        return preference_batch(
            self.prompts,
            [self.questions[i] for i in chosen],
            [self.sampled[i] for i in chosen],
            rng,
            diverse=self.diverse,
        )

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
    return [Question("describe", (clip,)) for clip in described] + [Question("compare", pair) for pair in pairs]
