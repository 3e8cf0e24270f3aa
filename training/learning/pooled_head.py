"""What a clip's audio embeddings show: a head that reads the five ratings, the audible causes, and what the judges said
of the clip. Each reading is linear in a mean of the embeddings, and weighs them by its own attention: a lost packet is
heard where it is, and lies hidden in the mean of ten seconds.

It is trained with the encoder (encoder.py); SFT keeps it, frozen, as one more loss (policy.py). It does not ship.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.results import RATING_MAX, RATING_MIN, RATINGS
from training.corpora.annotation import Annotation
from training.language.causes import KINDS, audible
from training.learning import listing
from training.learning.answer_loss import Losses

CAUSES_WEIGHT, WITNESS_WEIGHT = 2.0, 0.25
"""Of the causes' cross-entropy, and of the judges' squared error, beside the ratings' squared error."""
WITNESSES = ("distill_mos", "sig", "bak", "ovrl", "plcmos")
"""Judges (rating/judges.py) whose opinions the embeddings must show, too: each hears what the others don't."""
CENTER = (RATING_MIN + RATING_MAX) / 2


class PooledHead(nn.Module):
    """Audio embeddings [tokens, hidden] of each of B clips → ratings [B, 5] and logits of causes [B, KINDS]."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.ratings = nn.Linear(hidden_size, len(RATINGS))
        self.causes = nn.Linear(hidden_size, len(KINDS))
        self.witnesses = nn.Linear(hidden_size, len(WITNESSES))
        self.attention = nn.Linear(hidden_size, len(RATINGS) + len(KINDS) + len(WITNESSES), bias=False)
        nn.init.zeros_(self.attention.weight)  # all embeddings alike: it begins with the mean

    def forward(self, audio: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        ratings, causes, _ = self._read(audio)
        return ratings, causes

    def losses(self, audio: Sequence[Tensor], clips: Sequence[Annotation]) -> Losses:
        """ "pooled": squared error of the ratings and of the judges' opinions, where they are known, and cross-entropy
        of each kind of cause, where causes were recorded."""
        ratings, causes, witnesses = self._read(audio)
        loss = _squared(ratings, true_ratings(clips)) + WITNESS_WEIGHT * _squared(witnesses, opinions(clips))
        recorded = [i for i, clip in enumerate(clips) if listing.recorded(clip)]
        if recorded:
            present = true_causes([clips[i] for i in recorded]).to(causes.device)
            loss = loss + CAUSES_WEIGHT * F.binary_cross_entropy_with_logits(causes[recorded], present)
        return {"pooled": loss}

    def _read(self, audio: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Float32: ratings [B, 5], logits of causes [B, KINDS], the judges' opinions [B, WITNESSES]."""
        embeddings, tokens = torch.cat(tuple(audio)), [len(each) for each in audio]
        parts = [part(embeddings) for part in (self.ratings, self.causes, self.witnesses)]
        read = torch.cat(parts, 1).float().split(tokens)
        weights = (scores.softmax(0) for scores in self.attention(embeddings).float().split(tokens))
        pooled = torch.stack([(each * weight).sum(0) for each, weight in zip(read, weights, strict=True)])
        ratings, causes, witnesses = pooled.split([part.shape[1] for part in parts], 1)
        return CENTER + ratings, causes, CENTER + witnesses


def _squared(read: Tensor, given: Tensor) -> Tensor:
    """Mean squared error where `given` is known; 0 where nothing is."""
    known = ~given.isnan()
    errors = (read[known.to(read.device)] - given[known].to(read.device)).square()
    return errors.sum() / max(1, errors.numel())


def true_ratings(clips: Sequence[Annotation]) -> Tensor:
    """[B, 5], in the order of RATINGS; NaN where a panel was not asked for it."""
    return torch.tensor([[float(clip.get(name, math.nan)) for name in RATINGS] for clip in clips])


def opinions(clips: Sequence[Annotation]) -> Tensor:
    """[B, WITNESSES]; NaN where a judge was not asked."""
    return torch.tensor([[float(clip.get("witness", {}).get(name, math.nan)) for name in WITNESSES] for clip in clips])


def true_causes(clips: Sequence[Annotation]) -> Tensor:
    """[B, KINDS], 1 where a cause was recorded and can be heard."""
    names = [{cause["name"] for cause in audible(clip)} for clip in clips]
    return torch.tensor([[float(kind in of_clip) for kind in KINDS] for of_clip in names])
