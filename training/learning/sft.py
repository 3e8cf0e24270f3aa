"""Warm-up of the audio model (the paper's SFT): encoder, projector and decoder together, on ratings, prose and A/B.

Tasks are those of `examples.py`. It starts from an encoder that hears already (`hearing.py`) and from the text expert,
whose task goes on between the others, so that learning to listen does not cost the prose: how words follow from the
line is the same in both, and a text step is cheap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import CONFIG_FILE
from sqe_fast.model.qwen2_audio import Qwen2Audio, load_checkpoint, save_checkpoint
from sqe_fast.results import RATINGS
from training.corpora.corpus import Clips
from training.learning import expert, hearing, lora, tokenizer
from training.learning.answer_loss import AnswerLoss, Losses, total
from training.learning.examples import Batch, Row, Sampler, Task, audio_example, audio_prompt, text_example
from training.learning.growing import Growing
from training.learning.hearing import PooledHead, heard, rating_report, true_ratings
from training.learning.loop import Schedule, join, train
from training.streams import Stream, stream, torch_seed

TASKS: dict[Task, float] = {"line": 0.1, "describe": 0.45, "compare": 0.2, "aspect": 0.15, "which": 0.1}
TEXT_TASKS: dict[Task, float] = {"describe": 0.4, "compare": 0.6}
TEXT_SHARE = 0.25
"""Share of the batches that go on with the expert's text task."""
TEXT_BATCH = 2.5
"""Rows of a text batch for each clip of an audio batch: about the same time."""
ENCODER_RATE, PROJECTOR_RATE, DECODER_RATE = 1e-4, 5e-4, 4e-4


class Listener(nn.Module):
    """The model in training, and what it hears. Called with a batch it gives the batch's losses.

    With a frozen `head` the audio embeddings must go on showing it ratings and causes.
    """

    def __init__(self, model: Qwen2Audio, clips: Clips, prompts: PromptBuilder, head: PooledHead | None = None) -> None:
        super().__init__()
        self.model = model
        self.clips = clips
        self.prompts = prompts
        self.head = head
        self.answer_loss = AnswerLoss(prompts)

    def forward(self, batch: Batch) -> Losses:
        batch = batch.to(self.device)
        audio = self.encode(batch.rows)
        losses: Losses = self.answer_loss(self.model.logits, self.model(batch.tokens, audio), batch)
        if self.head is not None and audio:
            pooled = self.head.losses(audio, batch.rows)
            losses = {**losses, **pooled, "loss": losses["loss"] + total(pooled)}
        return losses

    @property
    def device(self) -> torch.device:
        return self.model.decoder.head.weight.device

    def encode(self, rows: tuple[Row, ...]) -> tuple[Tensor, ...]:
        """Audio embeddings [tokens, hidden] of each clip; of none, none."""
        if not rows:
            return ()
        return self.model.encode_batch(heard(self.clips, rows, self.model.config.audio.n_mels, self.device))

    @torch.inference_mode()
    def rate(self, rows: tuple[Row, ...]) -> Tensor:
        """The five ratings of each clip, [B, 5], as inference reads them: each after those read before it."""
        questions = [audio_prompt(self.prompts, (row,)) for row in rows]
        lines = Growing(self.model, questions, self.encode(rows), len(RATINGS))
        last, read = lines.first, []
        for _ in RATINGS:
            if read:
                numbers = [self.prompts.number_id(float(value)) for value in read[-1]]
                last = lines.step(range(len(rows)), numbers)
            read.append(self.answer_loss.expectation(self.model.logits(last).float()))
        return torch.stack(read, 1)

    def validate(self, batch_size: int = 16) -> dict[str, float]:
        """Mean squared error and correlation of each rating, over all clips."""
        self.eval().to(self.device)
        rows = self.clips.rows
        read = [self.rate(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
        return rating_report(torch.cat(read).cpu(), true_ratings(rows))


@dataclass(frozen=True, eq=False)
class Mixture:
    """Audio batches, and between them text batches."""

    audio: Sampler
    text: Sampler
    seed: int

    @classmethod
    def of(cls, clips: Clips, prompts: PromptBuilder, batch_size: int, seed: int, *, diverse: bool) -> Mixture:
        audio, text = (partial(make, diverse=diverse) for make in (audio_example, text_example))
        heard = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH
        read = Stream.SFT_TEXT_ORDER, Stream.SFT_TEXT_BATCH
        return cls(
            Sampler(clips.rows, prompts, audio, TASKS, batch_size, seed, *heard),
            Sampler(clips.rows, prompts, text, TEXT_TASKS, round(TEXT_BATCH * batch_size), seed, *read),
            seed,
        )

    def __call__(self, index: int) -> Batch:
        return self.sampler(index)(index)

    def sampler(self, index: int) -> Sampler:
        """The one that makes batch `index`."""
        return self.text if stream(Stream.SFT_MODALITY, self.seed, index).random() < TEXT_SHARE else self.audio


@dataclass(frozen=True)
class Parts:
    """Folders of the runs that an audio model is put together from; without one for the encoder, it is Whisper's."""

    encoder: Path | None
    expert: Path

    def assemble(self, prompts: PromptBuilder) -> tuple[Qwen2Audio, PooledHead | None]:
        model, head = hearing.load(self.encoder, prompts) if self.encoder else (hearing.untrained(prompts), None)
        expert.load(self.expert, model.decoder)
        return model, head

    def __str__(self) -> str:
        return f"{self.encoder.name if self.encoder else 'whisper'} and {self.expert.name}"


def run(
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    start: Path | Parts,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    rate: float = 1.0,
    diverse: bool = True,
    lora_rank: int = 0,
    train_encoder: bool = True,
) -> None:
    """Train into FOLDER/state.pt, and write the finished checkpoint (weights and tokenizer) to FOLDER/checkpoint.

    Starts from warmed-up parts, or from the checkpoint of another run's folder or of a Hugging Face folder. `rate`
    scales the learning rates; `lora_rank` > 0 trains adapters in the decoder instead of its weights;
    `train_encoder=False` freezes encoder and projector.
    """
    torch.manual_seed(torch_seed(Stream.SFT_WEIGHTS, seed))
    model, head = start.assemble(prompts) if isinstance(start, Parts) else (start_model(start), None)
    groups = parameter_groups(model, rate, lora_rank, train_encoder)
    listener = Listener(model, clips, prompts, head)
    batches = Mixture.of(clips, prompts, batch_size, seed, diverse=diverse)
    train(listener, groups, batches, folder, schedule, Listener(model, held_out, prompts).validate)
    if join(schedule).leads:
        facts = {"clips": len(clips), "start": str(start), "lora_rank": lora_rank, "diverse": diverse}
        write_checkpoint(model, prompts, folder, schedule, batch_size, seed, facts)


def start_model(folder: Path) -> Qwen2Audio:
    """The float32 model of a finished run, or of a Hugging Face folder. Raises FileNotFoundError for any other."""
    for checkpoint in (folder / "checkpoint", folder):
        if (checkpoint / CONFIG_FILE).exists():
            return load_checkpoint(checkpoint)[0].train()
    raise FileNotFoundError(f"{folder} holds no checkpoint: finish that run first")


def parameter_groups(model: Qwen2Audio, rate: float, lora_rank: int, train_encoder: bool) -> list[dict[str, Any]]:
    """AdamW's groups, each with its peak learning rate; injects adapters and freezes what is not to be trained."""
    if lora_rank:
        lora.inject(model.decoder, lora_rank)
    if not train_encoder:
        model.encoder.requires_grad_(False)
        model.projector.requires_grad_(False)
    parts = ((model.encoder, ENCODER_RATE), (model.projector, PROJECTOR_RATE), (model.decoder, DECODER_RATE))
    trained = [([p for p in part.parameters() if p.requires_grad], peak) for part, peak in parts]
    return [{"params": parameters, "lr": rate * peak} for parameters, peak in trained if parameters]


def write_checkpoint(
    model: Qwen2Audio,
    prompts: PromptBuilder,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    facts: Mapping[str, object],
) -> None:
    """FOLDER/checkpoint: plain fp16 weights, adapters merged; the tokenizer; training.json says how it came about."""
    lora.merge(model.decoder)
    save_checkpoint(model, folder / "checkpoint")
    tokenizer.save(prompts.tokenizer, folder / "checkpoint")
    told = {"steps": schedule.steps, "batch_size": batch_size, "seed": seed, **facts}
    (folder / "checkpoint" / "training.json").write_text(json.dumps(told, indent=2) + "\n")
