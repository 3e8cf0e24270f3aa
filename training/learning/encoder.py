"""Warm-up of encoder and projector: what can be heard, before there are words for it.

A head reads the five ratings and the audible causes from a clip's audio embeddings, each where it listens. What that
shows, the decoder's attention finds at once; and without a decoder a step is cheap. SFT starts from these weights and
keeps the head, frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.model.encoder import PackedClip
from sqe_fast.model.qwen2_audio import Qwen2Audio
from training import configs
from training.corpora.annotation import Annotation
from training.corpora.corpus import Both, Clips
from training.learning import whisper
from training.learning.answer_loss import Losses
from training.learning.batches import HUMAN_SHARE, Epochs, cut
from training.learning.hearing import again, heard, log_mels
from training.learning.loop import join, train
from training.learning.policy import rating_report
from training.learning.pooled_head import PooledHead, true_causes, true_ratings
from training.learning.stage import start_model, tiny_config
from training.streams import Stream, seed_of, stream

ENCODER_RATE, REST_RATE = 2e-4, 1e-3
"""Peak learning rates of the encoder, and of projector and head."""
PAIRED, SAME_WEIGHT = 4, 1.0
"""One clip in so many is heard twice, in ways that sound alike; weight of what its ratings move by."""


class PooledEncoder(nn.Module):
    """Encoder, projector and head: what this stage trains and keeps."""

    def __init__(self, model: Qwen2Audio) -> None:
        super().__init__()
        self.encoder, self.projector = model.encoder, model.projector
        self.head = PooledHead(model.config.text.hidden_size)

    def forward(self, clips: Sequence[PackedClip]) -> tuple[Tensor, ...]:
        """Audio embeddings [tokens, hidden] of each clip."""
        packed, tokens = self.encoder(clips)
        return torch.split(self.projector(packed), tokens)


class EncoderObjective(nn.Module):
    """The encoder in training, on the clips of a split. Called with some of them it gives their losses."""

    def __init__(self, model: PooledEncoder, clips: Clips | Both) -> None:
        super().__init__()
        self.model = model
        self.clips = clips

    def forward(self, clips: Sequence[Annotation]) -> Losses:
        """ "same": how far ratings move, squared, between two hearings of a clip that sound alike."""
        paired = [again(clip) for clip in clips[: max(1, len(clips) // PAIRED)]]
        audio = self._audio([*clips, *paired])
        losses = self.model.head.losses(audio[: len(clips)], clips)
        (once, _), (twice, _) = self.model.head(audio[: len(paired)]), self.model.head(audio[len(clips) :])
        same = SAME_WEIGHT * F.mse_loss(once, twice)
        return {**losses, "same": same, "loss": losses["pooled"] + same}

    def _audio(self, clips: Sequence[Annotation]) -> tuple[Tensor, ...]:
        device, n_mels = self.model.head.ratings.weight.device, self.model.encoder.config.n_mels
        audio: tuple[Tensor, ...] = self.model(log_mels(self.clips, clips, n_mels, device))
        return audio

    @torch.inference_mode()
    def validate(self, batch_size: int) -> dict[str, float]:
        """Of all clips: mean squared error and correlation of each rating; precision and recall of the causes."""
        self.eval()
        clips, read, found = self.clips.annotations, [], []
        for start in range(0, len(clips), batch_size):
            ratings, logits = self.model.head(self._audio(clips[start : start + batch_size]))
            read.append(ratings)
            found.append(logits > 0)
        named, present = torch.cat(found).cpu(), true_causes(clips) > 0
        hits = int((named & present).sum())
        precision, recall = hits / max(1, int(named.sum())), hits / max(1, int(present.sum()))
        report = rating_report(torch.cat(read).cpu(), true_ratings(clips))
        return {**report, "cause_precision": round(precision, 4), "cause_recall": round(recall, 4)}


def untrained(prompts: PromptBuilder, encoder_layers: int = configs.ENCODER_LAYERS) -> Qwen2Audio:
    """`tiny` with Whisper's encoder; projector and decoder are random."""
    model = Qwen2Audio(tiny_config(prompts.tokenizer, encoder_layers))
    whisper.initialise(model.encoder)
    return model


def run(
    config: configs.Encoder, clips: Clips, held_out: Clips, prompts: PromptBuilder, human: Clips | None = None
) -> str:
    """Train into RUN/NAME/state.pt, from Whisper's encoder or a checkpoint's; returns the folder's name. Clips that
    people rated are heard beside the others."""
    schedule = config.schedule
    torch.manual_seed(seed_of(Stream.ENCODER_WEIGHTS, schedule.seed))
    start = start_model(config.start) if config.start else untrained(prompts, config.encoder_layers)
    model = PooledEncoder(start)
    rest = [*model.projector.parameters(), *model.head.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": ENCODER_RATE},
        {"params": rest, "lr": REST_RATE},
    ]
    watched, folder = EncoderObjective(model, held_out), config.run / config.name
    objective = EncoderObjective(model, Both(clips, human) if human else clips)
    batches = Batches.of(clips, human, schedule)
    train(objective, groups, batches, folder, schedule, lambda: watched.validate(schedule.batch_size))
    return str(folder)


@dataclass(frozen=True)
class Batches:
    """Clips of similar length; now and then some that people rated."""

    simulated: Lot
    human: Lot | None
    seed: int

    @classmethod
    def of(cls, clips: Clips, human: Clips | None, schedule: configs.Schedule) -> Batches:
        size, seed, together = schedule.batch_size, schedule.seed, join(schedule).size
        rated = Lot(human.annotations, Stream.ENCODER_HUMAN_ORDER, size, seed, together) if human else None
        return cls(Lot(clips.annotations, Stream.ENCODER_ORDER, size, seed, together), rated, seed)

    def __call__(self, index: int) -> list[Annotation]:
        step = index // self.simulated.together
        by_people = stream(Stream.ENCODER_HUMAN, self.seed, step).random() < HUMAN_SHARE
        return (self.human if self.human and by_people else self.simulated)(index)


@dataclass(frozen=True, eq=False)
class Lot:
    """Batches of some clips, epoch after epoch."""

    clips: Sequence[Annotation]
    order: Stream
    size: int
    seed: int
    together: int
    """Processes that share a step."""

    def __call__(self, index: int) -> list[Annotation]:
        place = self.epochs[index]
        return [heard(self.clips[i], place.epoch) for i in place.items]

    @cached_property
    def epochs(self) -> Epochs:
        lengths = [int(clip["samples"]) for clip in self.clips]
        return Epochs(lambda epoch: cut(lengths, self.size, stream(self.order, self.seed, epoch), self.together))


def load(folder: Path, prompts: PromptBuilder) -> tuple[Qwen2Audio, PooledHead]:
    """An audio model with a finished warm-up's encoder and projector, its decoder random; and the head, frozen."""
    state = torch.load(folder / "state.pt", weights_only=True)["model"]
    layers = {name.split(".")[2] for name in state if name.startswith("encoder.layers.")}
    model = Qwen2Audio(tiny_config(prompts.tokenizer, len(layers)))
    pooled = PooledEncoder(model)
    pooled.load_state_dict(state)
    return model, pooled.head.requires_grad_(False)
