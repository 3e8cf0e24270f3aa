"""The audio model in training, on the clips of a split: the policy π_θ of SFT and ALLD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.model.decoder import CacheRows, KVCache
from sqe_fast.model.qwen2_audio import Qwen2Audio
from sqe_fast.results import RATINGS
from training.corpora.annotation import Annotation
from training.corpora.corpus import Both, Clips
from training.learning.answer_loss import AnswerLoss, Losses, total
from training.learning.examples import Batch, audio_prompt
from training.learning.hearing import log_mels
from training.learning.pooled_head import PooledHead, true_ratings


class Policy(nn.Module):
    """Called with a batch it gives the batch's losses; where answers go on from a line, behind its own (`read`).

    With a frozen `head` the audio embeddings, where they learn, must go on showing it ratings and causes.
    """

    def __init__(
        self, model: Qwen2Audio, clips: Clips | Both, prompts: PromptBuilder, head: PooledHead | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.clips = clips
        self.prompts = prompts
        self.head = head
        self.answer_loss = AnswerLoss(prompts)

    def forward(self, batch: Batch) -> Losses:
        audio = self.encode(batch.clips)
        if batch.behind is not None:
            read = self.read(batch.clips, audio).tolist()
            batch = batch.behind([dict(zip(RATINGS, line, strict=True)) for line in read])
        batch = batch.to(self.device)
        losses: Losses = self.answer_loss(self.model.logits, self.model(batch.tokens, audio), batch)
        if self.head is not None and any(embeddings.requires_grad for embeddings in audio):
            pooled = self.head.losses(audio, batch.clips)
            losses = {**losses, **pooled, "loss": losses["loss"] + total(pooled)}
        return losses

    @property
    def device(self) -> torch.device:
        return self.model.decoder.head.weight.device

    def encode(self, clips: Sequence[Annotation]) -> tuple[Tensor, ...]:
        """Audio embeddings [tokens, hidden] of each clip; of none, none."""
        if not clips:
            return ()
        return self.model.encode_batch(log_mels(self.clips, clips, self.model.config.audio.n_mels, self.device))

    @torch.inference_mode()
    def rate(self, clips: Sequence[Annotation]) -> Tensor:
        """The five ratings of each clip, [B, 5]."""
        return self.read(clips, self.encode(clips))

    @torch.inference_mode()
    def read(self, clips: Sequence[Annotation], audio: Sequence[Tensor]) -> Tensor:
        """The five ratings of each clip, [B, 5], from its `audio` embeddings [tokens, hidden], as inference reads them:
        each after those read before it."""
        fed = [torch.tensor(audio_prompt(self.prompts, (clip,)), device=self.device) for clip in clips]
        rows, lengths = range(len(fed)), [len(tokens) for tokens in fed]
        head = self.model.decoder.head.weight
        cache = KVCache.allocate(self.model.config.text, len(fed), max(lengths) + len(RATINGS), like=head)
        padded = nn.utils.rnn.pad_sequence(fed, batch_first=True)
        hidden = self.model(padded, audio, CacheRows(cache, rows, [0] * len(fed)))
        last, read = hidden[rows, [length - 1 for length in lengths]], list[Tensor]()
        for step in range(len(RATINGS)):
            read.append(self.answer_loss.expectation(self.model.logits(last).float()))
            numbers = [[self.prompts.number_id(rating)] for rating in read[-1].tolist()]
            places = CacheRows(cache, rows, [length + step for length in lengths])
            last = self.model(torch.tensor(numbers, device=self.device), (), places)[:, -1]
        return torch.stack(read, 1)

    def validate(self, batch_size: int = 16) -> dict[str, float]:
        """Mean squared error and correlation of each rating, over all clips."""
        self.eval().to(self.device)
        clips = self.clips.annotations
        read = [self.rate(clips[start : start + batch_size]) for start in range(0, len(clips), batch_size)]
        return rating_report(torch.cat(read).cpu(), true_ratings(clips))


def rating_report(read: Tensor, true: Tensor) -> dict[str, float]:
    """Mean squared error and correlation of each rating; both [N, 5]."""
    report = {}
    for i, name in enumerate(RATINGS):
        report[f"{name}_mse"] = round(float((read[:, i] - true[:, i]).square().mean()), 4)
        report[f"{name}_lcc"] = round(float(np.corrcoef(read[:, i].numpy(), true[:, i].numpy())[0, 1]), 4)
    return report
