"""End to end: clips to ratings and prose, by the evaluator and by its peers on the same weights in the same run.

The weights are a checkpoint's: random ones would write noise of any length. Every round hears new clips, so that no
cache of anyone's has them. Peers take their turn in each round; their prompts hold all clips at once.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch

from benchmarks.gpu.rows import Machine, Writer
from benchmarks.peers.vllm import Vllm, has_vllm
from sqe_fast import Evaluator
from sqe_fast.audio.features import SAMPLE_RATE
from sqe_fast.checkpoint.folder import Checkpoint, open_checkpoint
from sqe_fast.options import Serving
from sqe_fast.results import RATINGS, Evaluation
from sqe_fast.runners.torch_runner import TorchRunner
from tests.golden.clips import golden_clips
from tests.support.hugging_face_answers import HuggingFace, Wave
from tests.support.workloads import utterances

ROUNDS = 3
HOP = SAMPLE_RATE // 100
OFF = 0.03
"""How far our first rating may lie from Hugging Face's in half precision, on the scale from 1 to 5."""


class Peer(Protocol):
    def answers(self, clips: Sequence[Wave], *, describe: bool) -> list[tuple[int, ...]]:
        """The greedy answer to each clip's rating prompt."""


def measure(writer: Writer, name: str) -> None:
    machine, checkpoint = writer.machine, open_checkpoint(name)
    frames = (120,) if machine.dry else utterances(32)
    evaluator = _evaluator(checkpoint, machine, len(frames))
    dtype = getattr(torch, evaluator.info()["dtype"])  # theirs as ours, or rounding would be compared
    peers = _peers(checkpoint, machine, len(frames), dtype)
    compare(writer, "answer", evaluator, peers, frames)


def compare(
    writer: Writer,
    level: str,
    evaluator: Evaluator,
    peers: dict[str, Peer],
    frames: tuple[int, ...],
    rounds: int = ROUNDS,
) -> None:
    """Rows of ratings alone and of ratings described, for clips of so many mel frames, new ones each round."""
    machine = writer.machine
    off = _off(evaluator, peers["transformers sdpa"], _clips(frames, 0))  # type: ignore[arg-type]
    for describe in (False,) if machine.dry else (False, True):
        turns = Turns(machine, ["", *peers])
        for turn in range(1 if machine.dry else 1 + rounds):  # the first warms up
            clips = _clips(frames, 1 + turn)
            with turns.timed(""):
                found = _ours(evaluator, clips, describe)
            whole = all(evaluation.error is None and evaluation.ratings is not None for evaluation in found)
            turns.noted("", evaluator.trace().decode_tokens, whole)
            for peer, model in peers.items():
                with turns.timed(peer):
                    answers = model.answers(clips, describe=describe)
                turns.noted(peer, sum(map(len, answers)), min(map(len, answers)) >= len(RATINGS))
        case = f"{len(frames)} clips, {'described' if describe else 'scores only'}"
        _write(writer, level, case, evaluator.info(), turns, sum(frames) / 100, off)


class Turns:
    """Seconds of each round, tokens of the last and whether all were answered, by contender; "" is ours."""

    def __init__(self, machine: Machine, contenders: Sequence[str]) -> None:
        self._machine = machine
        self.seconds: dict[str, list[float]] = {name: [] for name in contenders}
        self.tokens: dict[str, int] = {}
        self.answered: dict[str, bool] = dict.fromkeys(contenders, True)

    def noted(self, contender: str, tokens: int, answered: bool) -> None:
        self.tokens[contender] = tokens
        self.answered[contender] &= answered

    @contextmanager
    def timed(self, contender: str) -> Iterator[None]:
        self._machine.synchronise()
        start = time.perf_counter()
        yield
        self._machine.synchronise()
        self.seconds[contender].append(time.perf_counter() - start)


def _write(
    writer: Writer, level: str, case: str, info: dict[str, Any], turns: Turns, audio_seconds: float, off: float
) -> None:
    """A row for each peer."""
    operators, runner = info["runner"].split("-")[0], info["runner"]
    for peer in turns.seconds:
        if not peer:
            continue
        times: dict[str, float] = {}
        if not writer.machine.dry:
            mine, theirs = (statistics.median(turns.seconds[name][1:]) for name in ("", peer))
            times = {
                "ms": round(mine * 1e3, 1),
                "peer_ms": round(theirs * 1e3, 1),
                "times_peer": round(theirs / mine, 3),
                "audio_seconds_per_second": round(audio_seconds / mine, 1),
            }
        more = {"off_first_rating": off, "tokens": turns.tokens[""], "peer_tokens": turns.tokens[peer]}
        right = off <= OFF and turns.answered[""] and turns.answered[peer]
        row = {"peer": peer, "runner": runner, "model": info["model"], **more, **times}
        writer.write(level, case, operators, right=right, dtype=info["dtype"], **row)


def _evaluator(checkpoint: Checkpoint, machine: Machine, slots: int) -> Evaluator:
    """The dry one runs the same kernels, in the interpreter."""
    if not machine.dry:
        return Evaluator.from_pretrained(checkpoint.folder, device="cuda", slots=slots)
    runner = TorchRunner(
        checkpoint.folder, Serving(device="torch-cpu", slots=slots, max_length=256), operators="triton"
    )
    return Evaluator(runner, checkpoint.prompts(), model=checkpoint.model)


def _peers(checkpoint: Checkpoint, machine: Machine, slots: int, dtype: torch.dtype) -> dict[str, Peer]:
    folder, prompts = checkpoint.folder, checkpoint.prompts()
    peers: dict[str, Peer] = {"transformers sdpa": HuggingFace(folder, prompts, machine.device, dtype)}
    if not machine.dry:
        peers["transformers compiled"] = HuggingFace(folder, prompts, machine.device, dtype, compiled=True)
        if has_vllm():
            peers["vllm"] = Vllm(folder, prompts, dtype, slots=slots)
        else:
            print("vLLM is not installed: it is left out")
    return peers


def _ours(evaluator: Evaluator, clips: Sequence[Wave], describe: bool) -> list[Evaluation]:
    return evaluator.evaluate([(clip, SAMPLE_RATE) for clip in clips], describe)


def _off(evaluator: Evaluator, peer: HuggingFace, clips: Sequence[Wave]) -> float:
    """The furthest of our first ratings from the peer's; infinite where we give none."""
    ours = [evaluation.ratings for evaluation in _ours(evaluator, clips, describe=False)]
    pairs = zip(ours, peer.first_ratings(clips), strict=True)
    return max(abs(ratings[RATINGS[0]] - value) if ratings else math.inf for ratings, value in pairs)


def _clips(frames: Sequence[int], seed: int) -> list[Wave]:
    """Pieces of the golden clips, one after the other, with a little noise of their own."""
    rng = np.random.default_rng(seed)
    speech = np.concatenate([samples for samples, rate in golden_clips().values() if rate == SAMPLE_RATE])
    clips, start = [], 0
    for count in frames:
        piece = np.take(speech, np.arange(start, start + count * HOP), mode="wrap")
        clips.append((piece + 1e-4 * rng.standard_normal(len(piece))).astype(np.float32))
        start += count * HOP
    return clips
