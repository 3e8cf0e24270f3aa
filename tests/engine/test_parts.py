"""Scheduler, encoder cache and sampler on their own."""

from __future__ import annotations

from concurrent.futures import Future
from itertools import pairwise

import numpy as np
import pytest

from sqe_fast.answer.program import Program
from sqe_fast.engine.encoding import EncoderCache
from sqe_fast.engine.engine import PATIENCE, Engine, Entry, Priority, Scheduler
from sqe_fast.engine.sequence import Request, Sampling, Sequence, content_seed, draw, greedy
from sqe_fast.errors import ErrorCode
from tests.support.fake_runner import AUDIO_TOKEN, FakeRunner, clip
from tests.support.programs import rating, reads


def embedding(rows: int) -> np.ndarray:
    return np.ones((rows, 4), np.float32)  # 16 bytes a row


def entry(priority: Priority = Priority.BATCH, deadline: float = float("inf")) -> Entry:
    return Entry(Sequence(rating(0.5)), Future(), priority, deadline)


def admit(scheduler: Scheduler) -> Entry:
    found = scheduler.candidate()
    assert found is not None
    scheduler.join(found)
    return found


def test_slots_stay_contiguous() -> None:
    """A free slot between taken ones: the runner decodes the first rows of its memory."""
    scheduler = Scheduler(4)
    for _ in range(3):
        scheduler.add(entry())
    first, second, third = (admit(scheduler) for _ in range(3))
    third.sequence.fed = 9
    assert scheduler.leave(0) == (2, 0, 9)
    assert scheduler.active == [third, second]
    assert scheduler.leave(1) is None
    assert scheduler.active == [third]
    assert first not in scheduler.active


def test_no_more_sequences_than_slots() -> None:
    """A slot handed out twice would give one sequence's memory to another."""
    scheduler = Scheduler(1)
    scheduler.add(entry())
    scheduler.add(entry())
    admit(scheduler)
    assert scheduler.candidate() is None
    with pytest.raises(ValueError, match="at least one slot"):
        Scheduler(0)


@pytest.mark.parametrize("slots", [2, 3])
def test_the_last_slot_is_kept_for_alerts(slots: int) -> None:
    """An alert that waits until one of eight long descriptions has ended."""
    scheduler = Scheduler(slots)
    for priority in (Priority.BATCH, Priority.STREAM, Priority.INTERACTIVE):
        scheduler.add(entry(priority))
    for _ in range(slots - 1):
        admit(scheduler)
    assert scheduler.candidate() is None
    scheduler.add(entry(Priority.ALERT))
    assert admit(scheduler).priority is Priority.ALERT


def test_the_urgent_go_first_and_nobody_is_starved() -> None:
    """A batch that waits for ever beside a busy line, or one class that overtakes another by being further back."""
    scheduler = Scheduler(64)
    for _ in range(100):
        for priority in reversed(Priority):
            scheduler.add(entry(priority))
    order = []
    for _ in range(90):
        found = scheduler.candidate()
        assert found is not None
        scheduler.skip(found)
        order.append(found.priority)
    assert order[:PATIENCE] == [Priority.ALERT] * PATIENCE
    assert order[PATIENCE] is Priority.BATCH
    assert set(order[: 2 * PATIENCE]) == set(Priority), "everybody had a turn"
    assert max(order.count(priority) for priority in Priority) == order.count(Priority.ALERT)
    waits = [place for place, priority in enumerate(order) if priority is Priority.INTERACTIVE]
    assert max(b - a for a, b in pairwise(waits)) <= PATIENCE + len(Priority)


def test_patience_begins_when_somebody_waits() -> None:
    """A batch that comes after many alerts, and goes before the next one as if it had waited for all of them."""
    scheduler = Scheduler(64)
    for _ in range(PATIENCE + 1):
        scheduler.add(entry(Priority.ALERT))
    for _ in range(PATIENCE):
        admit(scheduler)
    scheduler.add(entry(Priority.BATCH))
    assert admit(scheduler).priority is Priority.ALERT


def test_within_a_priority_first_come_first_served() -> None:
    """The last to come taken first."""
    scheduler = Scheduler(8)
    entries = [entry(Priority.STREAM) for _ in range(4)]
    for each in entries:
        scheduler.add(each)
    assert [admit(scheduler) for _ in entries] == entries


def test_nobody_waits_for_what_is_too_late_or_cancelled() -> None:
    """A window rated long after the next one came; a slot for a caller who has left."""
    scheduler = Scheduler(4)
    late, cancelled, wanted = entry(deadline=0.0), entry(), entry()
    for each in (late, cancelled, wanted):
        scheduler.add(each)
    cancelled.future.cancel()
    assert scheduler.candidate() is wanted
    result = late.future.result(timeout=0)
    assert result.error is not None
    assert result.error.code is ErrorCode.TOO_LATE


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
    assert engine.meter.read().encoder_cache_hits == 3


def test_clips_that_wait_are_encoded_together() -> None:
    """A GPU that is given one short clip at a time idles; what was encoded ahead is no repeat, nor encoded twice."""
    runner = FakeRunner(slots=1, encode_frames=30)
    engine = Engine(runner)
    values = (0.25, 0.5, 0.25, 0.75, 1.0, 0.5)
    together = engine.run([rating(value) for value in values])
    assert runner.encoded == [[0.25, 0.5, 0.75], [1.0]]  # 12 frames each: the third reaches 30
    trace = engine.meter.read()
    assert (trace.encoded_clips, trace.encoder_cache_hits) == (4, 2)
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


@pytest.mark.parametrize(("temperature", "top_p", "kept"), [(0.8, 1.0, 5), (1.5, 1.0, 5), (1.0, 0.6, 2), (0.5, 0.6, 1)])
def test_samples_follow_the_tempered_probabilities(temperature: float, top_p: float, kept: int) -> None:
    """A temperature that multiplies instead of dividing, log-probabilities taken for probabilities, or a share of the
    probability cut before the temperature, or one token too early. The tokens need not come best first."""
    p = np.array([0.15, 0.5, 0.1, 0.2, 0.05])
    tokens, rng = np.arange(4, 9), np.random.default_rng(0)
    everything, sampling = np.ones(5, bool), Sampling(0, temperature, top_p)
    draws = [draw(tokens, np.log(p).astype(np.float32), everything, sampling, rng) for _ in range(4000)]
    expected = p ** (1 / temperature)
    expected[np.argsort(-expected)[kept:]] = 0
    shares = np.array([draws.count(token) for token in tokens]) / len(draws)
    assert shares == pytest.approx(expected / expected.sum(), abs=0.025)
    assert set(draws) == set(tokens[expected > 0])


def test_samples_keep_to_what_is_allowed() -> None:
    """A marker sampled into the prose."""
    rng = np.random.default_rng(0)
    logprobs = np.log(np.array([0.9, 0.1], np.float32))
    sampling = Sampling(0, top_p=0.5)
    assert {draw(np.array([4, 5]), logprobs, np.array([False, True]), sampling, rng) for _ in range(50)} == {5}
    assert draw(np.array([4, 5]), logprobs, np.array([False, False]), sampling, rng) is None


@pytest.mark.parametrize("choice", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top": 0}])
def test_a_way_of_drawing_that_draws_nothing_is_refused(choice: dict[str, float]) -> None:
    """A division by zero in the midst of a run."""
    with pytest.raises(ValueError, match="allow no draw"):
        Sampling(0, **choice)  # type: ignore[arg-type]


def test_the_seed_is_the_content() -> None:
    """A seed that ignores the audio describes all clips of one length alike; one that varies cannot be repeated."""
    assert content_seed((1, 2), ["a"]) == content_seed((1, 2), ["a"])
    assert len({content_seed((1, 2), ["a"]), content_seed((1, 2), ["b"]), content_seed((2, 1), ["a"])}) == 3
