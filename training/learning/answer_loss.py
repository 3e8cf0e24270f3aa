"""The loss of an answer, the same for the audio model and for the text expert.

Ratings are ordinal, so a rating token is not simply right or wrong: its target is spread over its neighbours
(`SPREAD`), and the expectation, which is what inference reads, is pulled to the exact rating by a squared error. Before
an entry of a list of causes the model is to read how likely each of them comes next (`listing.py`). Of the
hundred tokens of a description two or three name a cause: what can only be learnt by listening, so they weigh more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sqe_fast.answer.scale import NUMBER_VALUES
from sqe_fast.answer.template import PromptBuilder
from training.learning.examples import Batch

Losses = dict[str, Tensor]
"""Named scalars; "loss" is the one that is minimised."""

SPREAD = 0.15
"""Standard deviation, in rating points, of the target around a rating."""
LINE_WEIGHT, SQUARED_WEIGHT, LIST_WEIGHT, PROSE_WEIGHT, POOLED_WEIGHT = 1.0, 1.0, 2.0, 1.0, 1.0
CAUSE_WEIGHT = 4.0
"""Weight of a token that names a cause; any other token of the prose weighs 1."""


class AnswerLoss(nn.Module):
    """Losses of a batch from its hidden states."""

    number_ids: Tensor
    values: Tensor

    def __init__(self, prompts: PromptBuilder) -> None:
        super().__init__()
        self.register_buffer("number_ids", torch.tensor(prompts.number_ids), persistent=False)
        self.register_buffer("values", torch.tensor(NUMBER_VALUES), persistent=False)

    def forward(self, logits_of: Callable[[Tensor], Tensor], hidden: Tensor, batch: Batch) -> Losses:
        """hidden [B, T, H]; `logits_of` is the model's head. The parts that the batch has, and "loss"."""
        rated, listed, prose = ~batch.ratings.isnan(), batch.listed >= 0, batch.prose
        losses: Losses = {}
        if rated.any():
            losses |= self.line(logits_of(hidden[rated]).float(), batch.ratings[rated])
        if listed.any():
            losses["list"] = self.listing(logits_of(hidden[listed]).float(), batch.listed[listed], batch.distributions)
        if prose.any():
            each = F.cross_entropy(logits_of(hidden[prose]).float(), batch.targets[prose], reduction="none")
            losses["prose"] = weighted_mean(each, batch.named[prose])
        return {**losses, "loss": total(losses)}

    def line(self, logits: Tensor, ratings: Tensor) -> Losses:
        """Logits [N, vocabulary] at N ≥ 1 rating tokens, exact ratings [N] → "line" (cross-entropy against the spread
        target) and "squared" (of the expectation's error)."""
        near = torch.softmax(-((self.values - ratings[:, None]) ** 2) / (2 * SPREAD**2), -1)
        cross_entropy = -(near * torch.log_softmax(logits, -1)[:, self.number_ids]).sum(-1).mean()
        return {"line": cross_entropy, "squared": (self.expectation(logits) - ratings).square().mean()}

    def listing(self, logits: Tensor, listed: Tensor, distributions: Sequence[Mapping[int, float]]) -> Tensor:
        """Mean cross-entropy of logits [N, vocabulary] at N ≥ 1 entries of lists against what is to be read there:
        distribution number `listed` [N]."""
        chosen = [distributions[index] for index in listed.tolist()]
        rows = torch.tensor([row for row, each in enumerate(chosen) for _ in each], device=logits.device)
        ids = torch.tensor([token for each in chosen for token in each], device=logits.device)
        shares = torch.tensor([share for each in chosen for share in each.values()], device=logits.device)
        return -(shares * torch.log_softmax(logits, -1)[rows, ids]).sum() / len(chosen)

    def expectation(self, logits: Tensor) -> Tensor:
        """Logits [N, vocabulary] → expected rating [N] over the number tokens."""
        return torch.softmax(logits[:, self.number_ids], -1) @ self.values


def weighted_mean(each: Tensor, named: Tensor) -> Tensor:
    """Mean of `each` [N], where the tokens that are `named` [N] weigh CAUSE_WEIGHT."""
    weights = 1 + (CAUSE_WEIGHT - 1) * named.float()
    return (weights * each).sum() / weights.sum()


def total(losses: Losses) -> Tensor:
    """The weighted sum of the parts that are there."""
    weights = {
        "line": LINE_WEIGHT,
        "squared": SQUARED_WEIGHT,
        "list": LIST_WEIGHT,
        "prose": PROSE_WEIGHT,
        "pooled": POOLED_WEIGHT,
    }
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum()
