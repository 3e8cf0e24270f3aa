"""Muon, beside torch's own in the one type that it knows, and by what its update is to be."""

import pytest
import torch
from torch import nn

from sqe_fast.model.decoder import Qwen2Decoder
from tests.support.small_model import SMALL
from training.learning.muon import Muon, orthogonal
from training.learning.stage import decoder_groups

SHAPES = [(12, 32), (32, 12), (12, 32), (16, 16)]


def matrices(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_as_torch_does_it_in_bf16() -> None:
    ours, theirs = matrices(0), matrices(0)
    options = {"lr": 0.02, "weight_decay": 0.1}
    optimizer = Muon(ours, **options, dtype=torch.bfloat16)
    reference = torch.optim.Muon(theirs, **options, adjust_lr_fn="match_rms_adamw")
    for step in range(1, 6):
        for parameter, other, gradient in zip(ours, theirs, matrices(step), strict=True):
            parameter.grad, other.grad = gradient.detach().clone(), gradient.detach().clone()
        optimizer.step()
        reference.step()
    for parameter, other, start in zip(ours, theirs, matrices(0), strict=True):
        moved, wanted = parameter - start, other - start
        assert (moved - wanted).norm() < 0.02 * wanted.norm()  # rounded in another order


@pytest.mark.parametrize("shape", SHAPES)
def test_no_direction_is_left_behind(shape: tuple[int, int]) -> None:
    """Whatever the gradient's singular values are, those of the update lie near 1, and its directions are the same."""
    left, _, right = torch.linalg.svd(
        torch.randn(shape, generator=torch.Generator().manual_seed(1)), full_matrices=False
    )
    values = torch.logspace(0, -1.5, len(right))
    update = orthogonal((left * values @ right)[None])[0]
    within = left.T @ update @ right.T
    assert within.diagonal().min() > 0.5
    assert within.diagonal().max() < 1.3
    assert (within - within.diagonal().diag()).abs().max() < 1e-3


def test_matrices_of_one_shape_do_not_mix() -> None:
    alone, together = matrices(3), matrices(3)
    orders = [Muon([parameter], lr=0.1) for parameter in alone], [Muon(together, lr=0.1)]
    for parameter, other, gradient in zip(alone, together, matrices(4), strict=True):
        parameter.grad, other.grad = gradient.detach().clone(), gradient.detach().clone()
    for optimizer in (*orders[0], *orders[1]):
        optimizer.step()
    for parameter, other in zip(alone, together, strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-4, atol=1e-5)


def test_what_has_no_gradient_stays() -> None:
    heard, unheard = matrices(5)[:2]
    before = unheard.detach().clone()
    heard.grad = torch.ones_like(heard)
    Muon([heard, unheard], lr=0.1).step()
    assert torch.equal(unheard, before)


def test_weight_matrices_alone() -> None:
    with pytest.raises(ValueError, match="weight matrices"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_of_a_decoder_the_layers_matrices_and_nothing_twice() -> None:
    decoder = Qwen2Decoder(SMALL.text)
    matrices, others = decoder_groups(decoder, 1e-3)
    assert len(matrices["params"]) == 7 * SMALL.text.layers
    assert {id(p) for p in matrices["params"]} == {id(p) for p in decoder.layers.parameters() if p.ndim == 2}
    assert len(matrices["params"]) + len(others["params"]) == len(list(decoder.parameters()))
