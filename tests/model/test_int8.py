"""A decoder's weights in 8 bits: what they stand for, what that changes, and where it may be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sqe_fast import Evaluator
from sqe_fast.checkpoint.folder import BUNDLED
from sqe_fast.model.int8 import STEPS, Int8Linear, quantise, quantised
from sqe_fast.model.qwen2_audio import Qwen2Audio, load_checkpoint
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS
from sqe_fast.runners.base import SlotStep, Top, TopTokens
from sqe_fast.runners.torch_runner import TorchRunner, _bytes, _hollow
from tests.golden.clips import golden_clips
from tests.support.small_model import save_small, small_model

INT8 = Serving("torch-cpu", slots=3, max_length=128, precision="int8")


def test_each_row_has_its_own_steps() -> None:
    """One scale for all would leave a quiet channel three values."""
    weight = torch.randn(6, 40) * torch.tensor([1e-4, 1.0, 1e3, 1.0, 0.0, 7.0])[:, None]
    steps, scale = quantised(weight)
    assert steps.dtype == torch.int8
    assert steps.abs().amax(1).tolist() == [STEPS] * 4 + [0, STEPS]
    assert ((steps * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all()


def test_half_of_a_decoders_bytes_remain() -> None:
    """And nothing of the encoder, the embeddings or the head is touched."""
    model, plain = small_model(), small_model()
    quantise(model.decoder)
    changed = {name for name, part in model.named_modules() if isinstance(part, Int8Linear)}
    linears = {name for name, part in plain.decoder.layers.named_modules() if isinstance(part, nn.Linear)}
    assert changed == {f"decoder.layers.{name}" for name in linears}
    weights = sum(plain.decoder.layers.get_submodule(name).weight.numel() for name in linears)  # type: ignore[union-attr]
    scales = sum(len(plain.decoder.layers.get_submodule(name).weight) for name in linears)  # type: ignore[arg-type]
    assert _bytes(plain, torch.float16) - _bytes(model, torch.float16) == weights - 2 * scales
    hollow = _hollow(model.config, INT8)
    assert _bytes(hollow, torch.float16) == _bytes(model, torch.float16)


def stood_for(model: Qwen2Audio) -> Qwen2Audio:
    """With the weights that 8 bits stand for, in float32."""
    for part in model.decoder.layers.modules():
        if isinstance(part, nn.Linear):
            steps, scale = quantised(part.weight.detach())
            part.weight.data = steps * scale[:, None]
    return model


@pytest.mark.parametrize("operators", ["torch", "triton"])
def test_what_is_served_is_what_the_weights_stand_for(operators: str, tmp_path: Path) -> None:
    """Prefill, and decode steps of three sequences; the kernels in Triton's interpreter."""
    folder = save_small(tmp_path)
    ours = TorchRunner(folder, INT8, operators=operators)
    exact = TorchRunner.of(stood_for(load_checkpoint(folder)[0]), Serving("torch-cpu", slots=3, max_length=128))
    assert (ours.info.int8, exact.info.int8) == (True, False)
    prompts = [(9, 31, 12, 77), (150, 42), (18, 100, 64, 8, 0, 21, 33)]
    found, wanted = [], []
    for runner, answers in ((ours, found), (exact, wanted)):
        steps = [SlotStep(slot, 0, tokens, Top(8)) for slot, tokens in enumerate(prompts)]
        answers += runner.prefill(steps, [()] * len(steps))
        answers += runner.decode([SlotStep(slot, len(prompt), (6,), Top(8)) for slot, prompt in enumerate(prompts)])
    for one, other in zip(found, wanted, strict=True):
        assert isinstance(one, TopTokens)
        assert isinstance(other, TopTokens)
        assert one.tokens.tolist() == other.tokens.tolist()
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=0, atol=2e-5)


@pytest.mark.skipif(
    not (BUNDLED / "tiny" / "model.safetensors").is_file(), reason="the bundled model is not in this tree"
)
@pytest.mark.parametrize("device", ["torch-cpu", "cpu"])
def test_tiny_rates_alike_in_8_bits(device: str) -> None:
    """And every row says in what it was rated."""
    clips = list(golden_clips().values())[:6]
    plain, coarse = (Evaluator.from_pretrained("tiny", device=device, precision=each) for each in ("fp32", "int8"))
    assert coarse.model == f"{plain.model}+int8"
    assert coarse.info()["int8"] is True
    pairs = list(zip(*(each.evaluate(clips, describe=False) for each in (plain, coarse)), strict=True))
    moved = [abs(a.ratings[name] - b.ratings[name]) for a, b in pairs for name in RATINGS]  # type: ignore[index]
    assert 0 < np.mean(moved) < 0.02
    assert max(moved) < 0.1
