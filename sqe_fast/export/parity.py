"""How far ONNX Runtime is from the torch model on one checkpoint: the two runners, on the same input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from sqe_fast.checkpoint.config import AudioConfig, Qwen2AudioConfig
from sqe_fast.options import INT8, Serving
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

TOLERANCE = {"fp32": 1e-4, INT8: 0.05}
"""Relative to the largest value, at least to 1. In float32 both differ in the order of their sums alone; 8 bits round
every product's factors to a 127th of the largest of a block, through all layers, and a wrong graph is further off."""

FRAMES = (50, 321, 800)  # an even and an odd count, and a length at which float32 sums grow long
DECODE_STEPS = 4
BEST = 8
SEED = 20240229

Compared = tuple[str, tuple[float, float]]
"""What, and by how much."""


@dataclass(frozen=True)
class Difference:
    what: str
    precision: str
    """Of ONNX Runtime."""
    largest: float
    """Largest absolute difference."""
    scale: float
    """Largest absolute value in torch's, at least 1."""

    @property
    def passed(self) -> bool:
        return self.largest <= TOLERANCE[self.precision] * self.scale  # False for NaN

    def __str__(self) -> str:
        verdict = "ok" if self.passed else f"ABOVE {TOLERANCE[self.precision]:g} of it"
        return f"{self.precision}, {self.what}: {self.largest:.2e} of {self.scale:.3g} {verdict}"


@dataclass(frozen=True)
class Parity:
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return all(difference.passed for difference in self.differences)

    def __str__(self) -> str:
        title = "largest difference between ONNX Runtime and torch in float32, CPU:"
        return "\n".join([title, *map(str, self.differences)])


def measure_parity(folder: Path) -> Parity:
    """Encode noise, prefill with it, decode a few tokens: ONNX Runtime in every precision, and torch in float32."""
    torch, audio = open_runner(folder, Serving("torch-cpu", slots=1)), Qwen2AudioConfig.from_folder(folder).audio
    found: list[Difference] = []
    for precision in TOLERANCE:
        onnx = open_runner(folder, Serving("cpu", slots=1, precision=precision))
        found += (Difference(what, precision, *values) for what, values in _compare(onnx, torch, audio))
    return Parity(tuple(found))


def _compare(onnx: Runner, torch: Runner, config: AudioConfig) -> Iterator[Compared]:
    rng = np.random.default_rng(SEED)
    embeddings: Sequence[Embedding] = ()
    for frames in FRAMES:
        mel = rng.uniform(-1, 1.5, config.mel_shape(frames)).astype(np.float32)
        [ours], embeddings = onnx.encode([(mel, frames)]), torch.encode([(mel, frames)])
        yield f"encoder, {frames} frames", _difference(np.asarray(ours), np.asarray(embeddings[0]))
    yield from _compare_decoders(onnx, torch, embeddings, rng)


def _compare_decoders(
    onnx: Runner, torch: Runner, audio: Sequence[Embedding], rng: np.random.Generator
) -> Iterator[Compared]:
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


def _answers(what: str, onnx: Answer, torch: Answer) -> Compared:
    if isinstance(onnx, TopTokens) and isinstance(torch, TopTokens):
        # sorted values, not tokens: two near-equal logits may change places
        return f"{what}, best log-probabilities", _difference(onnx.logprobs, torch.logprobs)
    return f"{what}, candidates", _difference(np.asarray(onnx), np.asarray(torch))


def _difference(onnx: FloatArray, torch: FloatArray) -> tuple[float, float]:
    """`Difference.largest` and `Difference.scale`."""
    return float(np.abs(onnx - torch).max()), max(1.0, float(np.abs(torch).max()))
