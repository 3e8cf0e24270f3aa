"""What the audio model itself answers (the paper's y_a), drawn by the engine that serves it.

Every answer has a random stream of its own, so it does not depend on what is drawn beside or before it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import log_mel
from sqe_fast.engine.engine import Engine
from sqe_fast.engine.sequence import AudioInput, Request, Sampling
from sqe_fast.errors import ErrorCode
from sqe_fast.jobs.lines import JsonLines
from sqe_fast.options import Serving
from sqe_fast.runners.torch_runner import TorchRunner
from training import configs
from training.corpora.corpus import Clips
from training.learning.questions import Question
from training.progress import track
from training.streams import Stream, seed_of

CPU_SLOTS = 33
"""Answers at once on a CPU; a GPU takes what fits its memory."""
AT_ONCE = 256
"""Questions that the engine is given at once, and whose answers are then kept: their log-mels lie in memory."""


@dataclass(frozen=True)
class Asked:
    """Questions on the clips of a split, and the file (JSONL) that keeps the answers."""

    clips: Clips
    questions: Sequence[Question]
    file: Path


def sample(
    checkpoint: Path,
    prompts: PromptBuilder,
    asked: Sequence[Asked],
    how: configs.Sampling,
    seed: int,
    device: torch.device,
) -> None:
    """Have the model in the folder `checkpoint` answer all that is `asked`; goes on where an earlier run stopped.

    An answer that is as long as prose may be is kept without an end. Raises ValueError where a file was sampled in
    another way, ClipError where a question cannot be asked.
    """
    missing = [each for each in asked if _begun(each, how, seed) < len(each.questions)]
    if not missing:
        return
    on_gpu = device.type == "cuda"
    serving = Serving(str(device) if on_gpu else "torch-cpu", slots=None if on_gpu else CPU_SLOTS)
    runner = TorchRunner(checkpoint, serving)
    for each in missing:
        _answer(Engine(runner), prompts, each, how, seed)  # one for each split: its cache knows clips by their seeds


def read_sampled(file: Path) -> list[tuple[int, ...]]:
    """The answers that `sample` kept, in the order of the questions."""
    _, *lines = file.read_text().splitlines()
    return [tuple(json.loads(line)["tokens"]) for line in lines]


def _begun(asked: Asked, how: configs.Sampling, seed: int) -> int:
    """How many answers there are. The first line of their file says how they were drawn."""
    about: dict[str, Any] = {
        "source": asked.file.parent.name,
        "questions": len(asked.questions),
        "seed": seed,
        **asdict(how),
    }
    with JsonLines(asked.file) as lines:
        if not lines.entries:
            lines.append(about)
        found = lines.entries[0]
        if found != about:
            raise ValueError(
                f"{asked.file} was sampled otherwise ({found}, not {about}): remove it or use another folder"
            )
        return len(lines.entries) - 1


def _answer(engine: Engine, prompts: PromptBuilder, asked: Asked, how: configs.Sampling, seed: int) -> None:
    with JsonLines(asked.file) as lines:
        starts = range(len(lines.entries) - 1, len(asked.questions), AT_ONCE)
        for start in track(starts, f"sampling {asked.file.stem}"):
            questions = asked.questions[start : start + AT_ONCE]
            requests = [_request(engine, prompts, asked.clips, each, how, seed) for each in questions]
            for result in engine.run(requests):
                if result.error is not None and result.error.code is not ErrorCode.GENERATION_FAILED:
                    raise result.error
                lines.append({"tokens": result.tokens})


def _request(
    engine: Engine, prompts: PromptBuilder, clips: Clips, question: Question, how: configs.Sampling, seed: int
) -> Request:
    n_mels = engine.runner.info.n_mels
    audio = (AudioInput(str(clip["seed"]), log_mel(clips.audio(clip), n_mels)) for clip in question.clips)
    own_seed = seed_of(Stream.ALLD_ANSWER, seed, *(clip["seed"] for clip in question.clips))
    return Request(question.program(prompts), tuple(audio), Sampling(own_seed, how.temperature, how.top_p))
