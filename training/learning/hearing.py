"""Warm-up of encoder and projector: what can be heard, before there are words for it.

A linear head reads the five ratings and the audible causes from the mean of a clip's audio embeddings. What a mean
shows, the decoder's attention finds at once; and without a decoder a step is cheap. SFT starts from these weights and
keeps the head, frozen, as one more loss (`Listener`). The head does not ship.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.audio.features import log_mel
from sqe_fast.model.encoder import PackedClip
from sqe_fast.model.qwen2_audio import Qwen2Audio
from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS
from training.corpora.corpus import Clips
from training.language.causes import KINDS, audible
from training.learning import architecture, whisper
from training.learning.answer_loss import Losses
from training.learning.batches import Epochs, cut
from training.learning.examples import Row
from training.learning.loop import Schedule, train
from training.streams import Stream, stream, torch_seed

ENCODER_RATE, REST_RATE = 2e-4, 1e-3
"""Peak learning rates of the encoder, and of projector and head."""
CAUSES_WEIGHT = 2.0
"""Of the causes' cross-entropy beside the ratings' squared error."""
CENTER = (RATING_MIN + RATING_MAX) / 2


def heard(clips: Clips, rows: Sequence[Row], n_mels: int, device: torch.device) -> list[PackedClip]:
    """The log-mels of `rows`, as an encoder takes them."""
    mels = (log_mel(clips.samples(row), n_mels) for row in rows)
    return [(torch.from_numpy(mel.data).to(device), mel.frames) for mel in mels]


class PooledHead(nn.Module):
    """Audio embeddings [tokens, hidden] of each of B clips → ratings [B, 5] and logits of causes [B, KINDS]."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.ratings = nn.Linear(hidden_size, len(RATINGS))
        self.causes = nn.Linear(hidden_size, len(KINDS))

    def forward(self, audio: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        means = torch.stack([embeddings.mean(0) for embeddings in audio])
        return CENTER + self.ratings(means).float(), self.causes(means).float()

    def losses(self, audio: Sequence[Tensor], rows: Sequence[Row]) -> Losses:
        """ "pooled": squared error of the ratings, and cross-entropy of each kind of cause where they were recorded."""
        ratings, logits = self(audio)
        loss = F.mse_loss(ratings, true_ratings(rows).to(ratings.device))
        recorded = [i for i, row in enumerate(rows) if row.get("rated_by") != "human"]
        if recorded:
            present = true_causes([rows[i] for i in recorded]).to(logits.device)
            loss = loss + CAUSES_WEIGHT * F.binary_cross_entropy_with_logits(logits[recorded], present)
        return {"pooled": loss}


def true_ratings(rows: Sequence[Row]) -> Tensor:
    return torch.tensor([[float(row[name]) for name in RATINGS] for row in rows])


def true_causes(rows: Sequence[Row]) -> Tensor:
    """[B, KINDS], 1 where a cause was recorded and can be heard."""
    names = [{cause["name"] for cause in audible(row)} for row in rows]
    return torch.tensor([[float(kind in of_row) for kind in KINDS] for of_row in names])


class Ear(nn.Module):
    """Encoder, projector and head: what this stage trains and keeps."""

    def __init__(self, model: Qwen2Audio) -> None:
        super().__init__()
        self.encoder, self.projector = model.encoder, model.projector
        self.head = PooledHead(model.config.text.hidden_size)

    def forward(self, clips: Sequence[PackedClip]) -> tuple[Tensor, ...]:
        """Audio embeddings [tokens, hidden] of each clip."""
        packed, tokens = self.encoder(clips)
        return torch.split(self.projector(packed), tokens)


class Hearer(nn.Module):
    """An ear in training, and what it hears. Called with rows it gives their losses."""

    def __init__(self, ear: Ear, clips: Clips) -> None:
        super().__init__()
        self.model = ear
        self.clips = clips

    def forward(self, rows: Sequence[Row]) -> Losses:
        losses = self.model.head.losses(self._audio(rows), rows)
        return {**losses, "loss": losses["pooled"]}

    def _audio(self, rows: Sequence[Row]) -> tuple[Tensor, ...]:
        weight = self.model.head.ratings.weight
        audio: tuple[Tensor, ...] = self.model(heard(self.clips, rows, self.model.encoder.config.n_mels, weight.device))
        return audio

    @torch.inference_mode()
    def validate(self, batch_size: int) -> dict[str, float]:
        """Of all clips: mean squared error and correlation of each rating; precision and recall of the causes."""
        self.eval()
        read, found = [], []
        for start in range(0, len(self.clips), batch_size):
            ratings, logits = self.model.head(self._audio(self.clips.rows[start : start + batch_size]))
            read.append(ratings)
            found.append(logits > 0)
        named, present = torch.cat(found).cpu(), true_causes(self.clips.rows) > 0
        hits = int((named & present).sum())
        precision, recall = hits / max(1, int(named.sum())), hits / max(1, int(present.sum()))
        report = rating_report(torch.cat(read).cpu(), true_ratings(self.clips.rows))
        return {**report, "cause_precision": round(precision, 4), "cause_recall": round(recall, 4)}


def rating_report(read: Tensor, true: Tensor) -> dict[str, float]:
    """Mean squared error and correlation of each rating; both [N, 5]."""
    report = {}
    for i, name in enumerate(RATINGS):
        report[f"{name}_mse"] = round(float((read[:, i] - true[:, i]).square().mean()), 4)
        report[f"{name}_lcc"] = round(float(np.corrcoef(read[:, i].numpy(), true[:, i].numpy())[0, 1]), 4)
    return report


def untrained(prompts: PromptBuilder, encoder_layers: int = architecture.ENCODER_LAYERS) -> Qwen2Audio:
    """`tiny` with Whisper's encoder; projector and decoder are random."""
    model = Qwen2Audio(architecture.tiny(prompts.tokenizer, encoder_layers))
    whisper.initialise(model.encoder)
    return model


def run(
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    encoder_layers: int = architecture.ENCODER_LAYERS,
) -> None:
    """Train into FOLDER/state.pt, from Whisper's encoder."""
    torch.manual_seed(torch_seed(Stream.ENCODER_WEIGHTS, seed))
    ear = Ear(untrained(prompts, encoder_layers))
    rest = [*ear.projector.parameters(), *ear.head.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in ear.encoder.parameters() if p.requires_grad], "lr": ENCODER_RATE},
        {"params": rest, "lr": REST_RATE},
    ]
    lengths = [int(row["samples"]) for row in clips.rows]
    epochs = Epochs(lambda epoch: cut(lengths, batch_size, stream(Stream.ENCODER_ORDER, seed, epoch)))
    watcher = Hearer(ear, held_out)

    def batches(index: int) -> list[Row]:
        return [clips.rows[i] for i in epochs[index].items]

    train(Hearer(ear, clips), groups, batches, folder, schedule, lambda: watcher.validate(batch_size))


def load(folder: Path, prompts: PromptBuilder) -> tuple[Qwen2Audio, PooledHead]:
    """An audio model with a finished warm-up's encoder and projector, its decoder random; and the head, frozen."""
    state = torch.load(folder / "state.pt", weights_only=True)["model"]
    layers = {name.split(".")[2] for name in state if name.startswith("encoder.layers.")}
    model = Qwen2Audio(architecture.tiny(prompts.tokenizer, len(layers)))
    ear = Ear(model)
    ear.load_state_dict(state)
    return model, ear.head.requires_grad_(False)
