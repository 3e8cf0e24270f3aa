"""The loss of an answer: where its minimum is, and what weighs how much."""

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from tests.support.small_tokenizer import small_tokenizer
from training.learning.answer_loss import CAUSE_WEIGHT, AnswerLoss, weighted_mean
from training.learning.examples import IGNORED, Batch


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


def test_exact_ratings_are_the_minimum_of_the_line_losses(prompts: PromptBuilder) -> None:
    """A sign error or an off-by-one in the number table would move the minimum."""
    loss = AnswerLoss(prompts)
    rating = torch.tensor([3.4])
    logits = torch.full((1, int(loss.number_ids.max()) + 1), -30.0)
    found = {}
    for shift in (-0.3, 0.0, 0.3):
        near = torch.softmax(-((loss.values - rating - shift) ** 2) / (2 * 0.15**2), -1)
        logits[:, loss.number_ids] = near.clamp_min(1e-13).log()
        found[shift] = {name: float(value) for name, value in loss.line(logits, rating).items()}
    assert found[0.0]["line"] < min(found[-0.3]["line"], found[0.3]["line"])
    assert found[0.0]["squared"] < 1e-4 < min(found[-0.3]["squared"], found[0.3]["squared"])
    assert found[0.3]["squared"] == pytest.approx(0.09, abs=0.01)


def test_a_cause_weighs_more_than_other_words() -> None:
    each = torch.tensor([1.0, 0.0, 0.0])
    named = torch.tensor([True, False, False])
    assert float(weighted_mean(each, named)) == pytest.approx(CAUSE_WEIGHT / (CAUSE_WEIGHT + 2))
    assert float(weighted_mean(each, ~named)) == pytest.approx(1 / (1 + 2 * CAUSE_WEIGHT))


def test_each_token_counts_in_one_loss(prompts: PromptBuilder) -> None:
    """A rating trained as prose too, which pulls its spread target to one token; or what is ignored trained at all."""
    loss = AnswerLoss(prompts)
    nan = float("nan")
    targets = torch.tensor([[IGNORED, prompts.number_id(3.4), 3, 4]])
    ratings = torch.tensor([[nan, 3.4, nan, nan]])
    batch = Batch(torch.zeros_like(targets), targets, ratings, torch.zeros_like(targets, dtype=torch.bool), ())
    for name, places in {"line": [1], "squared": [1], "prose": [2, 3]}.items():
        logits = torch.randn(1, 4, int(loss.number_ids.max()) + 1, requires_grad=True)
        loss(lambda hidden: hidden, logits, batch)[name].backward()
        assert logits.grad is not None
        assert logits.grad.abs().sum(-1).nonzero()[:, 1].tolist() == places, name
