"""How a clip is heard in training: alike each time, not the same."""

import numpy as np
import pytest
import torch

from sqe_fast.audio.features import frame_count
from sqe_fast.results import RATINGS
from tests.support.speech import listening_model
from tests.support.training_prompts import training_prompts
from tests.support.training_rows import FakeClips
from training.learning.examples import Sampler, audio_example
from training.learning.hearing import AGAIN, AROUND, again, heard, length, log_mels
from training.learning.policy import Policy
from training.streams import Stream

CPU = torch.device("cpu")


def test_now_and_then_there_is_silence_around_a_clip() -> None:
    [clip] = FakeClips(1).annotations
    rows = [heard(clip, times) for times in range(2_000)]
    around = [row for row in rows if any(row["around"])]
    assert len(around) / len(rows) == pytest.approx(AROUND, abs=0.03)
    assert len({row["around"] for row in around}) == len(around)
    assert all(3_200 <= part <= 32_000 for row in around for part in row["around"])
    assert all(length(row) == clip["samples"] + sum(row["around"]) for row in rows)
    assert all(row[name] == clip[name] for row in rows for name in RATINGS)
    assert heard(clip, 7) == heard(clip, 7)


def test_no_clip_is_heard_for_longer_than_a_model_hears() -> None:
    """A long clip and its silence: the front end refuses more than 30 s, an hour into the training."""
    [clip] = FakeClips(1).annotations
    lengths = [length(heard({**clip, "samples": 29 * 16_000}, times, around=1)) for times in range(200)]
    assert min(lengths) == 29 * 16_000
    assert 29.4 * 16_000 <= max(lengths) <= 30 * 16_000


def test_a_clip_that_is_not_heard_in_training_is_left_as_it_is() -> None:
    clips = FakeClips(1)
    [clip] = clips.annotations
    [(data, frames)] = log_mels(clips, [clip], 80, CPU)  # type: ignore[arg-type]
    assert frames == frame_count(length(clip)) == frame_count(clip["samples"])
    [(other, _)] = log_mels(clips, [heard(clip, 1, around=0)], 80, CPU)  # type: ignore[arg-type]
    assert not torch.equal(data, other)


def test_the_second_hearing_is_another() -> None:
    """Every other time with silence around; never the hearing of a later epoch."""
    clips = FakeClips(400).annotations
    pairs = [(heard(clip, 3), again(heard(clip, 3))) for clip in clips]
    assert all(second["heard"] == AGAIN + 3 and second["seed"] == first["seed"] for first, second in pairs)
    assert np.mean([any(second["around"]) for _, second in pairs]) == pytest.approx(0.5, abs=0.08)


def test_what_is_heard_is_as_long_as_the_prompt_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot of as many tokens as the encoder gives, silence included; a batch that does not fit fails."""
    monkeypatch.setattr(heard, "__defaults__", (1.0,))
    prompts, clips = training_prompts(), FakeClips(8)
    policy = Policy(listening_model(prompts), clips, prompts)  # type: ignore[arg-type]
    streams = Stream.SFT_AUDIO_ORDER, Stream.SFT_AUDIO_BATCH
    for task in ("line", "compare", "aspect", "which"):
        batch = Sampler(clips.annotations, prompts, audio_example, {task: 1.0}, 4, 0, *streams)(0)  # type: ignore[dict-item]
        assert all(any(clip["around"]) for clip in batch.clips)
        slots = int((batch.tokens == policy.model.config.audio_token_id).sum())
        assert sum(len(audio) for audio in policy.encode(batch.clips)) == slots
        assert float(policy(batch)["loss"].detach()) > 0
