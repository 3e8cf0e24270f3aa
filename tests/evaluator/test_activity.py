"""How busy an evaluator says it is."""

from __future__ import annotations

import threading

from tests.support.fake_evaluator import fake_evaluator, fake_runner, sound, wait_until
from tests.support.live_calls import noise


def test_what_waits_is_told_and_what_was_done_is_kept() -> None:
    """Counts that an `evaluate` of somebody else starts anew."""
    runner, go = fake_runner(slots=4), threading.Event()
    runner.before_encoding = lambda: wait_until(go.is_set)
    with fake_evaluator(runner) as evaluator:
        with evaluator.batch() as batch:
            futures = [batch.submit(sound(seed)) for seed in range(8)]
            wait_until(lambda: evaluator.activity().waiting["batch"] == 8)
            go.set()
            assert all(future.result() for future in futures)
        before = evaluator.activity()
        assert set(before.waiting) == {"alert", "stream", "interactive", "batch"}
        assert not any(before.waiting.values())
        assert before.passes == {
            size: sum(len(steps) == size for steps in runner.decoded)
            for size in {len(steps) for steps in runner.decoded}
        }
        assert max(before.passes) == 3  # one of four slots is kept for alerts
        evaluator.evaluate([sound(9)])
        after = evaluator.activity()
        assert sum(after.passes.values()) > sum(before.passes.values())
    assert after.stopped is False
    assert evaluator.activity().stopped is True


def test_calls_in_the_air_are_counted() -> None:
    with fake_evaluator() as evaluator:
        assert evaluator.activity().calls == 0
        with evaluator.stream(window=1.0, hop=1.0) as first, evaluator.stream():
            first.push(noise(0.5))
            assert evaluator.activity().calls == 2
        wait_until(lambda: evaluator.activity().calls == 0)
