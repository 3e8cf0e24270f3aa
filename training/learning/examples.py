"""Clips → training examples → batches. A batch follows from (seed, index) and from what is `told`: a run can resume.

Five tasks. "line": the five ratings and the causes; "describe": both, then prose; "compare": two clips, verdict and
argument. Two short ones ask for what prose rests on: "aspect" for one dimension's rating and the worst of its causes,
"which" for the better of two clips.

A model that is served goes on from the line that it has read itself. One that had only seen true lines trusted them: it
heard faults in whatever it had rated a little too low. So a clip's row may hold a line as `told`: the answer goes on
from it, its words follow from it, and what is to be read, ratings and causes, stays the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sqe_fast.answer.phrases import Named
from sqe_fast.answer.program import Program
from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import IM_END, PromptBuilder, Rated
from sqe_fast.audio.features import frame_count
from sqe_fast.checkpoint.config import audio_tokens
from sqe_fast.results import DIMENSIONS, RATINGS
from training.corpora.annotation import Annotation
from training.language import captions, causes
from training.learning import expert_text, hearing, listing
from training.learning.batches import Epochs, cut
from training.streams import Stream, stream

Task = Literal["describe", "line", "compare", "aspect", "which"]
PAIR_TASKS: tuple[Task, ...] = ("compare", "which")
LINE_TASKS: tuple[Task, ...] = ("line", "describe")
"""Whose answers go on from a line."""
IGNORED = -100
ASPECT_TASKS = {
    "noisiness": "Rate the noise.",
    "coloration": "Rate the timbre.",
    "discontinuity": "Rate the flow.",
    "loudness": "Rate the volume.",
    "mos": "Rate the overall quality.",
}
WHICH_TASK = "Which one, in a word?"
NO_CAUSE = "none"


@dataclass(frozen=True)
class Example:
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    ratings: tuple[float, ...] = ()
    """The exact ratings that the answer's first tokens state, to be predicted; NaN where a token stands for one that
    nobody was asked for, and is not scored."""
    scored: tuple[bool, ...] = ()
    """Answer tokens that are trained; empty: all."""
    named: tuple[bool, ...] = ()
    """Answer tokens of the prose that name a cause; empty: none."""
    listed: tuple[Mapping[int, float] | None, ...] = ()
    """What is to be read before each answer token that is an entry of a list: tokens and their probabilities. None for
    any other; empty: no list."""
    clips: tuple[Annotation, ...] = ()
    """Whose audio the prompt holds, in order."""

    def __post_init__(self) -> None:
        for marks in (self.scored, self.named, self.listed):
            if marks and len(marks) != len(self.answer):
                raise ValueError(f"{len(marks)} marks for {len(self.answer)} answer tokens")


@dataclass(frozen=True)
class Batch:
    tokens: Tensor  # [B, T] int64, padded on the right
    targets: Tensor  # [B, T] int64: the next token where it is part of the answer, else IGNORED
    ratings: Tensor  # [B, T] float32: the exact rating where the next token states one, else NaN
    named: Tensor  # [B, T] bool: the next token is part of a cause's name
    listed: Tensor  # [B, T] int64: which of the distributions the next token, an entry of a list, is read from; else −1
    distributions: tuple[Mapping[int, float], ...]
    """To be read before the entries of lists: tokens and their probabilities."""
    clips: tuple[Annotation, ...]
    """Whose audio the prompts hold, in order."""
    behind: Callable[[Sequence[Rated]], Batch] | None = None
    """The same batch, each clip with another line `told`; None where no line that was heard goes before anything."""

    def to(self, device: torch.device) -> Batch:
        tensors = (self.tokens, self.targets, self.ratings, self.named, self.listed)
        return Batch(*(tensor.to(device) for tensor in tensors), self.distributions, self.clips)

    @property
    def prose(self) -> Tensor:
        """[B, T] bool: the next token is scored, and neither a rating nor an entry of a list."""
        return (self.targets != IGNORED) & self.ratings.isnan() & (self.listed < 0)


# --- examples ------------------------------------------------------------------------------------------------------


def audio_example(
    prompts: PromptBuilder,
    task: Task,
    clips: Sequence[Annotation],
    rng: np.random.Generator,
    *,
    diverse: bool = True,
    certain: bool = False,
) -> Example:
    """What the audio model learns from `clips` (two of them for "compare" and "which").

    Unless `diverse`, a clip's caption is the same every time. Unless `certain`, some of what is known is listed in
    coarser words or not at all, as a served model lists it where it is not sure.
    """
    words = rng if diverse else fixed_rng(clips)
    match task:
        case "aspect":
            return _aspect(prompts, clips[0], rng)
        case "which":
            return _which(prompts, clips)
        case "compare":
            a, b = clips
            return _compared(prompts, audio_prompt(prompts, clips), clips, argument(a, b, words), clips)
        case "line" if not listing.complete(clips[0]):
            return _partly_rated(prompts, clips[0])
    return _rated(prompts, task, audio_prompt(prompts, clips), clips[0], words, with_audio=True, certain=certain)


def text_example(
    prompts: PromptBuilder, task: Task, clips: Sequence[Annotation], rng: np.random.Generator, *, diverse: bool = True
) -> Example:
    """The answers to "line", "describe" and "compare" for the text expert, which reads ratings and causes instead."""
    words = rng if diverse else fixed_rng(clips)
    if task == "compare":
        a, b = clips
        return _compared(prompts, text_prompt(prompts, clips), clips, argument(a, b, words), ())
    if task in ("line", "describe"):
        return _rated(prompts, task, text_prompt(prompts, clips), clips[0], words, with_audio=False)
    raise ValueError(f"the text expert has no task {task!r}")


def audio_program(prompts: PromptBuilder, clips: Sequence[Annotation], *, outlined: bool = True) -> Program:
    """What the engine runs to describe one clip, or to compare two."""
    counts = [audio_tokens(frame_count(hearing.length(clip))) for clip in clips]
    if len(clips) == 1:
        return prompts.rate(counts[0], describe=True)
    a, b = clips
    return prompts.compare(counts[0], counts[1], a, b, outlined=outlined)


def audio_prompt(prompts: PromptBuilder, clips: Sequence[Annotation]) -> tuple[int, ...]:
    """x_audio: the prompt that holds one clip; or two to be compared, and their ratings."""
    return audio_program(prompts, clips).tokens


def text_prompt(prompts: PromptBuilder, clips: Sequence[Annotation]) -> tuple[int, ...]:
    """x_text: the same question, with ratings and causes in the place of the clips."""
    if len(clips) == 1:
        return expert_text.rate_prompt(prompts, clips[0])
    return (*expert_text.compare_prompt(prompts, *clips), *prompts.lines(*clips))


def fixed_rng(clips: Sequence[Annotation]) -> np.random.Generator:
    """From which one clip, or one pair, always gets the same caption."""
    return stream(Stream.FIXED_CAPTION, 0, *(clip["seed"] for clip in clips))


def description(clip: Annotation, names: Sequence[str], rng: np.random.Generator) -> str:
    """One of the clip's stored texts where a language model wrote some, else the grammar's under a list of `names`."""
    stored = clip.get("descriptions")
    return str(stored[int(rng.integers(len(stored)))]) if stored else captions.describe(clip, names, rng)


def argument(a: Annotation, b: Annotation, rng: np.random.Generator) -> str:
    """The stored reasons of this pair where a language model wrote them, else the grammar's."""
    stored = stored_argument(a, b)
    return captions.argue(a, b, rng) if stored is None else stored


def stored_argument(a: Annotation, b: Annotation) -> str | None:
    """What a language model wrote of this pair."""
    stored: Mapping[int, str] = a.get("arguments", {})
    return stored.get(b["seed"])


def _rated(
    prompts: PromptBuilder,
    task: Task,
    prompt: tuple[int, ...],
    clip: Annotation,
    words: np.random.Generator,
    *,
    with_audio: bool,
    certain: bool = False,
) -> Example:
    ratings = tuple(float(clip[name]) for name in RATINGS)
    clips = (clip,) if with_audio else ()
    written = "descriptions" in clip  # such a text knows all that was recorded, and the true line
    certain, told = certain or written, clip if written else _told(clip)
    entries = listing.entries(clip) if certain else listing.as_served(clip, words)
    names = listing.known(prompts).listable(entries)
    line = (*prompts.line(told), *prompts.listing(names))
    listed = (*(None for _ in RATINGS), *_distributions(prompts, clip, names))
    if task == "line":
        return Example(prompt, line, ratings, listed=listed, clips=clips)
    text = description(told, names, words)
    answer = prompts.rate_answer(told, text, names)
    prose = (None,) * (len(answer) - len(listed))
    named = _named(prompts, answer, f"{text}{IM_END}", captions.stock().read(text).causes)
    return Example(prompt, answer, ratings, named=named, listed=(*listed, *prose), clips=clips)


def _partly_rated(prompts: PromptBuilder, clip: Annotation) -> Example:
    """A line in which only the ratings that the panel gave are scored. What follows it is not known."""
    ratings = tuple(float(clip.get(name, math.nan)) for name in RATINGS)
    line = prompts.line(_told({**clip, **clip["plausible"]}))
    scored = tuple(not math.isnan(rating) for rating in ratings)
    return Example(audio_prompt(prompts, (clip,)), line, ratings, scored, clips=(clip,))


def _told(clip: Annotation) -> Annotation:
    """The row with the ratings that its answer goes on from."""
    return {**clip, **clip.get("told", {})}


def _distributions(prompts: PromptBuilder, clip: Annotation, names: Sequence[str]) -> Iterator[Mapping[int, float]]:
    """What is to be read before each of `names`, and before the end of the list."""
    for count in range(len(names) + 1):
        wanted = listing.wanted(clip, names[:count], listing.known(prompts))
        yield {prompts.cause_ids[name]: probability for name, probability in wanted.items()}


def _compared(
    prompts: PromptBuilder,
    prompt: tuple[int, ...],
    pair: Sequence[Annotation],
    reasons: str,
    clips: Sequence[Annotation],
) -> Example:
    a, b = pair
    answer, written = prompts.compare_answer(a, b, verdict(a["mos"], b["mos"]), reasons), f" {reasons}{IM_END}"
    found = [named for _, named in captions.stock().read_argument(written).causes]
    return Example(prompt, answer, named=_named(prompts, answer, written, found), clips=tuple(clips))


def _aspect(prompts: PromptBuilder, clip: Annotation, rng: np.random.Generator) -> Example:
    """ " 2.3 hum": a rating, and what alone lowers it most. What a human-rated clip suffers from was not recorded: of
    it the rating alone is scored."""
    name = str(rng.choice(list(ASPECT_TASKS)))
    prompt = prompts.turn((*_slot(prompts, clip), *prompts.encode(f"\n{ASPECT_TASKS[name]}")))
    found = causes.audible(clip, *([name] if name in DIMENSIONS else []))
    number, cause = prompts.number_id(clip[name]), prompts.encode(f" {found[0]['name'] if found else NO_CAUSE}")
    answer = (number, *cause, prompts.stop)
    known = listing.recorded(clip)
    scored = (True, *(known for _ in answer[1:]))
    named = (False, *(known for _ in cause), False)
    return Example(prompt, answer, (float(clip[name]),), scored, named, clips=(clip,))


def _which(prompts: PromptBuilder, pair: Sequence[Annotation]) -> Example:
    a, b = pair
    user = (
        *prompts.encode("A:"),
        *_slot(prompts, a),
        *prompts.encode("\nB:"),
        *_slot(prompts, b),
        *prompts.encode(f"\n{WHICH_TASK}"),
    )
    better = prompts.verdict_ids[verdict(a["mos"], b["mos"])]
    return Example(prompts.turn(user), (better,), clips=tuple(pair))


def _slot(prompts: PromptBuilder, clip: Annotation) -> tuple[int, ...]:
    return prompts.slot(audio_tokens(frame_count(hearing.length(clip))))


def _named(prompts: PromptBuilder, answer: Sequence[int], text: str, found: Iterable[Named]) -> tuple[bool, ...]:
    """Which answer tokens lie in what was `found` in `text`, from which the answer's last tokens were made."""
    spans = [(named.start, named.end) for named in found]
    offsets = prompts.tokenizer.encode(text, add_special_tokens=False).offsets
    marks = tuple(any(first < end and start < last for start, end in spans) for first, last in offsets)
    return (False,) * (len(answer) - len(marks)) + marks


# --- batches -------------------------------------------------------------------------------------------------------

MakeExample = Callable[[PromptBuilder, Task, Sequence[Annotation], np.random.Generator], Example]


@dataclass(frozen=True)
class Draw:
    """What a batch is made of: its task, the clips of each example, and the generator that its words come from."""

    task: Task
    groups: tuple[tuple[Annotation, ...], ...]
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class Sampler:
    """Batches of one task each, of clips of similar length: `batch_size` of them, fewer where they are long."""

    clips: Sequence[Annotation]
    prompts: PromptBuilder
    make: MakeExample
    tasks: dict[Task, float]
    batch_size: int
    seed: int
    order: Stream
    """Decides which clips stand together: one generator an epoch."""
    content: Stream
    """Decides task, pairs and words: one generator a batch."""
    together: int = 1
    """Processes that share a step."""

    def __call__(self, index: int) -> Batch:
        drawn = self.draw(index)
        batch = self._made(drawn)
        goes_on = drawn.task in LINE_TASKS and batch.clips
        return replace(batch, behind=partial(self._behind, index)) if goes_on else batch

    def _behind(self, index: int, lines: Sequence[Rated]) -> Batch:
        drawn = self.draw(index)
        told = [({**clip, "told": line},) for (clip,), line in zip(drawn.groups, lines, strict=True)]
        return self._made(replace(drawn, groups=tuple(told)))

    def _made(self, drawn: Draw) -> Batch:
        return collate([self.make(self.prompts, drawn.task, group, drawn.rng) for group in drawn.groups])

    def draw(self, index: int) -> Draw:
        rng = stream(self.content, self.seed, index)
        task: Task = rng.choice(list(self.tasks), p=list(self.tasks.values()))
        place = self.epochs[index]
        clips = [hearing.heard(self.clips[i], place.epoch) for i in place.items]
        groups = self._pairs(clips, rng) if task in PAIR_TASKS else [(clip,) for clip in clips]
        return Draw(task, tuple(groups), rng)

    def _pairs(self, clips: Sequence[Annotation], rng: np.random.Generator) -> list[tuple[Annotation, Annotation]]:
        """Of `clips` two and two; or half as many of the pairs that a language model argued, where there are any."""
        if self.argued:
            return [self.argued[int(i)] for i in rng.integers(len(self.argued), size=len(clips) // 2)]
        mixed = [clips[int(i)] for i in rng.permutation(len(clips) // 2 * 2)]
        return list(zip(mixed[::2], mixed[1::2], strict=True))

    @cached_property
    def argued(self) -> list[tuple[Annotation, Annotation]]:
        return argued_pairs(self.clips)

    @cached_property
    def epochs(self) -> Epochs:
        return Epochs(self._epoch)

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = stream(self.order, self.seed, epoch)
        batches = cut([int(clip["samples"]) for clip in self.clips], self.batch_size, rng, self.together)
        return [batch for batch in batches if len(batch) > 1]


def argued_pairs(clips: Sequence[Annotation]) -> list[tuple[Annotation, Annotation]]:
    """The pairs among `clips` with stored arguments."""
    by_seed = {clip["seed"]: clip for clip in clips if "arguments" in clip}
    return [(a, by_seed[b]) for a in by_seed.values() for b in a["arguments"] if b in by_seed]


def collate(examples: Sequence[Example]) -> Batch:
    """Right-padded; the target of position t is token t + 1, so prompt and answer meet at the prompt's last token."""
    length = max(len(example.prompt) + len(example.answer) for example in examples) - 1
    tokens = torch.zeros(len(examples), length, dtype=torch.int64)
    targets = torch.full_like(tokens, IGNORED)
    ratings = torch.full(tokens.shape, float("nan"))
    named = torch.zeros(tokens.shape, dtype=torch.bool)
    listed, distributions = torch.full_like(tokens, -1), list[Mapping[int, float]]()
    for i, example in enumerate(examples):
        whole = torch.tensor(example.prompt + example.answer)
        tokens[i, : len(whole) - 1] = whole[:-1]
        answer = slice(len(example.prompt) - 1, len(whole) - 1)
        scored = torch.tensor(example.scored or (True,) * len(example.answer))
        targets[i, answer] = whole[len(example.prompt) :].where(scored, IGNORED)
        if example.named:
            named[i, answer] = torch.tensor(example.named)
        for at, distribution in enumerate(example.listed):
            if distribution is not None:
                listed[i, answer.start + at] = len(distributions)
                distributions.append(distribution)
        if example.ratings:
            ratings[i, answer.start : answer.start + len(example.ratings)] = torch.tensor(example.ratings)
    clips = tuple(clip for example in examples for clip in example.clips)
    return Batch(tokens, targets, ratings, named, listed, tuple(distributions), clips)
