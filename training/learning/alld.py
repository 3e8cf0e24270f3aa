"""Alignment with LLM distillation (ALLD, arXiv 2501.17202): the audio model learns from a text expert.

The expert reads ratings and causes (x_text), the audio model hears the clip (x_audio), and both are scored on the same
response tokens. y_t is the corpus text, y_a what the warmed-up model said itself (`sampling.py`). With
log π(y|x) the sum over the response's scored tokens,

    preference = −log σ( β [log π_θ(y_t|x_audio) − log π_ref(y_t|x_text)]
                       − β [log π_θ(y_a|x_audio) − log π_ref(y_a|x_text)] )

is the paper's loss; sums as in the formula, so a longer response weighs more. Beside it, as options: the KL divergence
between student and expert over the whole vocabulary at every scored token of both responses, and the warm-up's loss on
y_t as an anchor. All come from one pass through both models.

Positions are aligned on the response (`pairs.py`): prompts differ in length, answers do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.kernels.kl.fused_kl import Direction, TokenKL, fused_linear_kl
from training.corpora.corpus import Clips
from training.learning import sft
from training.learning.answer_loss import Losses, total, weighted_mean
from training.learning.examples import IGNORED, Batch
from training.learning.expert import Expert, open_expert
from training.learning.loop import Schedule, device_of, join, train
from training.learning.pairs import Pairs, PairSampler, make_jobs
from training.learning.sampling import Settings, sample
from training.learning.sft import Listener
from training.streams import Stream, torch_seed

RATE = 0.25
"""Of the warm-up's learning rates."""
VALIDATED = 96
"""Held-out clips on which the preference is watched."""


@dataclass(frozen=True)
class Weights:
    """What is minimised: the weighted sum of three terms."""

    beta: float
    """Scale of the preference's log-ratios."""
    preference: float
    kl: float
    anchor: float
    direction: Direction


def response_terms(
    student_hidden: Tensor,  # [2B, T, D]
    student_head: Tensor,  # [V, D]
    teacher_hidden: Tensor,  # [2B, U, E]
    teacher_head: Tensor,  # [W, E]
    pairs: Pairs,
    direction: Direction,
) -> TokenKL:
    """KL and both log-probabilities at the N scored tokens of all rows, in order; the two sides meet token by token."""
    ours, theirs = pairs.student.targets != IGNORED, pairs.teacher.targets != IGNORED
    return fused_linear_kl(
        student_hidden[ours],
        student_head,
        teacher_hidden[theirs],
        teacher_head,
        pairs.student.targets[ours],
        direction=direction,
    )


def margins(terms: TokenKL, targets: Tensor) -> Tensor:
    """[log π_θ(y_t) − log π_ref(y_t)] − [log π_θ(y_a) − log π_ref(y_a)] of each question [B]; targets [2B, T]."""
    row_of = (targets != IGNORED).nonzero()[:, 0]
    ratios = terms.student_logprob - terms.teacher_logprob
    summed = ratios.new_zeros(len(targets)).index_add(0, row_of, ratios)
    told, said = summed.chunk(2)
    return told - said


class Aligner(nn.Module):
    """The audio model in training beside the frozen expert. Called with pairs it gives the losses."""

    def __init__(self, listener: Listener, expert: Expert, weights: Weights) -> None:
        super().__init__()
        self.model = listener.model
        self.listener = listener
        self.expert = expert
        self.weights = weights

    def train(self, mode: bool = True) -> Aligner:
        super().train(mode)
        self.expert.eval()
        return self

    def forward(self, pairs: Pairs) -> Losses:
        """ "preference", "kl" and "anchor" unweighted, their weighted sum "loss", and of the preference also the mean
        "margin" (without β) and the share of questions where it is positive ("preferred")."""
        pairs = pairs.to(self.listener.device)
        hidden = self._listen(pairs.student)
        with torch.no_grad():
            read = self.expert(pairs.teacher.tokens)
        terms = response_terms(
            hidden, self.model.decoder.head.weight, read, self.expert.head, pairs, self.weights.direction
        )
        margin = margins(terms, pairs.student.targets)
        losses = {
            "preference": -F.logsigmoid(self.weights.beta * margin).mean(),
            "kl": terms.kl.mean(),
            "anchor": self._anchor(hidden, terms, pairs.student),
        }
        weights = {"preference": self.weights.preference, "kl": self.weights.kl, "anchor": self.weights.anchor}
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return {**losses, "margin": margin.mean(), "preferred": (margin > 0).float().mean(), "loss": loss}

    def _listen(self, batch: Batch) -> Tensor:
        """Each clip is encoded once, for both of its responses."""
        audio = self.listener.encode(batch.rows)
        hidden: Tensor = self.model(batch.tokens, audio + audio)
        return hidden

    def _anchor(self, hidden: Tensor, terms: TokenKL, batch: Batch) -> Tensor:
        """The warm-up's loss on y_t: its line spread over neighbours, its prose from the log-probabilities at hand."""
        answer_loss, half = self.listener.answer_loss, len(batch.targets) // 2
        at = batch.targets != IGNORED
        told = (at & batch.ratings.isnan())[at]
        told[int(at[:half].sum()) :] = False  # the second half answers with y_a
        losses = {"prose": weighted_mean(-terms.student_logprob[told], batch.named[at][told])}
        rated = ~batch.ratings.isnan()
        if rated.any():
            losses |= answer_loss.line(self.model.logits(hidden[rated]).float(), batch.ratings[rated])
        return total(losses)

    @torch.inference_mode()
    def validate(self, sampler: PairSampler) -> dict[str, float]:
        """Means over the batches of an epoch."""
        self.eval()
        seen = [self(sampler(index)) for index in range(len(sampler.epochs.of(0)))]
        names = ("preference", "kl", "margin", "preferred")
        return {f"held_out_{name}": round(float(np.mean([float(one[name]) for one in seen])), 4) for name in names}


def run(
    clips: Clips,
    held_out: Clips,
    prompts: PromptBuilder,
    expert_folder: Path,
    sft_folder: Path,
    folder: Path,
    schedule: Schedule,
    batch_size: int,
    seed: int,
    beta: float = 0.1,
    preference_weight: float = 1.0,
    kl_weight: float = 1.0,
    anchor_weight: float = 1.0,
    direction: Direction = "reverse",
    rate: float = RATE,
    temperature: float = 0.9,
    top_p: float = 0.95,
    limit: int | None = None,
    diverse: bool = True,
    lora_rank: int = 0,
    train_encoder: bool = True,
) -> None:
    """Align the finished model of `sft_folder` with the expert; writes what `sft.run` writes.

    Answers y_a to the clips (the first `limit`) are drawn once at `temperature` and `top_p`, and kept beside the model
    that gave them, in SFT_FOLDER/sampled.jsonl, so that other runs from it need not ask again.
    `rate` scales the warm-up's learning rates.
    """
    torch.manual_seed(torch_seed(Stream.ALLD_WEIGHTS, seed))
    world = join(schedule)
    model = sft.start_model(sft_folder).to(device_of(schedule))
    listener, watcher = Listener(model, clips, prompts), Listener(model, held_out, prompts)
    settings = Settings(temperature, top_p, seed)
    files = (sft_folder / "sampled.jsonl", sft_folder / "sampled_held_out.jsonl")
    lists = (make_jobs(clips, seed, limit), make_jobs(held_out, seed, VALIDATED))
    for listens, jobs, file in zip((listener, watcher), lists, files, strict=True):
        if world.leads:
            sample(listens.to(listens.device), prompts, jobs, settings, file, sft_folder.name)
    world.wait()
    drawn, unseen = (
        PairSampler(prompts, jobs, sample(listens, prompts, jobs, settings, file, sft_folder.name), size, seed, diverse)
        for listens, jobs, file, size in zip((listener, watcher), lists, files, (batch_size, 16), strict=True)
    )
    groups = sft.parameter_groups(model, rate, lora_rank, train_encoder)
    weights = Weights(beta, preference_weight, kl_weight, anchor_weight, direction)
    expert = open_expert(expert_folder, prompts)
    objective, watching = Aligner(listener, expert, weights), Aligner(watcher, expert, weights)

    def validate() -> dict[str, float]:
        return {**watcher.validate(), **watching.to(listener.device).validate(unseen)}

    train(objective, groups, drawn, folder, schedule, validate)
    if world.leads:
        facts = {
            "clips": len(clips),
            "start": sft_folder.name,
            "rate": rate,
            "sampling": vars(settings),
            "weights": vars(weights),
        }
        sft.write_checkpoint(model, prompts, folder, schedule, batch_size, seed, facts)
