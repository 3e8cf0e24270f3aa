"""The audio model in training: its losses, what they move, and how it is validated."""

from dataclasses import replace

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.results import RATINGS
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips, rows
from training.learning.examples import Sampler, Task, audio_example, text_example
from training.learning.hearing import log_mels
from training.learning.policy import Policy
from training.learning.pooled_head import PooledHead
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


@pytest.fixture
def policy(prompts: PromptBuilder) -> Policy:
    return Policy(listening_model(prompts), FakeClips(0), prompts)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("task", ["line", "describe"])
def test_answers_are_learnt_behind_the_line_that_the_model_reads(prompts: PromptBuilder, task: Task) -> None:
    model, clips = listening_model(prompts), FakeClips(8)
    policy = Policy(model, clips, prompts)  # type: ignore[arg-type]
    batch = Sampler(clips.annotations, prompts, audio_example, {task: 1.0}, 4, 0, *STREAMS)(0)
    own = [dict(zip(RATINGS, line, strict=True)) for line in policy.rate(batch.clips).tolist()]
    assert batch.behind is not None
    behind = replace(batch.behind(own), behind=None)
    assert not torch.equal(behind.tokens, batch.tokens)
    found, expected, true = (policy(each)["loss"].item() for each in (batch, behind, replace(batch, behind=None)))
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(true, rel=1e-3)


def test_sft_holds_the_embeddings_to_the_head(prompts: PromptBuilder) -> None:
    head = PooledHead(listening_model(prompts).config.text.hidden_size).requires_grad_(False)
    model, clips = listening_model(prompts), FakeClips(8)
    plain = Policy(model, clips, prompts)  # type: ignore[arg-type]
    held = Policy(model, clips, prompts, head)  # type: ignore[arg-type]
    batch = Sampler(clips.annotations, prompts, audio_example, {"compare": 1.0}, 4, 0, *STREAMS)(0)
    audio = held.encode(batch.clips)
    found = held(batch)
    expected = plain(batch)["loss"] + head.losses(audio, batch.clips)["pooled"]
    assert float(found["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    read = Sampler(clips.annotations, prompts, text_example, {"describe": 1.0}, 4, 0, *STREAMS)(0)
    assert "pooled" not in held(read)
    model.encoder.requires_grad_(False)
    model.projector.requires_grad_(False)
    assert "pooled" not in held(batch)  # what does not learn is not held


def test_ratings_are_read_one_after_the_other(prompts: PromptBuilder) -> None:
    """A line that is read after the true ratings flatters every rating but the first."""
    model, clips = listening_model(prompts).eval(), FakeClips(3)
    policy = Policy(model, clips, prompts)  # type: ignore[arg-type]
    policy.eval()
    found = policy.rate(clips.annotations)
    assert found.shape == (3, len(RATINGS))
    for row, of_row in zip(clips.annotations, found, strict=True):
        stated: list[float] = []
        [mel] = log_mels(clips, [row], model.config.audio.n_mels, torch.device("cpu"))  # type: ignore[arg-type]
        audio = model.encode(*mel)
        question = prompts.rate_prompt(len(audio))
        for value in of_row.tolist():
            tokens = torch.tensor([[*question, *(prompts.number_id(rating) for rating in stated)]])
            hidden = model(tokens, [audio])[:, -1]
            read = policy.answer_loss.expectation(model.logits(hidden)).detach()
            assert float(read) == pytest.approx(value, abs=1e-4)
            stated.append(value)


def test_validation_is_that_of_its_own_ratings(prompts: PromptBuilder) -> None:
    clips = FakeClips(5)
    policy = Policy(listening_model(prompts), clips, prompts)  # type: ignore[arg-type]
    policy.eval()
    error = policy.rate(clips.annotations)[:, -1] - torch.tensor([row["mos"] for row in clips.annotations])
    assert policy.validate(batch_size=2)["mos_mse"] == pytest.approx(float(error.square().mean()), abs=2e-4)
