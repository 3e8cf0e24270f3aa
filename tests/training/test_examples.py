"""Batches: where prompt and answer meet, what is scored, and that a step can be built again."""

import numpy as np
import pytest
import torch

from sqe_fast.model.config import audio_tokens
from sqe_fast.prompt import NUMBER_VALUES, PromptBuilder
from sqe_fast.results import RATINGS
from tests.small_tokenizer import small_tokenizer
from training.examples import IGNORED, Sampler, audio_example, collate, text_example


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


def rows(count: int, seed: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        {
            **{name: round(float(rng.uniform(1, 4.8)), 2) for name in RATINGS},
            "causes": [{"stage": "noise", "kind": "street", "rating": 2.0}],
            "samples": int(rng.integers(16_000, 200_000)),
        }
        for _ in range(count)
    ]


def test_targets_are_the_answer_and_nothing_else(prompts: PromptBuilder) -> None:
    [row] = rows(1)
    example = audio_example(prompts, "describe", [row], np.random.default_rng(0))
    batch = collate([example])
    scored = batch.targets[0][batch.targets[0] != IGNORED].tolist()
    assert tuple(scored) == example.answer
    first = int((batch.targets[0] != IGNORED).nonzero()[0])
    assert first == len(example.prompt) - 1  # the prompt's last token predicts the first rating


def test_the_line_carries_the_exact_ratings_in_order(prompts: PromptBuilder) -> None:
    [row] = rows(1)
    batch = collate([audio_example(prompts, "line", [row], np.random.default_rng(0))])
    rated = ~batch.ratings.isnan()
    assert batch.ratings[rated].tolist() == pytest.approx([row[name] for name in RATINGS])
    values = [NUMBER_VALUES[prompts.number_ids.index(int(token))] for token in batch.targets[rated]]
    assert values == pytest.approx([round(row[name], 1) for name in RATINGS], abs=0.051)


def test_what_inference_forces_is_not_trained(prompts: PromptBuilder) -> None:
    pair = rows(2)
    example = audio_example(prompts, "compare", pair, np.random.default_rng(0))
    batch = collate([example])
    scored = batch.targets[0][batch.targets[0] != IGNORED].tolist()
    assert scored[0] in prompts.verdict_ids.values()
    assert batch.ratings.isnan().all()
    assert (batch.tokens == prompts.audio_token_id).sum() == sum(audio_tokens(-(-r["samples"] // 160)) for r in pair)


def test_listener_and_expert_answer_alike(prompts: PromptBuilder) -> None:
    [row] = rows(1)
    heard = audio_example(prompts, "describe", [row], np.random.default_rng(4))
    read = text_example(prompts, "describe", [row], np.random.default_rng(4))
    assert heard.answer == read.answer
    assert heard.prompt != read.prompt


def test_a_step_can_be_built_again_and_padding_stays_bounded(prompts: PromptBuilder) -> None:
    sampler = Sampler(rows(200), prompts, audio_example, {"describe": 0.5, "compare": 0.5}, 8, seed=2)
    again = Sampler(rows(200), prompts, audio_example, {"describe": 0.5, "compare": 0.5}, 8, seed=2)
    for step in (0, 5, sampler.batches_per_epoch + 3):
        assert torch.equal(sampler(step).tokens, again(step).tokens)
    assert not torch.equal(sampler(0).tokens, sampler(1).tokens)


def test_an_epoch_shows_every_row_once(prompts: PromptBuilder) -> None:
    every = rows(200)
    sampler = Sampler(every, prompts, audio_example, {"line": 1.0}, 8, seed=2)
    seen = [id(row) for step in range(sampler.batches_per_epoch) for row in sampler(step).rows]
    assert len(seen) == len(set(seen))
    assert len(seen) >= len(every) - 5  # a batch of one is left out
