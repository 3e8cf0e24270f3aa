"""How far ONNX Runtime is from the torch model on one checkpoint: the two runners, on the same input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqe_fast.checkpoint.config import MEL_MARGIN
from sqe_fast.runners import open_runner
from sqe_fast.runners.base import Embedding, FloatArray, Row, Runner, RunnerInfo, StepOutput

TOLERANCE = 1e-4
"""Both run in float32 and differ in the order of their sums alone; relative to the largest value, at least to 1."""

FRAMES = (50, 321, 800)  # an even and an odd count, and a length at which float32 sums grow long
DECODE_STEPS = 4
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
    onnx, torch = (open_runner(folder, device=device, slots=1) for device in ("cpu", "torch-cpu"))
    return Parity(tuple(_compare(onnx, torch)))


def _compare(onnx: Runner, torch: Runner) -> Iterator[Difference]:
    rng = np.random.default_rng(SEED)
    embeddings: Sequence[Embedding] = ()
    for frames in FRAMES:
        columns = min(frames + MEL_MARGIN, torch.info.max_audio_frames)
        mel = rng.uniform(-1, 1.5, (torch.info.n_mels, columns)).astype(np.float32)
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
    row = Row(0, 0, tokens, candidates=text[:16])
    yield from _steps("prefill", onnx.prefill(row, [np.asarray(clip) for clip in audio]), torch.prefill(row, audio))
    for step, token in enumerate(text[24:]):
        row = Row(0, len(tokens) + step, (token,), candidates=text[:16])
        yield from _steps(f"decode {step + 1}", onnx.decode([row]), torch.decode([row]))


def _text_tokens(info: RunnerInfo, rng: np.random.Generator, count: int) -> tuple[int, ...]:
    ids = rng.integers(0, info.vocab_size - 1, count)
    return tuple(int(i) + (i >= info.audio_token_id) for i in ids)


def _steps(what: str, onnx: StepOutput, torch: StepOutput) -> Iterator[Difference]:
    # sorted values, not tokens: two near-equal logits may change places
    yield _difference(f"{what}, best log-probabilities", onnx.top_logprobs, torch.top_logprobs)
    yield _difference(f"{what}, candidates", onnx.probabilities[0], torch.probabilities[0])


def _difference(what: str, onnx: FloatArray, torch: FloatArray) -> Difference:
    return Difference(what, float(np.abs(onnx - torch).max()), max(1.0, float(np.abs(torch).max())))
