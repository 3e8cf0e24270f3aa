"""The warm-up on a small random model: what its batches hold, and what a run leaves behind."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.files import TOKENIZER_FILE
from sqe_fast.model.qwen2_audio import load_checkpoint
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips, partly_rated
from training.configs import Schedule, Sft, Tuning
from training.corpora.corpus import HUMAN
from training.learning import sft, stage
from training.learning.batches import HUMAN_SHARE
from training.learning.sft import Mixture
from training.streams import Stream

STREAMS = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH
TWELVE = Schedule(steps=1, batch_size=12)


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return training_prompts()


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


def test_batches_hold_what_is_meant(prompts: PromptBuilder) -> None:
    """Whether a batch was heard or read, and its task, once came from one random number: no text batch compared, no
    audio batch asked for ratings alone. Of 2,000 steps at the default seed, shares within 3 points of what is meant."""
    mixture = Mixture.of(FakeClips(60), None, prompts, TWELVE, diverse=True)  # type: ignore[arg-type]
    drawn: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for index in range(2000):
        sampler = mixture.sampler(index)
        drawn[sampler is mixture.text][sampler.draw(index).task] += 1
    assert drawn[True].total() / 2000 == pytest.approx(sft.TEXT_SHARE, abs=0.03)
    for tasks, meant in ((drawn[True], sft.TEXT_TASKS), (drawn[False], sft.TASKS)):
        assert {task: count / tasks.total() for task, count in tasks.items()} == pytest.approx(meant, abs=0.03)


def test_people_are_heard_as_often_as_is_meant(prompts: PromptBuilder) -> None:
    """130 clips among 24,000 that are hardly ever heard; texts that give way to them; people's clips as text."""
    with_people = Mixture.of(FakeClips(60), partly_rated(8), prompts, TWELVE, diverse=True)  # type: ignore[arg-type]
    without = Mixture.of(FakeClips(60), None, prompts, TWELVE, diverse=True)  # type: ignore[arg-type]
    of_people = [index for index in range(4000) if with_people.sampler(index) is with_people.human]
    assert len(of_people) / 4000 == pytest.approx((1 - sft.TEXT_SHARE) * HUMAN_SHARE, abs=0.006)
    for index in range(400):
        assert (with_people.sampler(index) is with_people.text) == (without.sampler(index) is without.text)
    for index in of_people[:5]:
        assert with_people.sampler(index).draw(index).task == "line"
        batch = with_people(index)
        assert {clip["split"] for clip in batch.clips} == {HUMAN}
        assert not batch.prose.any()
        assert not batch.distributions


def test_a_run_hears_people(prompts: PromptBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their sound looked for among the simulated clips; a run that does not say that it heard them."""
    monkeypatch.setattr(sft, "HUMAN_SHARE", 1.0)
    stage.write_checkpoint(listening_model(prompts), prompts, tmp_path / "start", {})
    config = Sft(run=tmp_path, name="run", schedule=Schedule(steps=3, batch_size=2, seed=0, log_every=1))
    clips, held_out, people = FakeClips(8), FakeClips(4, seed=2), partly_rated(4)
    sft.run(config, tmp_path / "start", clips, held_out, prompts, people)  # type: ignore[arg-type]
    assert (people.heard, clips.heard) == (3 * 2, 0)
    facts = json.loads((tmp_path / "run" / "checkpoint" / "training.json").read_text())
    assert facts["human_clips"] == 4


def test_a_batch_is_made_of_what_was_drawn(prompts: PromptBuilder) -> None:
    mixture = Mixture.of(FakeClips(24), None, prompts, replace(TWELVE, batch_size=4), diverse=True)  # type: ignore[arg-type]
    for index in range(12):
        groups = mixture.sampler(index).draw(index).groups
        batch = mixture(index)
        assert len(batch.tokens) == len(groups)
        heard = [] if mixture.sampler(index) is mixture.text else [row for group in groups for row in group]
        assert list(batch.clips) == heard
