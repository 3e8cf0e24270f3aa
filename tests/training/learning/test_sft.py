"""The warm-up on a small random model and real batches: its losses, adapters, and what a run leaves behind."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import TOKENIZER_FILE
from sqe_fast.model.qwen2_audio import load_checkpoint
from tests.support.small_tokenizer import small_tokenizer
from tests.support.speech import listening_model
from tests.support.training_rows import FakeClips, rows
from training.configs import Schedule, Sft, Tuning
from training.learning import sft, stage
from training.learning.answer_loss import CAUSE_WEIGHT, AnswerLoss, weighted_mean
from training.learning.examples import IGNORED, Batch, Sampler, Task, audio_example, text_example
from training.learning.policy import Policy
from training.learning.sft import Mixture
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


@pytest.fixture
def policy(prompts: PromptBuilder) -> Policy:
    return Policy(listening_model(prompts), FakeClips(0), prompts)  # type: ignore[arg-type]


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


def test_a_cause_weighs_more_than_other_words() -> None:
    each = torch.tensor([1.0, 0.0, 0.0])
    named = torch.tensor([True, False, False])
    assert float(weighted_mean(each, named)) == pytest.approx(CAUSE_WEIGHT / (CAUSE_WEIGHT + 2))
    assert float(weighted_mean(each, ~named)) == pytest.approx(1 / (1 + 2 * CAUSE_WEIGHT))


@pytest.mark.parametrize("task", ["line", "describe", "compare", "aspect", "which"])
def test_every_part_that_a_task_uses_gets_a_gradient(policy: Policy, prompts: PromptBuilder, task: Task) -> None:
    sampler = Sampler(rows(8), prompts, audio_example, {task: 1.0}, 4, 0, *STREAMS)
    policy(sampler(0))["loss"].backward()
    for name, parameter in policy.model.named_parameters():
        assert not parameter.requires_grad or parameter.grad is not None, name
    assert float(policy.model.encoder.conv1.weight.grad.abs().sum()) > 0


def test_a_text_batch_leaves_the_encoder_alone(policy: Policy, prompts: PromptBuilder) -> None:
    losses = policy(Sampler(rows(8), prompts, text_example, {"describe": 1.0}, 4, 0, *STREAMS)(0))
    losses["loss"].backward()
    assert {"line", "squared", "prose"} <= losses.keys()
    assert policy.model.encoder.conv1.weight.grad is None
    assert policy.model.decoder.head.weight.grad is not None


def test_one_batch_can_be_learnt(policy: Policy, prompts: PromptBuilder) -> None:
    batch = Sampler(rows(4), prompts, audio_example, {"line": 1.0}, 4, 0, *STREAMS)(0)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = policy(batch)["loss"]
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def test_adapters_start_from_nothing_and_merge_into_plain_weights(prompts: PromptBuilder) -> None:
    model, tokens = listening_model(prompts), torch.arange(5)[None]
    names = set(model.state_dict())
    before = model(tokens, ())
    stage.inject_adapters(model.decoder, 2)
    assert torch.allclose(model(tokens, ()), before, atol=1e-6)
    trained = [name for name, p in model.decoder.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    adapted = model(tokens, ())
    assert not torch.allclose(adapted, before, atol=1e-3)
    stage.merge_adapters(model.decoder)
    assert set(model.state_dict()) == names
    assert torch.allclose(model(tokens, ()), adapted, atol=1e-4)


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_run_leaves_a_checkpoint_to_start_from(prompts: PromptBuilder, tmp_path: Path, lora_rank: int) -> None:
    stage.write_checkpoint(listening_model(prompts), prompts, tmp_path / "start", {})
    first = stage.start_model(tmp_path / "start").state_dict()
    clips = FakeClips(8)
    config = Sft(
        run=tmp_path,
        name="run",
        schedule=Schedule(steps=3, batch_size=2, seed=0, log_every=1),
        tuning=Tuning(lora_rank=lora_rank, freeze_encoder=lora_rank > 0),
    )
    sft.run(config, tmp_path / "start", clips, FakeClips(4, seed=2), prompts)  # type: ignore[arg-type]
    model, _ = load_checkpoint(tmp_path / "run" / "checkpoint")
    moved = {name for name, weight in model.state_dict().items() if not torch.equal(weight, first[name])}
    assert "decoder.layers.0.q.weight" in moved
    assert ("decoder.embed.weight" in moved) == (lora_rank == 0)
    assert any(name.startswith("encoder") for name in moved) == (lora_rank == 0)
    last = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()][-1]
    assert np.isfinite(last["mos_mse"])
    assert (tmp_path / "run" / "checkpoint" / TOKENIZER_FILE).exists()


def test_an_unfinished_run_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="finish that run"):
        stage.start_model(tmp_path)


def test_batches_hold_what_is_meant(prompts: PromptBuilder) -> None:
    """Whether a batch was heard or read, and its task, once came from one random number: no text batch compared, no
    audio batch asked for ratings alone. Of 2,000 steps at the default seed, shares within 3 points of what is meant."""
    mixture = Mixture.of(FakeClips(60), prompts, 12, 1, diverse=True)  # type: ignore[arg-type]
    drawn: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for index in range(2000):
        sampler = mixture.sampler(index)
        drawn[sampler is mixture.text][sampler.draw(index).task] += 1
    assert drawn[True].total() / 2000 == pytest.approx(sft.TEXT_SHARE, abs=0.03)
    for tasks, meant in ((drawn[True], sft.TEXT_TASKS), (drawn[False], sft.TASKS)):
        assert {task: count / tasks.total() for task, count in tasks.items()} == pytest.approx(meant, abs=0.03)


def test_a_batch_is_made_of_what_was_drawn(prompts: PromptBuilder) -> None:
    mixture = Mixture.of(FakeClips(24), prompts, 4, 1, diverse=True)  # type: ignore[arg-type]
    for index in range(12):
        groups = mixture.sampler(index).draw(index).groups
        batch = mixture(index)
        assert len(batch.tokens) == len(groups)
        heard = [] if mixture.sampler(index) is mixture.text else [row for group in groups for row in group]
        assert list(batch.clips) == heard
