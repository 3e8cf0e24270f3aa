"""The packed encoder against itself: batches, gradients, borders."""

from __future__ import annotations

import pytest
import torch

from sqe_fast.checkpoint.config import audio_tokens
from tests.support.small_model import SMALL, random_clip, small_model

LENGTHS = (3, 50, 51, 333, 204)  # the shortest, both parities of frames and of positions


def test_a_batch_equals_its_clips_alone() -> None:
    model = small_model().double()
    clips = [random_clip(frames, dtype=torch.float64) for frames in LENGTHS]
    for batch in (clips, clips[2:4]):
        for together, clip in zip(model.encode_batch(batch), batch, strict=True):
            torch.testing.assert_close(together, model.encode(*clip), rtol=0, atol=1e-12)


def test_a_neighbour_changes_nothing() -> None:
    """What lies before a clip in the packed sequence must not leak through a convolution's border."""
    model = small_model().double()
    clip, quiet = (random_clip(frames, dtype=torch.float64) for frames in (50, 33))
    loud = (quiet[0] * 100 + 7, quiet[1])
    outputs = [model.encode_batch([neighbour, clip, neighbour])[1] for neighbour in (quiet, loud)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)


def test_gradients_of_a_batch_are_the_sum_of_its_clips() -> None:
    model = small_model().double()
    clips = [random_clip(frames, dtype=torch.float64) for frames in LENGTHS]
    trained = [p for p in (*model.encoder.parameters(), *model.projector.parameters()) if p.requires_grad]
    together = torch.autograd.grad(torch.cat(model.encode_batch(clips)).square().sum(), trained)
    alone = [torch.autograd.grad(model.encode(*clip).square().sum(), trained) for clip in clips]
    for gradient, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(gradient, torch.stack(parts).sum(0), rtol=1e-9, atol=1e-9)


def test_positions_are_not_trained() -> None:
    assert not small_model().encoder.positions.requires_grad


@pytest.mark.parametrize("frames", [3, 4, 5, 6, 50, 51, 2998, 2999, 3000])
def test_the_number_of_tokens(frames: int) -> None:
    """The prompt must hold exactly as many audio tokens as the encoder gives embeddings."""
    tokens = len(small_model().encode(*random_clip(frames)))
    assert tokens == audio_tokens(frames)


def test_the_two_columns_beyond_the_clip_matter() -> None:
    """Without the margin the last position would be computed from zeros."""
    model = small_model()
    mel, frames = random_clip(51)
    changed = mel.clone()
    changed[:, frames:] += 1
    assert not torch.allclose(model.encode(mel, frames)[-1], model.encode(changed, frames)[-1], atol=1e-4)


@pytest.mark.parametrize(("columns", "frames"), [(52, 51), (54, 51), (3000, 3001), (4, 2)])
def test_a_mel_that_does_not_fit_its_frames_is_refused(columns: int, frames: int) -> None:
    with pytest.raises(ValueError, match="frames"):
        small_model().encode(torch.zeros(SMALL.audio.n_mels, columns), frames)
