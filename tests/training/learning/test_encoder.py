"""The warm-up of encoder and projector: its head, what a run leaves behind, and how SFT goes on with it."""

from pathlib import Path

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.results import RATINGS
from tests.support.small_tokenizer import small_tokenizer
from tests.support.speech import listening_model
from tests.support.training_rows import FakeClips, rows
from training.configs import Encoder, Schedule
from training.language.causes import KINDS
from training.learning import encoder
from training.learning.encoder import EncoderObjective, PooledEncoder
from training.learning.examples import Sampler, audio_example, text_example
from training.learning.policy import Policy, log_mels
from training.learning.pooled_head import CENTER, PooledHead, true_causes, true_ratings
from training.learning.sft import Parts
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(small_tokenizer())


def test_the_head_reads_the_mean_of_each_clip() -> None:
    """Clips pooled together, or weighted by their length."""
    head = PooledHead(2)
    with torch.no_grad():
        head.ratings.weight.copy_(torch.eye(5, 2))
        head.ratings.bias.zero_()
    ratings, logits = head([torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0]])])
    assert ratings[:, :2].tolist() == [[CENTER + 0.5, CENTER], [CENTER, CENTER + 1.0]]
    assert logits.shape == (2, len(KINDS))


def test_causes_are_those_that_can_be_heard() -> None:
    row = rows(1)[0]
    row["causes"][0]["rating"] = 4.7
    [present] = true_causes([row]).tolist()
    assert [name for name, there in zip(KINDS, present, strict=True) if there] == ["reverberation"]


def test_people_record_no_causes() -> None:
    """A human-rated clip teaches that it has none."""
    head, row = PooledHead(4), rows(1)[0]
    audio = [torch.randn(3, 4)]
    loss = head.losses(audio, [{**row, "rated_by": "human"}])["pooled"]
    assert float(loss.detach()) == pytest.approx(float((head(audio)[0] - true_ratings([row])).square().mean().detach()))
    assert float(head.losses(audio, [row])["pooled"].detach()) > float(loss.detach())


def test_one_batch_can_be_learnt(prompts: PromptBuilder) -> None:
    clips = FakeClips(4)
    objective = EncoderObjective(PooledEncoder(listening_model(prompts)), clips)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = objective(clips.annotations)["loss"]
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def test_sft_begins_where_a_run_ended(prompts: PromptBuilder, tmp_path: Path) -> None:
    """Another number of layers, a decoder that is not the expert's, a head that goes on moving."""
    clips, held_out = FakeClips(8), FakeClips(4, seed=2)
    schedule = Schedule(steps=2, batch_size=4, seed=0, log_every=1)
    encoder.run(Encoder(run=tmp_path, encoder_layers=1, schedule=schedule), clips, held_out, prompts)  # type: ignore[arg-type]
    folder = tmp_path / "encoder"
    model, head = encoder.load(folder, prompts)
    assert len(model.encoder.layers) == 1
    kept = torch.load(folder / "state.pt", weights_only=True)["model"]
    assert torch.equal(model.encoder.conv1.weight, kept["encoder.conv1.weight"])
    assert torch.equal(model.projector.linear.weight, kept["projector.linear.weight"])
    untrained = encoder.untrained(prompts, 1)
    assert not torch.equal(model.encoder.conv1.weight, untrained.encoder.conv1.weight)
    assert not any(parameter.requires_grad for parameter in head.parameters())
    last = (folder / "log.jsonl").read_text().splitlines()[-1]
    assert "cause_recall" in last
    assert str(Parts(None, tmp_path)) == f"whisper and {tmp_path.name}"


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
