"""The warm-up of encoder and projector: what it learns, and how SFT goes on with what a run left."""

from pathlib import Path

import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips
from training.configs import Encoder, Schedule
from training.learning import encoder
from training.learning.encoder import EncoderObjective, PooledEncoder
from training.learning.sft import Parts
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
