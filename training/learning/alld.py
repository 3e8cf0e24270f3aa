"""Alignment with LLM distillation (ALLD, arXiv 2501.17202): the audio model learns from a text expert.

The expert reads ratings and causes (x_text), the audio model hears the clip (x_audio), and both are scored on the same
response tokens. y_t is the corpus text, y_a what the warmed-up model answers itself (`sampling.py`). With
log π(y|x) the sum over the response's scored tokens,

    preference = −log σ( β [log π_θ(y_t|x_audio) − log π_ref(y_t|x_text)]
                       − β [log π_θ(y_a|x_audio) − log π_ref(y_a|x_text)] )

is the paper's loss; sums as in the formula, so a longer response weighs more. Beside it, as options: the KL divergence
between student and expert over the whole vocabulary at every scored token of both responses, and the warm-up's loss on
y_t as an anchor. All come from one pass through both models.

Positions are aligned on the response (`preference.py`): prompts differ in length, answers do not.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.kernels.kl.fused_kl import Direction, TokenKL, fused_linear_kl
from training import configs
from training.configs import Weights
from training.corpora.corpus import Clips
from training.learning.answer_loss import Losses, total, weighted_mean
from training.learning.examples import IGNORED, Batch
from training.learning.expert import Expert, open_expert
from training.learning.loop import device_of, join, train
from training.learning.policy import Policy
from training.learning.preference import PreferenceBatch, PreferenceSampler
from training.learning.questions import draw_questions
from training.learning.sampling import Asked, read_sampled, sample
from training.learning.stage import checkpoint_folder, parameter_groups, start_model, write_checkpoint
from training.streams import Stream, seed_of

VALIDATED = 96
"""Held-out clips on which the preference is watched."""


def response_terms(
    student_hidden: Tensor,  # [2B, T, D]
    student_head: Tensor,  # [V, D]
    teacher_hidden: Tensor,  # [2B, U, E]
    teacher_head: Tensor,  # [W, E]
    batch: PreferenceBatch,
    direction: Direction,
) -> TokenKL:
    """KL and both log-probabilities at the N scored tokens of all rows, in order; the two sides meet token by token."""
    ours, theirs = batch.student.targets != IGNORED, batch.teacher.targets != IGNORED
    return fused_linear_kl(
        student_hidden[ours],
        student_head,
        teacher_hidden[theirs],
        teacher_head,
        batch.student.targets[ours],
        direction=direction,
    )


def margins(terms: TokenKL, targets: Tensor) -> Tensor:
    """[log π_θ(y_t) − log π_ref(y_t)] − [log π_θ(y_a) − log π_ref(y_a)] of each question [B]; targets [2B, T]."""
    row_of = (targets != IGNORED).nonzero()[:, 0]
    ratios = terms.student_logprob - terms.teacher_logprob
    summed = ratios.new_zeros(len(targets)).index_add(0, row_of, ratios)
    preferred, rejected = summed.chunk(2)
    return preferred - rejected


class AlldObjective(nn.Module):
    """The audio model in training beside the frozen expert. Called with a batch it gives the losses."""

    def __init__(self, policy: Policy, expert: Expert, weights: Weights) -> None:
        super().__init__()
        self.model = policy.model
        self.policy = policy
        self.expert = expert
        self.weights = weights

    def train(self, mode: bool = True) -> AlldObjective:
        super().train(mode)
        self.expert.eval()
        return self

    def forward(self, batch: PreferenceBatch) -> Losses:
        """ "preference", "kl" and "anchor" unweighted, their weighted sum "loss", and of the preference also the mean
        "margin" (without β) and the share of questions where it is positive ("preferred")."""
        batch = batch.to(self.policy.device)
        hidden = self._hidden(batch.student)
        with torch.no_grad():
            reference = self.expert(batch.teacher.tokens)
        terms = response_terms(
            hidden, self.model.decoder.head.weight, reference, self.expert.head, batch, self.weights.direction
        )
        margin = margins(terms, batch.student.targets)
        losses = {
            "preference": -F.logsigmoid(self.weights.beta * margin).mean(),
            "kl": terms.kl.mean(),
            "anchor": self._anchor(hidden, terms, batch.student),
        }
        weights = {"preference": self.weights.preference, "kl": self.weights.kl, "anchor": self.weights.anchor}
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return {**losses, "margin": margin.mean(), "preferred": (margin > 0).float().mean(), "loss": loss}

    def _hidden(self, batch: Batch) -> Tensor:
        """Each clip is encoded once, for both of its responses."""
        audio = self.policy.encode(batch.clips)
        hidden: Tensor = self.model(batch.tokens, audio + audio)
        return hidden

    def _anchor(self, hidden: Tensor, terms: TokenKL, batch: Batch) -> Tensor:
        """The warm-up's loss on y_t: that of its line, its list, and its prose, known by its log-probabilities."""
        answer_loss, half = self.policy.answer_loss, len(batch.targets) // 2
        at = batch.targets != IGNORED
        prose = batch.prose[at]
        prose[int(at[:half].sum()) :] = False  # the second half answers with y_a
        losses = {"prose": weighted_mean(-terms.student_logprob[prose], batch.named[at][prose])}
        rated = ~batch.ratings.isnan()
        if rated.any():
            losses |= answer_loss.line(self.model.logits(hidden[rated]).float(), batch.ratings[rated])
        listed = batch.listed >= 0
        if listed.any():
            logits = self.model.logits(hidden[listed]).float()
            losses["list"] = answer_loss.listing(logits, batch.listed[listed], batch.distributions)
        return total(losses)

    @torch.inference_mode()
    def validate(self, sampler: PreferenceSampler) -> dict[str, float]:
        """Means over the batches of an epoch."""
        self.eval()
        seen = [self(sampler(index)) for index in range(len(sampler.epochs.of(0)))]
        names = ("preference", "kl", "margin", "preferred")
        return {f"held_out_{name}": round(float(np.mean([float(one[name]) for one in seen])), 4) for name in names}


def run(config: configs.Alld, clips: Clips, held_out: Clips, prompts: PromptBuilder) -> str:
    """Align the finished model of RUN/WARM_UP with the expert; writes to RUN/NAME what `sft.run` writes.

    Answers y_a to the clips (the first `limit`) are drawn once, and kept beside the model that gave them, in
    RUN/WARM_UP/sampled.jsonl, or in the folder `answers`, so that other runs from it need not ask again.
    """
    schedule, folder, sft_folder = config.schedule, config.run / config.name, config.run / config.warm_up
    seed = schedule.seed
    torch.manual_seed(seed_of(Stream.ALLD_WEIGHTS, seed))
    world = join(schedule)
    answers = config.answers or sft_folder
    asked = (
        Asked(clips, draw_questions(clips, seed, config.limit), answers / "sampled.jsonl"),
        Asked(held_out, draw_questions(held_out, seed, VALIDATED), answers / "sampled_held_out.jsonl"),
    )
    if world.leads:
        sample(checkpoint_folder(sft_folder), prompts, asked, config.sampling, seed, device_of(schedule))
    world.wait()
    batches, unseen = (
        PreferenceSampler(prompts, each.questions, read_sampled(each.file), size, seed)
        for each, size in zip(asked, (schedule.batch_size, 16), strict=True)
    )
    model = start_model(sft_folder).to(device_of(schedule))
    policy, watched = Policy(model, clips, prompts), Policy(model, held_out, prompts)
    groups = parameter_groups(model, config.tuning)
    expert = open_expert(config.expert_folder or config.run / "expert", prompts)
    objective, watched_objective = (AlldObjective(one, expert, config.weights) for one in (policy, watched))

    def validate() -> dict[str, float]:
        return {**watched.validate(), **watched_objective.to(policy.device).validate(unseen)}

    train(objective, groups, batches, folder, schedule, validate)
    if world.leads:
        facts = {
            "clips": len(clips),
            "start": sft_folder.name,
            "schedule": asdict(schedule),
            "tuning": asdict(config.tuning),
            "sampling": asdict(config.sampling),
            "weights": asdict(config.weights),
        }
        write_checkpoint(model, prompts, folder, facts)
    return str(folder)
