"""What a linear head reads from the mean of a clip's embeddings."""

import pytest
import torch

from tests.support.training_rows import rows
from training.language.causes import KINDS
from training.learning.pooled_head import CENTER, PooledHead, true_causes, true_ratings


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
