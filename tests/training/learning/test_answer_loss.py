"""The loss of an answer: where its minimum is, and what weighs how much."""

import math

import pytest
import torch

from sqe_fast.answer.causes import END
from sqe_fast.answer.template import PromptBuilder
from tests.support.training_prompts import training_prompts
from training.learning.answer_loss import CAUSE_WEIGHT, AnswerLoss, weighted_mean
from training.learning.examples import IGNORED, Batch


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


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
    listed = torch.tensor([[-1, -1, -1, 0]])
    hum = {prompts.cause_ids["hum"]: 1.0}
    named = torch.zeros_like(targets, dtype=torch.bool)
    batch = Batch(torch.zeros_like(targets), targets, ratings, named, listed, (hum,), clips=())
    for name, places in {"line": [1], "squared": [1], "prose": [2], "list": [3]}.items():
        logits = torch.randn(1, 4, prompts.tokenizer.get_vocab_size(), requires_grad=True)
        loss(lambda hidden: hidden, logits, batch)[name].backward()
        assert logits.grad is not None
        assert logits.grad.abs().sum(-1).nonzero()[:, 1].tolist() == places, name


def test_before_an_entry_of_a_list_its_whole_distribution_is_learnt(prompts: PromptBuilder) -> None:
    """Two causes that are as bad as each other are as likely to come next; one written first is not the only one."""
    loss = AnswerLoss(prompts)
    hum, end = prompts.cause_ids["hum"], prompts.cause_ids[END]
    logits = torch.full((2, prompts.tokenizer.get_vocab_size()), -20.0)
    logits[0, [hum, end]] = torch.tensor([0.75, 0.25]).log()
    logits[1, end] = 0.0
    wanted = ({end: 1.0}, {hum: 0.75, end: 0.25})
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(loss.listing(logits, torch.tensor([1, 0]), wanted)) == pytest.approx(entropy / 2, abs=1e-4)
    assert float(loss.listing(logits, torch.tensor([0, 1]), wanted)) > 1
