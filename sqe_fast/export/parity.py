"""How far ONNX Runtime is from the torch model on one checkpoint: the two runners, on the same input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig
from sqe_fast.options import Serving
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import (
    Answer,
    Candidates,
    Embedding,
    FloatArray,
    Runner,
    RunnerInfo,
    SlotStep,
    Top,
    TopTokens,
    Verify,
)

TOLERANCE = 1e-4
"""Both run in float32 and differ in the order of their sums alone; relative to the largest value, at least to 1."""

FRAMES = (50, 321, 800)  # an even and an odd count, and a length at which float32 sums grow long
DECODE_STEPS = 4
BEST = 8
SEED = 20240229


@dataclass(frozen=True)
class Difference:
    what: str
    largest: float
    """Largest absolute difference."""
    scale: float
    """Largest absolute value in torch's, at least 1."""

    @property
    def passed(self) -> bool:
        return self.largest <= TOLERANCE * self.scale  # False for NaN


@dataclass(frozen=True)
class Parity:
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return all(difference.passed for difference in self.differences)

    def __str__(self) -> str:
        lines = [
            f"{d.what}: {d.largest:.2e} of {d.scale:.3g} {'ok' if d.passed else f'ABOVE {TOLERANCE:g} of it'}"
            for d in self.differences
        ]
        return "\n".join(["largest difference between ONNX Runtime and torch, float32, CPU:", *lines])


def measure_parity(folder: Path) -> Parity:
    """Encode noise, prefill with it, decode a few tokens, in both runners."""
    onnx, torch = (open_runner(folder, Serving(device=device, slots=1)) for device in ("cpu", "torch-cpu"))
    return Parity(tuple(_compare(onnx, torch, Qwen2AudioConfig.from_folder(folder).audio)))


def _compare(onnx: Runner, torch: Runner, config: AudioConfig) -> Iterator[Difference]:
    rng = np.random.default_rng(SEED)
    embeddings: Sequence[Embedding] = ()
    for frames in FRAMES:
        mel = rng.uniform(-1, 1.5, config.mel_shape(frames)).astype(np.float32)
        [ours], embeddings = onnx.encode([(mel, frames)]), torch.encode([(mel, frames)])
        yield _difference(f"encoder, {frames} frames", np.asarray(ours), np.asarray(embeddings[0]))
    yield from _compare_decoders(onnx, torch, embeddings, rng)


def _compare_decoders(
    onnx: Runner, torch: Runner, audio: Sequence[Embedding], rng: np.random.Generator
) -> Iterator[Difference]:
    """Both decoders hear what the torch encoder made."""
    info = torch.info
    text = _text_tokens(info, rng, 24 + DECODE_STEPS)
    tokens = (*text[:8], *[info.audio_token_id] * audio[0].shape[0], *text[8:24])
    arrays = [np.asarray(clip) for clip in audio]
    for ask in (Top(BEST), Candidates(text[:16])):
        step = SlotStep(0, 0, tokens, ask)
        yield _answers("prefill", onnx.prefill([step], [arrays])[0], torch.prefill([step], [audio])[0])
    for index, token in enumerate(text[24:]):
        for ask in (Top(BEST), Candidates(text[:16])):  # the second time the slot takes up the same again
            step = SlotStep(0, len(tokens) + index, (token,), ask)
            yield _answers(f"decode {index + 1}", onnx.decode([step])[0], torch.decode([step])[0])
    verified = SlotStep(0, len(tokens), text[24:25], Verify(text[25:], BEST))
    pairs = zip(_verified(onnx, verified), _verified(torch, verified), strict=True)
    for index, (ours, theirs) in enumerate(pairs):
        yield _answers(f"verify {index + 1}", ours, theirs)


def _verified(runner: Runner, step: SlotStep) -> list[TopTokens]:
    return cast(list[TopTokens], runner.decode([step])[0])


def _text_tokens(info: RunnerInfo, rng: np.random.Generator, count: int) -> tuple[int, ...]:
    ids = rng.integers(0, info.vocab_size - 1, count)
    return tuple(int(i) + (i >= info.audio_token_id) for i in ids)


def _answers(what: str, onnx: Answer, torch: Answer) -> Difference:
    if isinstance(onnx, TopTokens) and isinstance(torch, TopTokens):
        # sorted values, not tokens: two near-equal logits may change places
        return _difference(f"{what}, best log-probabilities", onnx.logprobs, torch.logprobs)
    return _difference(f"{what}, candidates", np.asarray(onnx), np.asarray(torch))


def _difference(what: str, onnx: FloatArray, torch: FloatArray) -> Difference:
    return Difference(what, float(np.abs(onnx - torch).max()), max(1.0, float(np.abs(torch).max())))
