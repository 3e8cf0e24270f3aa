"""Answers drawn from the audio model: of the template, the same whatever stands beside them, kept and resumed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from tests.support.small_tokenizer import small_tokenizer
from tests.support.speech import listening_model
from tests.support.training_rows import FakeClips
from training.learning.policy import Policy
from training.learning.preference import draw_questions, scored
from training.learning.sampling import AnswerSampler, Question, Settings, sample

SETTINGS = Settings(seed=3, max_tokens=14)


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


@pytest.fixture(scope="module")
def clips() -> FakeClips:
    return FakeClips(6)


@pytest.fixture(scope="module")
def policy(prompts: PromptBuilder, clips: FakeClips) -> Policy:
    policy = Policy(listening_model(prompts), clips, prompts)  # type: ignore[arg-type]
    with torch.no_grad():
        policy.model.decoder.head.weight *= 8  # far from uniform
    return policy.eval()


@pytest.fixture(scope="module")
def questions(clips: FakeClips) -> list[Question]:
    return draw_questions(clips, 0)  # type: ignore[arg-type]


def test_a_description_follows_the_template(policy: Policy, prompts: PromptBuilder, questions: list[Question]) -> None:
    for answer in AnswerSampler(policy, prompts, SETTINGS).answers(questions[:6]):
        line, newline, prose = answer[:5], answer[5:6], answer[6:]
        assert set(line) <= set(prompts.number_ids)
        assert newline == prompts.encode("\n")
        assert 1 <= len(prose) <= SETTINGS.max_tokens
        assert set(prose[:-1]) <= prompts.prose_ids
        assert {token for token in prose if token in prompts.number_ids} <= {line[-1]}
        assert len(prose) == SETTINGS.max_tokens or prose[-1] == prompts.stop


def test_a_comparison_argues_for_its_own_verdict(
    policy: Policy, prompts: PromptBuilder, questions: list[Question]
) -> None:
    chosen = [question for question in questions if question.task == "compare"]
    assert len(chosen) == 2
    for question, answer in zip(chosen, AnswerSampler(policy, prompts, SETTINGS).answers(chosen), strict=True):
        at = len(prompts.compare_head(*question.clips))
        verdict = {id: name for name, id in prompts.verdict_ids.items()}[answer[at]]
        argued = prompts.argued_head(*question.clips, verdict)  # type: ignore[arg-type]
        assert answer[: len(argued)] == argued
        assert not set(answer[len(argued) :]) & set(prompts.number_ids)
        assert sum(scored(prompts, question, answer)) <= 1 + SETTINGS.max_tokens


def test_an_answer_does_not_depend_on_its_neighbours(
    policy: Policy, prompts: PromptBuilder, questions: list[Question]
) -> None:
    sampler = AnswerSampler(policy, prompts, SETTINGS)
    together = sampler.answers(questions[:4])
    assert sampler.answers(questions[2:3]) == together[2:3]
    assert len(set(together)) == 4


def test_draws_follow_the_distribution(policy: Policy, prompts: PromptBuilder) -> None:
    """Of 4,000 draws, each number's share; at a temperature, and cut to the likeliest. Nothing but numbers is drawn."""
    ids = list(prompts.number_ids)
    logits = torch.zeros(policy.model.config.text.vocab_size)
    logits[ids] = torch.linspace(-3, 3, len(ids)).roll(7)
    dice = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    for temperature, top_p in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.6)):
        sampler = AnswerSampler(policy, prompts, Settings(temperature, top_p))
        drawn = sampler._draw(logits.expand(4000, -1), ["number"] * 4000, dice)
        expected = torch.softmax(logits[ids] / temperature, -1)
        ranked = expected.sort(descending=True)
        kept = int((ranked.values.cumsum(-1) < top_p).sum()) + 1
        expected[ranked.indices[kept:]] = 0
        share = torch.tensor([float((drawn == id).float().mean()) for id in ids])
        assert float(share.sum()) == pytest.approx(1)
        assert (share - expected / expected.sum()).abs().max() < 0.02


def test_sampling_goes_on_where_it_stopped(
    policy: Policy, prompts: PromptBuilder, questions: list[Question], tmp_path: Path
) -> None:
    file = tmp_path / "run" / "sampled.jsonl"
    whole = sample(policy, prompts, questions, SETTINGS, file, "sft", batch_size=3)
    assert sorted(whole) == list(range(len(questions)))
    text = file.read_text()
    file.write_text(text[: int(len(text) * 0.6)])  # cut in the middle of a line
    assert sample(policy, prompts, questions, SETTINGS, file, "sft", batch_size=3) == whole
    assert sample(policy, prompts, questions, SETTINGS, file, "sft", batch_size=3) == whole
    with pytest.raises(ValueError, match="otherwise"):
        sample(policy, prompts, questions, replace(SETTINGS, temperature=1.1), file, "sft")
