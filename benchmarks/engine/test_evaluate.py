"""Clips per second, described and scores only: the evaluator beside Hugging Face's `generate` on the same weights.

    pytest benchmarks/engine --benchmark-columns=min,median,rounds -s

Peers take their turns in every round: one clip at a time, all clips as one padded batch, and compiled (torch.compile of
the decode steps over a static cache, as `generate` offers it; not with --quick). Ratios above 1: ours is faster.
Passes and tokens stand beside the times, since fewer passes is what an engine can win.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS
from benchmarks.turns import describe as describing
from sqe_fast import Evaluator
from sqe_fast.answer.template import PromptBuilder
from sqe_fast.checkpoint.folder import open_checkpoint
from sqe_fast.engine.trace import Trace
from sqe_fast.results import Evaluation
from tests.golden.clips import golden_clips
from tests.support.hugging_face_answers import HuggingFace

ROUNDS = 3
CLIPS = list(golden_clips().values())
AUDIO_SECONDS = sum(len(samples) / rate for samples, rate in CLIPS)


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return open_checkpoint("tiny").prompts()


@pytest.fixture(scope="module")
def peer(prompts: PromptBuilder) -> HuggingFace:
    return HuggingFace(open_checkpoint("tiny").folder, prompts)


@pytest.fixture(scope="module")
def compiled(prompts: PromptBuilder, quick: bool) -> HuggingFace | None:
    return None if quick else HuggingFace(open_checkpoint("tiny").folder, prompts, compiled=True)


@pytest.mark.parametrize("describe", [True, False], ids=["described", "scores"])
@pytest.mark.parametrize("slots", [1, 12])
def test_evaluate(
    benchmark: BenchmarkFixture,
    peer: HuggingFace,
    compiled: HuggingFace | None,
    prompts: PromptBuilder,
    describe: bool,
    slots: int,
    quick: bool,
) -> None:
    once = Evaluator.from_pretrained("tiny", device="cpu", slots=slots, threads=THREADS).evaluate(CLIPS, describe)
    agreement = _agreement(peer, prompts, once)

    waves = [samples for samples, _ in CLIPS]
    peers: dict[str, Callable[[], list[tuple[int, ...]]]] = {
        "hf_one_at_a_time": lambda: [peer.answers([wave], describe=describe)[0] for wave in waves],
        "hf_batched": lambda: peer.answers(waves, describe=describe),
    }
    if compiled is not None:
        peers["torch_compile"] = lambda: [compiled.answers([wave], describe=describe)[0] for wave in waves]
    times: dict[str, list[float]] = {name: [] for name in peers}
    tokens: list[int] = []

    def peers_turn() -> tuple[tuple[Evaluator], dict[str, object]]:
        for name, answers in peers.items():
            start = time.perf_counter()
            tokens.append(sum(map(len, answers())))
            times[name].append(time.perf_counter() - start)
        # A new evaluator each round: a clip that is heard again would be found in the encoder cache.
        return (Evaluator.from_pretrained("tiny", device="cpu", slots=slots, threads=THREADS),), {}

    traces: list[Trace] = []
    names: list[str] = []

    def ours(evaluator: Evaluator) -> None:
        evaluations = evaluator.evaluate(CLIPS, describe)
        assert [evaluation.error for evaluation in evaluations] == [None] * len(CLIPS)
        assert evaluations == once
        traces.append(evaluator.trace())
        names.append(evaluator.info()["runner"])

    benchmark.group = "described" if describe else "scores only"
    benchmark.pedantic(ours, setup=peers_turn, rounds=1 if quick else ROUNDS, warmup_rounds=1)

    trace = traces[-1]
    seconds = statistics.median(benchmark.stats.stats.data)
    ratios = {name: round(statistics.median(taken[1:]) / seconds, 2) for name, taken in times.items()}
    describing(benchmark, ran=names[-1], threads=THREADS, dtype="float32", audio_seconds=AUDIO_SECONDS)
    benchmark.extra_info.update(
        clips_per_second=round(len(CLIPS) / seconds, 2),
        times=ratios,
        prose_agrees=round(agreement, 3),
        peer_tokens=tokens[0],
        **trace.to_row(),
    )
    print(
        f"\n{benchmark.group}, {names[-1]}, {slots} slots: {len(CLIPS) / seconds:.1f} clips/s, "
        f"{ratios}; {trace.decode_steps} passes for {trace.decode_tokens} tokens, "
        f"HF {tokens[0]}; "
        f"mel {trace.mel_ms:.0f}, encode {trace.encode_ms:.0f}, prefill {trace.prefill_ms:.0f}, "
        f"decode {trace.decode_ms:.0f} ms of {seconds * 1e3:.0f}"
        + (f"; {agreement:.0%} of the descriptions are HF's, word for word" if describe else "")
    )


def _agreement(peer: HuggingFace, prompts: PromptBuilder, evaluations: list[Evaluation]) -> float:
    """Share of descriptions that the peer writes word for word, our ratings and causes given; 1 without descriptions.

    Asserts that ratings are there and that nearly all prose is the peer's. Ties in greedy decoding, and a number that
    the peer states otherwise than its own line, leave some room.
    """
    assert all(evaluation.ratings is not None for evaluation in evaluations)
    same = []
    for evaluation, (samples, _) in zip(evaluations, CLIPS, strict=True):
        if evaluation.description is None or evaluation.ratings is None:
            continue
        listed = prompts.listing([cause.name for cause in evaluation.causes])
        given = (*prompts.line(evaluation.ratings), *listed)
        same.append(prompts.text(peer.answers([samples], describe=True, given=given)[0]) == evaluation.description)
    share = float(np.mean(same)) if same else 1.0
    assert share >= 0.9
    return share
