"""The warm-up of encoder and projector: what it learns, and how SFT goes on with what a run left."""

import json
import math
from pathlib import Path

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips, partly_rated
from training.configs import Encoder, Schedule
from training.corpora.corpus import HUMAN
from training.learning import encoder
from training.learning.encoder import Batches, EncoderObjective, PooledEncoder
from training.learning.sft import Parts
from training.learning.stage import write_checkpoint
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


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


def test_it_goes_on_from_a_checkpoint(prompts: PromptBuilder, tmp_path: Path) -> None:
    started, rate = listening_model(prompts), encoder.ENCODER_RATE
    write_checkpoint(started, prompts, tmp_path / "start", {})
    config = Encoder(run=tmp_path, start=tmp_path / "start", schedule=Schedule(steps=1, batch_size=4))
    encoder.run(config, FakeClips(8), FakeClips(4, seed=2), prompts)  # type: ignore[arg-type]
    kept = torch.load(tmp_path / "encoder" / "state.pt", weights_only=True)["model"]["encoder.conv1.weight"]
    moved = (kept - started.encoder.conv1.weight.half()).abs().max()
    assert 0 < moved < 1.1 * rate  # one step of AdamW


def test_people_are_heard_beside_simulated_clips(
    prompts: PromptBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two known ratings of five, and no cause: a loss that is not a number; a share that nobody hears."""
    clips, held_out, people = FakeClips(8), FakeClips(4, seed=2), partly_rated(4)
    batches = Batches.of(clips, people, Schedule(steps=1, batch_size=4))  # type: ignore[arg-type]
    human = [index for index in range(3000) if batches(index)[0].get("split") == HUMAN]
    assert len(human) / 3000 == pytest.approx(encoder.HUMAN_SHARE, abs=0.01)
    monkeypatch.setattr(encoder, "HUMAN_SHARE", 0.5)
    schedule = Schedule(steps=6, batch_size=4, log_every=1)
    encoder.run(Encoder(run=tmp_path, encoder_layers=1, schedule=schedule), clips, held_out, prompts, people)  # type: ignore[arg-type]
    assert people.heard > 0
    assert clips.heard > 0
    losses = [json.loads(line).get("loss", 0.0) for line in (tmp_path / "encoder" / "log.jsonl").open()]
    assert all(map(math.isfinite, losses))
