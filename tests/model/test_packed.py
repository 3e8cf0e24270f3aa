"""The model as it is served, judged by Hugging Face's: through plain torch and through the Triton kernels.

7B's topology at small sizes: 128 mel, a KV head for each head and one for seven, two clips in a prompt. The last token
of the prompt is prefilled, the two after it are decoded.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sqe_fast.kernels import select
from sqe_fast.model.packed import PackedModel
from sqe_fast.model.packed import Prompt as Prefilled
from sqe_fast.model.qwen2_audio import load_checkpoint
from tests.support.hugging_face import Outputs, Prompt, exact_rms_norm, largest, theirs, tolerance
from tests.support.small_model import AUDIO_TOKEN, like_7b, random_clip, save_small, small_model

HEADS = [(4, 4), (7, 1)]
DECODED = 2
TRITON_TOLERANCE = 3e-3
"""Of the largest value."""


@pytest.fixture(scope="module", params=HEADS, ids=["a KV head each", "one KV head for seven"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("like-7b"), config=like_7b(*request.param))


@torch.inference_mode()
def served(folder: Path, prompt: Prompt, dtype: torch.dtype, operators: str) -> Outputs:
    """Logits of the last `1 + DECODED` positions."""
    model, _ = load_checkpoint(folder, dtype)
    packed = PackedModel(model, select(operators), slots=2, max_length=512)
    audio = packed.encode([(mel.to(dtype), frames) for mel, frames in prompt.clips])
    ids = prompt.tokens[0].tolist()
    given = len(ids) - DECODED
    logits = [packed.logits(packed.prefill([Prefilled(ids[:given], audio, 0, 0)]))]
    for past in range(given, len(ids)):
        hidden = packed.decode(torch.tensor(ids[past : past + 1]), torch.tensor([past], dtype=torch.int32))
        logits.append(packed.logits(hidden))
    return Outputs(audio, torch.cat(logits))


def expected(folder: Path, prompt: Prompt, dtype: torch.dtype, attention: str = "sdpa") -> Outputs:
    audio, logits = theirs(folder, prompt, dtype, attention)
    return Outputs(audio, logits[-1 - DECODED :])


def pairs(found: Outputs, *others: Outputs) -> list[tuple[Tensor, ...]]:
    return [
        *zip(found.audio, *(other.audio for other in others), strict=True),
        tuple(o.logits for o in (found, *others)),
    ]


def test_torch_operators_in_float64(folder: Path) -> None:
    prompt = Prompt(folder, (3.2, 0.5), torch.float64)
    with exact_rms_norm():
        wanted = expected(folder, prompt, torch.float64)
    for mine, other in pairs(served(folder, prompt, torch.float64, "torch"), wanted):
        assert largest(mine, other) <= 1e-9


def test_torch_operators_in_float32(folder: Path) -> None:
    prompt = Prompt(folder, (3.2, 0.5), torch.float32)
    found = served(folder, prompt, torch.float32, "torch")
    eager, sdpa = (expected(folder, prompt, torch.float32, kind) for kind in ("eager", "sdpa"))
    for mine, first, second in pairs(found, eager, sdpa):
        assert largest(mine, first) <= tolerance(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_triton_kernels(folder: Path, dtype: torch.dtype) -> None:
    """In Triton's interpreter: each kernel with its neighbours, shapes and strides as they are in the model."""
    prompt = Prompt(folder, (1.3, 0.5), torch.float32)
    wanted = expected(folder, prompt, torch.float32)
    for mine, other in pairs(served(folder, prompt, dtype, "triton"), wanted):
        assert largest(mine.float(), other) <= TRITON_TOLERANCE * float(other.abs().max())


@torch.inference_mode()
def test_the_twin_that_is_trained_says_the_same() -> None:
    """`Qwen2Audio.forward` and the packed model are two compositions of the same weights."""
    model = small_model().double()
    clips = [random_clip(frames, dtype=torch.float64) for frames in (51, 90, 334)]
    packed = PackedModel(model, select("torch"), slots=3, max_length=256)
    audio = packed.encode(clips)
    for mine, other in zip(audio, model.encode_batch(clips), strict=True):
        assert largest(mine, other) <= 1e-12
    tokens = [7, *[AUDIO_TOKEN] * len(audio[0]), 8, 9, *[AUDIO_TOKEN] * len(audio[1]), 11]
    hidden = packed.prefill([Prefilled(tokens, audio[:2], slot=2, past=0)])
    logits = model.logits(model(torch.tensor([tokens]), audio[:2]))[0, -1:]
    assert largest(packed.logits(hidden), logits) <= 1e-12


@torch.inference_mode()
def test_read_out_is_the_softmax_of_the_candidates_logits() -> None:
    model = small_model().double()
    packed = PackedModel(model, select("torch"), slots=1, max_length=16)
    hidden = packed.prefill([Prefilled([9, 31, 12], [], 0, 0)])
    probabilities = packed.read_out(hidden, torch.tensor([[10, 77, -1, 3]], dtype=torch.int32))
    p = packed.logits(hidden)[0, [10, 77, 3]].softmax(-1).float()
    torch.testing.assert_close(probabilities[0], torch.stack([p[0], p[1], torch.tensor(0.0), p[2]]))


def test_a_model_that_is_packed_can_still_be_saved() -> None:
    """Its convolutions were laid out anew in place: safetensors refuses what is not contiguous."""
    model = small_model()
    PackedModel(model, select("torch"), slots=1, max_length=16)
    assert all(parameter.is_contiguous() for parameter in model.parameters())
