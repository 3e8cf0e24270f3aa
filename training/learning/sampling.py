"""What the audio model itself says of a clip (the paper's y_a): answers drawn from it, many clips at a time.

Drawn like the engine answers: the line from the number tokens, prose from prose tokens; the newline, an argument's
conclusion, the numbers in the prose and the clip ahead in a dimension are forced. Every answer has its own random
numbers, so that it does not depend on what was sampled before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sqe_fast.answer.program import MAX_DESCRIPTION_TOKENS
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.results import RATINGS
from training.corpora.annotation import Annotation
from training.learning.batches import LONG_CLIP, cut
from training.learning.examples import Task, audio_prompt
from training.learning.growing import Growing
from training.learning.policy import Policy
from training.progress import track
from training.streams import Stream, stream

CONCLUSION = 64
"""Room for an argument's forced tokens."""


@dataclass(frozen=True)
class Question:
    """One question to the audio model: a clip to describe, or two to compare."""

    task: Task
    clips: tuple[Annotation, ...]

    @property
    def samples(self) -> int:
        return sum(int(clip["samples"]) for clip in self.clips)


@dataclass(frozen=True)
class Settings:
    """How answers are drawn."""

    temperature: float = 0.9
    top_p: float = 0.95
    seed: int = 0
    max_tokens: int = MAX_DESCRIPTION_TOKENS
    """Of the prose. An answer that is longer is cut, and has no end token."""


class _Answer:
    """One answer on its way: which tokens may come next, and what is forced."""

    def __init__(self, prompts: PromptBuilder, question: Question, limit: int) -> None:
        self._prompts, self._job, self._limit = prompts, question, limit
        self.tokens: list[int] = []
        self.done = False
        self.kind = "number" if question.task == "describe" else "verdict"
        """The mask that holds for the next token."""
        self.prompt = audio_prompt(prompts, question.clips)
        self._forced: list[int] = []
        self._ahead: tuple[tuple[tuple[int, ...], int], ...] = ()
        self._writing = ""
        self._written = 0
        if question.task == "compare":
            self.tokens += prompts.compare_head(*question.clips)

    def take(self, drawn: int) -> None:
        """Append the forced token where there is one, else `drawn`."""
        if self._forced:
            self.tokens.append(self._forced.pop(0))
            return
        if self.kind in ("number", "verdict"):
            self.tokens.append(drawn)
            self._read()
            return
        token = self._fixed(drawn)
        self.tokens.append(token)
        self._written += 1
        self.kind = self._writing
        self.done = token == self._prompts.stop or self._written == self._limit

    def _read(self) -> None:
        prompts, clips = self._prompts, self._job.clips
        if self.kind == "verdict":
            verdict = next(name for name, id in prompts.verdict_ids.items() if id == self.tokens[-1])
            self._forced = list(prompts.argued_head(*clips, verdict)[len(self.tokens) :])  # type: ignore[arg-type]
            self._ahead = prompts.ahead(*clips)
            self._writing = "reasons"
        elif len(self.tokens) == len(RATINGS):
            self._forced = list(prompts.encode("\n"))
            self._writing = "prose"
        else:
            return
        self.kind = f"first {self._writing}"

    def _fixed(self, drawn: int) -> int:
        for context, following in self._ahead:
            if tuple(self.tokens[-len(context) :]) == context:
                return following
        return self.tokens[len(RATINGS) - 1] if drawn in self._prompts.number_ids else drawn


class AnswerSampler:
    """Draws answers from the model of a `Policy`."""

    def __init__(self, policy: Policy, prompts: PromptBuilder, settings: Settings) -> None:
        self._policy, self._prompts, self._settings = policy, prompts, settings
        self._masks = _masks(prompts, policy.model.config.text.vocab_size, policy.device)

    @torch.inference_mode()
    def answers(self, questions: Sequence[Question]) -> list[tuple[int, ...]]:
        """The response of each question, drawn from a stream of its own."""
        settings, model = self._settings, self._policy.model
        drafts = [_Answer(self._prompts, question, settings.max_tokens) for question in questions]
        seeds = [[clip["seed"] for clip in question.clips] for question in questions]
        dice = [stream(Stream.ALLD_ANSWER, settings.seed, *of_clips) for of_clips in seeds]
        audio = self._policy.encode(tuple(clip for question in questions for clip in question.clips))
        fed = [(*draft.prompt, *draft.tokens) for draft in drafts]
        growing = Growing(model, fed, audio, settings.max_tokens + CONCLUSION)
        last = growing.first
        alive = list(range(len(questions)))
        while True:
            dice_now = torch.tensor([dice[i].random() for i in alive], device=last.device)
            drawn = self._draw(model.logits(last).float(), [drafts[i].kind for i in alive], dice_now)
            for i, token in zip(alive, drawn.tolist(), strict=True):
                drafts[i].take(token)
            alive = [i for i in alive if not drafts[i].done]
            if not alive:
                return [tuple(draft.tokens) for draft in drafts]
            last = growing.step(alive, [drafts[i].tokens[-1] for i in alive])

    def _draw(self, logits: Tensor, kinds: Sequence[str], dice: Tensor) -> Tensor:
        """One token of each clip of logits [B, V]: the allowed ones, at the temperature, from the smallest set that
        holds `top_p` of the probability. `dice` [B] are uniform random numbers."""
        allowed = torch.stack([self._masks[kind] for kind in kinds])
        logits = logits.masked_fill(~allowed, float("-inf")) / self._settings.temperature
        probabilities, ids = torch.softmax(logits, -1).sort(-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities
        kept = probabilities * (before < self._settings.top_p)
        upto = kept.cumsum(-1)
        rank = torch.searchsorted(upto, (dice.to(upto.dtype) * upto[:, -1])[:, None], right=True)
        last = (kept > 0).sum(-1, keepdim=True) - 1
        return ids.gather(1, rank.minimum(last))[:, 0]


def _masks(prompts: PromptBuilder, vocabulary: int, device: torch.device) -> dict[str, Tensor]:
    """Which tokens [vocabulary] each kind of position may hold; prose is not empty."""
    numbers = set(prompts.number_ids)
    kinds = {
        "number": numbers,
        "verdict": set(prompts.verdict_ids.values()),
        "first prose": set(prompts.prose_ids) - numbers,
        "prose": {*prompts.prose_ids, prompts.stop},
        "first reasons": set(prompts.prose_ids) - numbers,
        "reasons": (set(prompts.prose_ids) - numbers) | {prompts.stop},
    }
    masks = {}
    for kind, ids in kinds.items():
        masks[kind] = torch.zeros(vocabulary, dtype=torch.bool, device=device)
        masks[kind][sorted(ids)] = True
    return masks


def sample(
    policy: Policy,
    prompts: PromptBuilder,
    questions: Sequence[Question],
    settings: Settings,
    file: Path,
    source: str,
    batch_size: int = 32,
) -> dict[int, tuple[int, ...]]:
    """Responses of all `questions` by index, kept in `file` (JSONL); goes on where an earlier run stopped.

    `source` names the model. Raises ValueError where the file was sampled in another way.
    """
    policy.eval()
    about = {"source": source, "questions": len(questions), **vars(settings)}
    done = _read(file, about)
    sampler = AnswerSampler(policy, prompts, settings)
    missing = [i for i in range(len(questions)) if i not in done]
    batches = list(_batches(missing, questions, batch_size))
    with file.open("a") as out:
        for batch in track(batches, f"sampling {file.parent.name}", disable=not batches):
            for i, tokens in zip(batch, sampler.answers([questions[i] for i in batch]), strict=True):
                done[i] = tokens
                out.write(json.dumps({"question": i, "tokens": tokens}) + "\n")
            out.flush()
    return done


def _batches(missing: Sequence[int], questions: Sequence[Question], batch_size: int) -> Iterator[list[int]]:
    for task in ("describe", "compare"):
        indices = [i for i in missing if questions[i].task == task]
        rng = stream(Stream.ALLD_ORDER, 0, 0)  # in which order they are asked changes no answer
        for batch in cut([questions[i].samples for i in indices], batch_size, rng, long=LONG_CLIP * 2):
            if batch:
                yield [indices[k] for k in batch]


def _read(file: Path, about: dict[str, object]) -> dict[int, tuple[int, ...]]:
    """What `file` holds; a line that was cut off is dropped from it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(about) + "\n")
        return {}
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    first, *lines = (json.loads(line) for line in whole.splitlines())
    if first != about:
        raise ValueError(f"{file} was sampled otherwise ({first}, not {about}): remove it or use another folder")
    return {line["question"]: tuple(line["tokens"]) for line in lines}
