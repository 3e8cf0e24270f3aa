"""Slots, encoder cache and sampler on their own."""

from __future__ import annotations

import numpy as np
import pytest

from sqe_fast.answer.program import Program
from sqe_fast.engine import Engine, Request
from sqe_fast.engine.encoding import EncoderCache
from sqe_fast.engine.scheduler import KVSlots
from sqe_fast.engine.sequence import RETRY_TEMPERATURE, content_seed, greedy, sample
from tests.support.fake_runner import AUDIO_TOKEN, FakeRunner, clip
from tests.support.programs import rating, reads


def embedding(rows: int) -> np.ndarray:
    return np.ones((rows, 4), np.float32)  # 16 bytes a row


def test_slots_stay_contiguous() -> None:
    """A free slot between taken ones: the runner decodes the first rows of its memory."""
    slots = KVSlots(3)
    assert [slots.take() for _ in range(3)] == [0, 1, 2]
    assert slots.full
    assert slots.release(0) == 2
    assert slots.release(1) is None
    assert slots.take() == 1


def test_slots_refuse_what_cannot_be() -> None:
    """A slot released twice, or taken where none is, would hand one sequence's memory to another."""
    slots = KVSlots(1)
    with pytest.raises(RuntimeError, match="not taken"):
        slots.release(0)
    slots.take()
    with pytest.raises(RuntimeError, match="no slot is free"):
        slots.take()
    with pytest.raises(ValueError, match="at least one slot"):
        KVSlots(0)


def test_the_cache_is_bounded_and_forgets_the_least_recently_used() -> None:
    """A cache that grows with every clip of a lake, or that forgets the clip just asked for."""
    cache = EncoderCache(max_bytes=40 * 16)
    cache.put("a", embedding(20))
    cache.put("b", embedding(20))
    assert cache.get("a") is not None
    cache.put("c", embedding(20))
    assert cache.bytes == 40 * 16
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.get("c") is not None


def test_the_cache_counts_a_clip_once_and_refuses_what_cannot_fit() -> None:
    """Bytes counted twice shrink the cache for ever; a giant would empty it for nothing."""
    cache = EncoderCache(max_bytes=40 * 16)
    cache.put("a", embedding(10))
    cache.put("a", embedding(10))
    cache.put("giant", embedding(41))
    assert cache.bytes == 10 * 16
    assert cache.get("giant") is None
    assert cache.get("a") is not None


def test_a_clip_is_encoded_once() -> None:
    """A clip encoded again for every question about it, or two clips taken for one."""
    program = Program((1, *[AUDIO_TOKEN] * 6), tuple(reads()[:1]))
    runner = FakeRunner()
    engine = Engine(runner)
    engine.run([rating(0.25), rating(0.75), Request(program, (clip(0.25), clip(0.75))), rating(0.25)])
    assert runner.encoded == [[0.25], [0.75]]
    assert engine.stats.encoder_cache_hits == 3


def test_clips_that_wait_are_encoded_together() -> None:
    """A GPU that is given one short clip at a time idles; what was encoded ahead is no repeat, nor encoded twice."""
    runner = FakeRunner(slots=1, encode_frames=30)
    engine = Engine(runner)
    values = (0.25, 0.5, 0.25, 0.75, 1.0)
    together = engine.run([rating(value) for value in values])
    assert runner.encoded == [[0.25, 0.5, 0.75], [1.0]]  # 12 frames each: the third reaches 30
    assert (engine.stats.encoded_clips, engine.stats.encoder_cache_hits) == (4, 1)
    alone = [Engine(FakeRunner()).run([rating(value)])[0] for value in values]
    assert [r.reads["mos"].mean for r in together] == [r.reads["mos"].mean for r in alone]


def test_an_engine_without_cache_still_works() -> None:
    """A clip that does not fit the cache must still be heard."""
    runner = FakeRunner()
    results = Engine(runner, cache_bytes=0).run([rating(0.25), rating(0.25)])
    assert runner.encoded == [[0.25], [0.25]]
    assert results[0].reads["mos"].mean == results[1].reads["mos"].mean


def test_greedy_takes_the_best() -> None:
    """`top_tokens` is sorted best first, not by id."""
    assert greedy(np.array([7, 3, 9])) == 7


def test_samples_follow_the_tempered_probabilities() -> None:
    """A temperature that multiplies instead of dividing, or log-probabilities taken for probabilities."""
    p = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    everything = np.array([True, True, True])
    draws = [sample(np.array([4, 5, 6]), np.log(p).astype(np.float32), everything, rng) for _ in range(4000)]
    expected = p ** (1 / RETRY_TEMPERATURE)
    shares = np.array([draws.count(token) for token in (4, 5, 6)]) / len(draws)
    assert shares == pytest.approx(expected / expected.sum(), abs=0.025)


def test_samples_keep_to_what_is_allowed() -> None:
    """A marker sampled into the prose."""
    rng = np.random.default_rng(0)
    logprobs = np.log(np.array([0.9, 0.1], np.float32))
    assert {sample(np.array([4, 5]), logprobs, np.array([False, True]), rng) for _ in range(50)} == {5}
    assert sample(np.array([4, 5]), logprobs, np.array([False, False]), rng) is None


def test_the_seed_is_the_content() -> None:
    """A seed that ignores the audio describes all clips of one length alike; one that varies cannot be repeated."""
    assert content_seed((1, 2), ["a"]) == content_seed([1, 2], ["a"])
    assert len({content_seed((1, 2), ["a"]), content_seed((1, 2), ["b"]), content_seed((2, 1), ["a"])}) == 3
