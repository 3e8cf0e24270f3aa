"""Hugging Face's own Qwen2-Audio judges ours: on a random small model and on the bundled one.

Hugging Face pads each clip to 30 s and masks; ours encodes the true length. Tolerances: 1e-9 in float64; in float32
three times the difference between Hugging Face's eager and sdpa attention, which is taken as at least eight units in
the last place of the largest value (a small model's two may agree to the last bit).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor
from transformers.models.qwen2 import modeling_qwen2

import sqe_fast
from sqe_fast.model.config import MEL_MARGIN, audio_tokens
from sqe_fast.model.qwen2_audio import load_checkpoint, save_checkpoint
from tests.model.small import SAMPLE_RATE, save_small, small_model, waveform

SECONDS = (0.5, 3.2, 8.0, 29.9)
BUNDLED = Path(sqe_fast.__file__).parent / "models" / "tiny"
EAGER_TO_SDPA = 3.0
ULPS = 8 * 2**-23


class Outputs(NamedTuple):
    audio: list[Tensor]  # a clip's embeddings [tokens, hidden]
    logits: Tensor  # [T, vocabulary]


@pytest.fixture(scope="module", params=["random", "bundled"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "random":
        return save_small(tmp_path_factory.mktemp("small"))
    if not (BUNDLED / "model.safetensors").is_file():
        pytest.skip("no bundled checkpoint yet")
    return BUNDLED


class Prompt:
    """Clips of the given seconds in one prompt, between some text, as both sides want them."""

    def __init__(self, folder: Path, seconds: tuple[float, ...], dtype: torch.dtype) -> None:
        config = load_checkpoint(folder)[1]
        extractor = WhisperFeatureExtractor(feature_size=config.audio.n_mels)
        waves = [waveform(duration, seed) for seed, duration in enumerate(seconds)]
        features = extractor(waves, sampling_rate=SAMPLE_RATE, return_attention_mask=True, return_tensors="pt")
        self.features = features.input_features.to(dtype)
        self.mask = features.attention_mask
        self.frames = [-(-len(wave) // 160) for wave in waves]
        assert self.frames == self.mask.sum(1).tolist()
        pairs = zip(self.features, self.frames, strict=True)
        self.clips = [(mel[:, : frames + MEL_MARGIN], frames) for mel, frames in pairs]
        text = [token for token in range(30, 70) if token != config.audio_token_id]
        ids = text[:7]
        for index, frames in enumerate(self.frames):
            ids += [config.audio_token_id] * audio_tokens(frames) + text[9 * index + 7 : 9 * index + 16]
        self.tokens = torch.tensor([ids])


@contextmanager
def exact_rms_norm() -> Iterator[None]:
    """Hugging Face's RMS norm computes in float32 whatever it is given, which would hide differences below 1e-7."""

    def forward(self: modeling_qwen2.Qwen2RMSNorm, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modeling_qwen2.Qwen2RMSNorm, "forward", forward)
        yield


@torch.inference_mode()
def theirs(folder: Path, prompt: Prompt, dtype: torch.dtype, attention: str) -> Outputs:
    model = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention
    ).eval()
    projected: list[Tensor] = []
    projector = next(module for name, module in model.named_modules() if name.endswith("multi_modal_projector"))
    projector.register_forward_hook(lambda module, inputs, output: projected.append(output))
    logits = model(input_ids=prompt.tokens, input_features=prompt.features, feature_attention_mask=prompt.mask).logits
    counts = [audio_tokens(frames) for frames in prompt.frames]
    return Outputs([clip[:count] for clip, count in zip(projected[0], counts, strict=True)], logits[0])


@torch.inference_mode()
def ours(folder: Path, prompt: Prompt, dtype: torch.dtype) -> Outputs:
    model, _ = load_checkpoint(folder, dtype)
    audio = model.encode_batch(prompt.clips)
    return Outputs(list(audio), model.logits(model(prompt.tokens, audio))[0])


def largest(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


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
        tolerance = EAGER_TO_SDPA * max(largest(first, second), ULPS * float(first.abs().max()))
        assert largest(mine, first) <= tolerance


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
