"""Warm-up of the audio model: encoder, projector and decoder together, on three tasks.

"line": the five ratings only; "describe": ratings, then prose; "compare": two clips, verdict and argument. Between
them the expert's text task goes on.

Ratings are ordinal, so a rating token is not simply right or wrong: its target is spread over its neighbours
(`SPREAD`), and the expectation, which is what inference reads, is pulled to the exact rating by a squared error.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sqe_fast.features import log_mel
from sqe_fast.model.qwen2_audio import Qwen2Audio, save_checkpoint
from sqe_fast.prompt import NUMBER_VALUES, PromptBuilder
from sqe_fast.results import RATINGS
from training import architecture, expert, tokenizer, whisper
from training.corpus import Clips
from training.examples import IGNORED, Batch, Sampler, Task, audio_example, text_example
from training.loop import Losses, Schedule, train

TASKS: dict[Task, float] = {"line": 0.4, "describe": 0.4, "compare": 0.2}
READ_TASKS: dict[Task, float] = {"describe": 0.4, "compare": 0.6}
READ_SHARE = 0.5
"""Share of the steps that go on with the expert's text task, so that learning to listen does not cost the prose: how
words follow from the line is the same in both, and a text step is cheap."""
READ_BATCH = 2.5
"""Rows of a text step for each clip of an audio step: about the same time."""
ENCODER_RATE, PROJECTOR_RATE, DECODER_RATE = 2e-4, 1e-3, 4e-4
SPREAD = 0.15
"""Standard deviation, in rating points, of the target around a rating."""
LINE_WEIGHT, SQUARED_WEIGHT, PROSE_WEIGHT = 1.0, 1.0, 1.0


class Listener:
    """The model in training, and what it hears."""

    def __init__(self, model: Qwen2Audio, clips: Clips, prompts: PromptBuilder) -> None:
        self.model = model
        self.clips = clips
        self.number_ids = torch.tensor(prompts.number_ids)
        self.values = torch.tensor(NUMBER_VALUES)

    def listen(self, batch: Batch) -> Tensor:
        """Encode the batch's clips and read its tokens: hidden states [B, T, hidden]."""
        heard = [log_mel(self.clips.samples(row), self.model.config.audio.n_mels) for row in batch.rows]
        audio = self.model.encode_batch([(torch.from_numpy(mel.data), mel.frames) for mel in heard])
        hidden: Tensor = self.model(batch.tokens, audio)
        return hidden

    def losses(self, batch: Batch) -> Losses:
        """Of the ratings line (spread targets and squared error of the expectation) and of the other tokens."""
        hidden = self.listen(batch)
        rated = ~batch.ratings.isnan()
        line = self.model.logits(hidden[rated]).float()
        cross_entropy, squared = self._line(line, batch.ratings[rated])
        told = (batch.targets != IGNORED) & ~rated
        losses = {"line": cross_entropy, "squared": squared}
        if told.any():
            losses["prose"] = F.cross_entropy(self.model.logits(hidden[told]).float(), batch.targets[told])
        losses["loss"] = (
            LINE_WEIGHT * cross_entropy + SQUARED_WEIGHT * squared + PROSE_WEIGHT * losses.get("prose", torch.zeros(()))
        )
        return losses

    def _line(self, logits: Tensor, ratings: Tensor) -> tuple[Tensor, Tensor]:
        if not len(ratings):
            return torch.zeros(()), torch.zeros(())
        near = torch.softmax(-((self.values - ratings[:, None]) ** 2) / (2 * SPREAD**2), -1)
        cross_entropy = -(near * torch.log_softmax(logits, -1)[:, self.number_ids]).sum(-1).mean()
        squared = (self.expectation(logits) - ratings).square().mean()
        return cross_entropy, squared

    def expectation(self, logits: Tensor) -> Tensor:
        """Logits [N, vocabulary] → expected rating [N] over the number tokens."""
        return torch.softmax(logits[:, self.number_ids], -1) @ self.values

    @torch.inference_mode()
    def validate(self, sampler: Sampler) -> dict[str, float]:
        """Mean squared error and correlation of each rating, each read after the true ones before it."""
        self.model.eval()
        pairs = []
        for step in range(sampler.batches_per_epoch):
            batch = sampler(step)
            rated = ~batch.ratings.isnan()
            read = self.expectation(self.model.logits(self.listen(batch)[rated]).float())
            pairs.append(torch.stack([read, batch.ratings[rated]]).reshape(2, -1, len(RATINGS)))
        read, true = torch.cat(pairs, 1).numpy()
        report = {}
        for i, name in enumerate(RATINGS):
            report[f"{name}_mse"] = round(float(np.mean((read[:, i] - true[:, i]) ** 2)), 4)
            report[f"{name}_lcc"] = round(float(np.corrcoef(read[:, i], true[:, i])[0, 1]), 4)
        return report


def run(
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    expert_folder: Path,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    encoder_layers: int = architecture.ENCODER_LAYERS,
    start: Path | None = None,
    rate: float = 1.0,
) -> None:
    """Train into FOLDER/state.pt, and write the finished checkpoint (weights and tokenizer) to FOLDER/checkpoint.

    Starts from Whisper's encoder and the text expert, or where `start` is given from that run's weights. `rate` scales
    the learning rates.
    """
    torch.manual_seed(seed)
    model = Qwen2Audio(architecture.tiny(prompts.tokenizer, encoder_layers))
    if start:
        model.load_state_dict(torch.load(start / "state.pt", weights_only=True)["model"])
    else:
        whisper.initialise(model.encoder)
        expert.load(expert_folder, model.decoder)
    listener = Listener(model, clips, prompts)
    sampler = Sampler(clips.rows, prompts, audio_example, TASKS, batch_size, seed)
    watcher = Listener(model, held_out, prompts)
    unseen = Sampler(held_out.rows, prompts, audio_example, {"line": 1.0}, 16, seed)
    groups = [
        {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": rate * ENCODER_RATE},
        {"params": list(model.projector.parameters()), "lr": rate * PROJECTOR_RATE},
        {"params": list(model.decoder.parameters()), "lr": rate * DECODER_RATE},
    ]
    reader = Sampler(clips.rows, prompts, text_example, READ_TASKS, round(READ_BATCH * batch_size), seed)

    def loss_of(step: int) -> Losses:
        if np.random.default_rng([seed, step]).random() < READ_SHARE:
            return {"loss": expert.answer_loss(model.decoder, reader(step))}
        return listener.losses(sampler(step))

    train(model, groups, loss_of, folder, schedule, lambda: watcher.validate(unseen))
    save_checkpoint(model, folder / "checkpoint")
    tokenizer.save(prompts.tokenizer, folder / "checkpoint")
    (folder / "checkpoint" / "training.json").write_text(
        json.dumps(
            {
                "steps": schedule.steps,
                "batch_size": batch_size,
                "seed": seed,
                "clips": len(clips),
                "start": start and start.name,
            },
            indent=2,
        )
        + "\n"
    )
