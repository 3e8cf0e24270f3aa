"""Hugging Face's own Qwen2-Audio judges ours: on a random small model and on the bundled one.

Hugging Face pads each clip to 30 s and masks; ours encodes the true length. Tolerances: 1e-9 in float64; in float32
three times the difference between Hugging Face's eager and sdpa attention.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

import sqe_fast
from sqe_fast.model.qwen2_audio import load_checkpoint, save_checkpoint
from tests.support.hugging_face import Outputs, Prompt, exact_rms_norm, largest, theirs, tolerance
from tests.support.small_model import save_small, small_model

SECONDS = (0.5, 3.2, 8.0, 29.9)
BUNDLED = Path(sqe_fast.__file__).parent / "models" / "tiny"


@pytest.fixture(scope="module", params=["random", "bundled"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "random":
        return save_small(tmp_path_factory.mktemp("small"))
    if not (BUNDLED / "model.safetensors").is_file():
        pytest.skip("no bundled checkpoint yet")
    return BUNDLED


@torch.inference_mode()
def ours(folder: Path, prompt: Prompt, dtype: torch.dtype) -> Outputs:
    model, _ = load_checkpoint(folder, dtype)
    audio = model.encode_batch(prompt.clips)
    return Outputs(list(audio), model.logits(model(prompt.tokens, audio))[0])


@pytest.mark.parametrize("seconds", [(s,) for s in SECONDS] + [(3.2, 0.5)], ids=str)
def test_float64_is_equal_to_1e_9(folder: Path, seconds: tuple[float, ...]) -> None:
    """Catches a wrong frame at the end, a constant for silence, a missing bias, two clips in the wrong order."""
    prompt = Prompt(folder, seconds, torch.float64)
    with exact_rms_norm():
        expected = theirs(folder, prompt, torch.float64, "sdpa")  # eager's softmax is float32
    got = ours(folder, prompt, torch.float64)
    for mine, other in zip(got.audio, expected.audio, strict=True):
        assert largest(mine, other) <= 1e-9
    assert largest(got.logits, expected.logits) <= 1e-9


@pytest.mark.parametrize("seconds", [(s,) for s in SECONDS] + [(3.2, 0.5)], ids=str)
def test_float32_is_as_close_as_their_own_attentions(folder: Path, seconds: tuple[float, ...]) -> None:
    prompt = Prompt(folder, seconds, torch.float32)
    eager, sdpa = (theirs(folder, prompt, torch.float32, kind) for kind in ("eager", "sdpa"))
    got = ours(folder, prompt, torch.float32)
    pairs = [*zip(got.audio, eager.audio, sdpa.audio, strict=True), (got.logits, eager.logits, sdpa.logits)]
    for mine, first, second in pairs:
        assert largest(mine, first) <= tolerance(first, second)


def test_what_we_save_loads_there_whole(tmp_path: Path) -> None:
    """Their loader leaves an absent head random with only a warning."""
    model = small_model()
    save_checkpoint(model, tmp_path, torch.float32)
    loaded, info = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert torch.equal(loaded.get_output_embeddings().weight, model.decoder.head.weight)
    assert torch.equal(loaded.get_input_embeddings().weight, model.decoder.embed.weight)


def test_what_they_save_loads_here(tmp_path: Path) -> None:
    save_small(tmp_path / "ours")
    prompt = Prompt(tmp_path / "ours", (0.5,), torch.float32)
    Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert torch.equal(
        ours(tmp_path / "ours", prompt, torch.float32).logits, ours(tmp_path / "theirs", prompt, torch.float32).logits
    )
