"""What a head reads from a clip's embeddings, each reading where it listens."""

import pytest
import torch

from sqe_fast.results import RATINGS
from tests.support.training_rows import rows
from training.language.causes import KINDS
from training.learning.pooled_head import CENTER, WITNESS_WEIGHT, PooledHead, true_causes, true_ratings


def test_the_head_begins_with_the_mean_of_each_clip() -> None:
    """Clips pooled together, or weighted by their length."""
    head = PooledHead(2)
    with torch.no_grad():
        head.ratings.weight.copy_(torch.eye(5, 2))
        head.ratings.bias.zero_()
    ratings, logits = head([torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0]])])
    assert ratings[:, :2].tolist() == [[CENTER + 0.5, CENTER], [CENTER, CENTER + 1.0]]
    assert logits.shape == (2, len(KINDS))


def test_a_reading_listens_where_its_own_attention_points() -> None:
    """One moment of a long clip decides one reading and leaves the others alone."""
    head = PooledHead(2)
    with torch.no_grad():
        head.ratings.weight.fill_(1.0)
        head.ratings.bias.zero_()
        head.attention.weight[0, 1] = 50.0  # of the first rating: where the second number is high
    clip = torch.zeros(100, 2)
    clip[60] = torch.tensor([0.0, 1.0])
    [read], _ = head([clip])
    assert read.tolist() == pytest.approx([CENTER + 1.0, *[CENTER + 0.01] * 4], abs=1e-4)


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


def test_a_rating_that_no_panel_gave_teaches_nothing() -> None:
    """P.835 asks for neither discontinuity nor loudness: a gap must not turn the loss into NaN, or into a rating."""
    head, row = PooledHead(4), {**rows(1)[0], "rated_by": "human"}
    audio = [torch.randn(3, 4)]
    del row["loudness"]
    ratings = head(audio)[0]
    known = [name != "loudness" for name in RATINGS]
    expected = (ratings - true_ratings([row])).square()[0, known].mean()
    assert float(head.losses(audio, [row])["pooled"].detach()) == pytest.approx(float(expected.detach()))


def test_the_judges_are_heard_where_they_were_asked() -> None:
    head, row = PooledHead(4), {**rows(1)[0], "rated_by": "human"}
    audio = [torch.randn(3, 4)]
    alone = float(head.losses(audio, [row])["pooled"].detach())
    with torch.no_grad():
        head.witnesses.weight.zero_()
        head.witnesses.bias.zero_()
    asked = head.losses(audio, [{**row, "witness": {"distill_mos": CENTER + 2.0}}])["pooled"]
    assert float(asked.detach()) == pytest.approx(alone + 4.0 * WITNESS_WEIGHT, rel=1e-4)
