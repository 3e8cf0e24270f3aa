"""Prefill of a prompt, and one decode step of several rows: ours beside Hugging Face's on a static cache, and compiled.
A pass of drafts stands by itself: only tokens that stand count, and how many these are is in `test_evaluate`.

    pytest benchmarks/engine/test_decoder.py --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine.conftest import THREADS
from benchmarks.peers.hugging_face_parts import HuggingFaceParts
from benchmarks.turns import describe, take_turns
from sqe_fast.runners.base import VERIFIED, Runner, SlotStep, Top, TopTokens, Verify

HELD = 276


@pytest.fixture(scope="module")
def text(runner: Runner) -> tuple[int, ...]:
    """512 tokens of the vocabulary, none of them audio."""
    drawn = np.random.default_rng(0).integers(10, runner.info.vocab_size, 1_024).tolist()
    return tuple(token for token in drawn if token != runner.info.audio_token_id)[:512]


def peers_of(tiny: Path, quick: bool) -> dict[str, HuggingFaceParts]:
    peers = {"hf_static_cache": HuggingFaceParts(tiny)}
    return peers if quick else peers | {"torch_compile": HuggingFaceParts(tiny, compiled=True)}


@pytest.mark.parametrize("tokens", [153, 276])
def test_prefill(
    benchmark: BenchmarkFixture,
    runner: Runner,
    text: tuple[int, ...],
    tiny: Path,
    tokens: int,
    quick: bool,
    rounds: int,
) -> None:
    step = SlotStep(0, 0, text[:tokens], Top(1))
    peers = {name: peer.prefill(text[:tokens]) for name, peer in peers_of(tiny, quick).items()}
    [best] = runner.prefill([step], [()])
    assert isinstance(best, TopTokens)
    for name, peer in peers.items():
        assert int(peer()[0].argmax()) == best.tokens[0], f"{name} says something else"
    benchmark.group = f"prefill, {tokens} tokens"
    take_turns(benchmark, lambda: runner.prefill([step], [()]), peers, rounds)
    describe(benchmark, ran=runner.info.name, threads=THREADS, dtype=runner.info.dtype)


def held(runner: Runner, rows: int) -> None:
    """The peer's cache holds token 0 throughout."""
    for slot in range(rows):
        runner.prefill([SlotStep(slot, 0, (0,) * HELD)], [()])


@pytest.mark.parametrize("rows", [1, 8, 32])
def test_decode(
    benchmark: BenchmarkFixture,
    runner: Runner,
    text: tuple[int, ...],
    tiny: Path,
    rows: int,
    quick: bool,
    rounds: int,
) -> None:
    held(runner, rows)
    steps = [SlotStep(slot, HELD, (text[slot],), Top(1)) for slot in range(rows)]
    peers = {name: peer.decode(text[:rows], HELD) for name, peer in peers_of(tiny, quick).items()}
    best = [int(each.tokens[0]) for each in runner.decode(steps) if isinstance(each, TopTokens)]
    for name, peer in peers.items():
        assert peer().argmax(-1).tolist() == best, f"{name} says something else"
    benchmark.group = f"decode, {rows} rows"
    take_turns(benchmark, lambda: runner.decode(steps), peers, rounds)
    describe(benchmark, ran=runner.info.name, threads=THREADS, dtype=runner.info.dtype)


@pytest.mark.parametrize("rows", [1, 8])
def test_verify(benchmark: BenchmarkFixture, runner: Runner, text: tuple[int, ...], rows: int, rounds: int) -> None:
    """A pass of as many tokens as fit beside as many passes of one."""
    held(runner, rows)
    fed = text[:VERIFIED]
    wide = [SlotStep(slot, HELD, fed[:1], Verify(fed[1:], 1)) for slot in range(rows)]

    def one_by_one() -> list[list[int]]:
        passes = [
            runner.decode([SlotStep(slot, HELD + place, (token,), Top(1)) for slot in range(rows)])
            for place, token in enumerate(fed)
        ]
        return [[int(each[slot].tokens[0]) for each in passes] for slot in range(rows)]  # type: ignore[union-attr]

    at_once = [[int(each.tokens[0]) for each in answer] for answer in runner.decode(wide) if isinstance(answer, list)]
    assert at_once == one_by_one()
    benchmark.group = f"decode, {rows} rows, {VERIFIED} tokens each"
    take_turns(benchmark, lambda: runner.decode(wide), {"one_by_one": one_by_one}, rounds)
    describe(benchmark, ran=runner.info.name, threads=THREADS, dtype=runner.info.dtype)
