"""Warm-up of the audio model (the paper's SFT): encoder, projector and decoder together, on ratings, prose and A/B.

Tasks are those of `examples.py`. Between them the expert's text task goes on, so that learning to listen does not cost
the prose: how words follow from the line is the same in both, and a text step is cheap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sqe_fast.features import log_mel
from sqe_fast.model.config import CONFIG_FILE
from sqe_fast.model.qwen2_audio import Qwen2Audio, load_checkpoint, save_checkpoint
from sqe_fast.prompt import PromptBuilder
from sqe_fast.results import RATINGS
from training.corpora.corpus import Clips
from training.learning import architecture, expert, lora, tokenizer, whisper
from training.learning.answer_loss import AnswerLoss, Losses
from training.learning.examples import Batch, Row, Sampler, Task, audio_example, text_example
from training.learning.loop import Schedule, join, train

TASKS: dict[Task, float] = {"line": 0.3, "describe": 0.35, "compare": 0.15, "aspect": 0.1, "which": 0.1}
READ_TASKS: dict[Task, float] = {"describe": 0.4, "compare": 0.6}
READ_SHARE = 0.35
"""Share of the batches that go on with the expert's text task."""
READ_BATCH = 2.5
"""Rows of a text batch for each clip of an audio batch: about the same time."""
ENCODER_RATE, PROJECTOR_RATE, DECODER_RATE = 2e-4, 1e-3, 4e-4


class Listener(nn.Module):
    """The model in training, and what it hears. Called with a batch it gives the batch's losses."""

    def __init__(self, model: Qwen2Audio, clips: Clips, prompts: PromptBuilder) -> None:
        super().__init__()
        self.model = model
        self.clips = clips
        self.answer_loss = AnswerLoss(prompts)

    def forward(self, batch: Batch) -> Losses:
        batch = batch.to(self.device)
        losses: Losses = self.answer_loss(self.model.logits, self.listen(batch), batch)
        return losses

    @property
    def device(self) -> torch.device:
        return self.model.decoder.head.weight.device

    def encode(self, rows: tuple[Row, ...]) -> tuple[Tensor, ...]:
        """Audio embeddings [tokens, hidden] of each clip; of none, none."""
        if not rows:
            return ()
        heard = [log_mel(self.clips.samples(row), self.model.config.audio.n_mels) for row in rows]
        return self.model.encode_batch([(torch.from_numpy(mel.data).to(self.device), mel.frames) for mel in heard])

    def listen(self, batch: Batch) -> Tensor:
        """Encode the batch's clips, if it has any, and read its tokens: hidden states [B, T, hidden]."""
        hidden: Tensor = self.model(batch.tokens, self.encode(batch.rows))
        return hidden

    @torch.inference_mode()
    def validate(self, sampler: Sampler) -> dict[str, float]:
        """Mean squared error and correlation of each rating, each read after the true ones before it."""
        self.eval()
        pairs = []
        for index in range(sampler.batches_per_epoch):
            batch = sampler(index).to(self.device)
            rated = ~batch.ratings.isnan()
            read = self.answer_loss.expectation(self.model.logits(self.listen(batch)[rated]).float())
            pairs.append(torch.stack([read, batch.ratings[rated]]).reshape(2, -1, len(RATINGS)))
        read, true = torch.cat(pairs, 1).cpu().numpy()
        report = {}
        for i, name in enumerate(RATINGS):
            report[f"{name}_mse"] = round(float(np.mean((read[:, i] - true[:, i]) ** 2)), 4)
            report[f"{name}_lcc"] = round(float(np.corrcoef(read[:, i], true[:, i])[0, 1]), 4)
        return report


def run(
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    expert_folder: Path | None,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    encoder_layers: int = architecture.ENCODER_LAYERS,
    start: Path | None = None,
    rate: float = 1.0,
    tasks: Mapping[Task, float] = TASKS,
    read_share: float = READ_SHARE,
    diverse: bool = True,
    lora_rank: int = 0,
    train_encoder: bool = True,
) -> None:
    """Train into FOLDER/state.pt, and write the finished checkpoint (weights and tokenizer) to FOLDER/checkpoint.

    Starts from Whisper's encoder and the text expert, or where `start` is given from the checkpoint of that run's
    folder, or of a Hugging Face folder. `rate` scales the learning rates; `lora_rank` > 0 trains adapters in the
    decoder instead of its weights; `train_encoder=False` freezes encoder and projector.
    """
    torch.manual_seed(seed)
    model = start_model(start) if start else _new_model(prompts, expert_folder, encoder_layers)
    groups = parameter_groups(model, rate, lora_rank, train_encoder)
    listener = Listener(model, clips, prompts)
    hear = Sampler(clips.rows, prompts, partial(audio_example, diverse=diverse), dict(tasks), batch_size, seed)
    text_batch = round(READ_BATCH * batch_size)
    read = Sampler(clips.rows, prompts, partial(text_example, diverse=diverse), READ_TASKS, text_batch, seed)

    def batches(index: int) -> Batch:
        reads = np.random.default_rng([seed, index]).random() < read_share
        return read(index) if reads else hear(index)

    train(listener, groups, batches, folder, schedule, validation(model, held_out, prompts, seed))
    if join(schedule).leads:
        facts = {"clips": len(clips), "start": start and start.name, "lora_rank": lora_rank, "diverse": diverse}
        write_checkpoint(model, prompts, folder, schedule, batch_size, seed, facts)


def _new_model(prompts: PromptBuilder, expert_folder: Path | None, encoder_layers: int) -> Qwen2Audio:
    if expert_folder is None:
        raise ValueError("without `start` the decoder's weights come from a text expert: give its folder")
    model = Qwen2Audio(architecture.tiny(prompts.tokenizer, encoder_layers))
    whisper.initialise(model.encoder)
    expert.load(expert_folder, model.decoder)
    return model


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


def validation(model: Qwen2Audio, held_out: Clips, prompts: PromptBuilder, seed: int) -> Any:
    """Rates every held-out clip, whenever it is called."""
    watcher = Listener(model, held_out, prompts)
    unseen = Sampler(held_out.rows, prompts, audio_example, {"line": 1.0}, 16, seed)

    def validate() -> dict[str, float]:
        return watcher.to(model.decoder.head.weight.device).validate(unseen)

    return validate


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
