"""The public streams, on their own threads and on an event loop: what is pushed comes back, and everything ends."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sqe_fast import CallSummary, ClipError, QualityUpdate, UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.live.events import Event
from tests.support.fake_evaluator import LISTING, fake_evaluator, fake_runner, idle, wait_until
from tests.support.live_calls import CALM, noise

SECONDS = 300.0
"""After which something that other threads do has not come about, on a machine that does much else."""


def live_threads(others: frozenset[threading.Thread] = frozenset()) -> frozenset[threading.Thread]:
    """But for `others`, of evaluators that are just being collected, say."""
    return frozenset(thread for thread in threading.enumerate() if thread.name == "sqe-fast live") - others


def stream_of(evaluator: Evaluator, **options: object):
    return evaluator.stream(window=1.0, hop=1.0, alerting=CALM, deadline=1e6, **options)  # type: ignore[arg-type]


def updates(events: list[Event]) -> list[QualityUpdate]:
    return [event for event in events if isinstance(event, QualityUpdate)]


def test_what_is_pushed_comes_back_and_the_summary_is_the_last() -> None:
    with fake_evaluator(prompts=LISTING) as evaluator:
        with stream_of(evaluator) as stream:
            for piece in np.array_split(noise(3.4), 50):
                stream.push(piece)
            stream.settle(SECONDS)
            assert [each.end for each in updates(list(stream.events()))] == [1.0, 2.0, 3.0]
        last, summary = stream.events(timeout=SECONDS)
        assert isinstance(last, QualityUpdate)
        assert last.end == 3.4
        assert isinstance(summary, CallSummary)
        assert stream.close() is summary
        assert stream.cancel() is summary
        assert list(stream.events(timeout=None)) == []


def test_causes_come_with_every_window() -> None:
    with fake_evaluator(prompts=LISTING) as evaluator, stream_of(evaluator) as stream:
        stream.push(noise(6.0))
        stream.settle(SECONDS)
        found = updates(list(stream.events()))
        assert len({each.causes for each in found}) > 2
        assert stream.close().channels[0].causes


def test_a_reader_on_another_thread_is_woken_and_let_go() -> None:
    """A reader that waits for ever behind the summary."""
    with fake_evaluator() as evaluator:
        stream, got = stream_of(evaluator), list[Event]()
        reader = threading.Thread(target=lambda: got.extend(stream.events(timeout=None)))
        reader.start()
        stream.push(noise(2.0))
        stream.close(SECONDS)
        reader.join(SECONDS)
        assert not reader.is_alive()
        assert [type(event) for event in got] == [QualityUpdate, QualityUpdate, CallSummary]


def test_a_closed_stream_takes_nothing_more() -> None:
    with fake_evaluator() as evaluator:
        stream = stream_of(evaluator)
        stream.close(SECONDS)
        with pytest.raises(UnusableError, match="closed"):
            stream.push(noise(0.1))
        with pytest.raises(UnusableError, match="closed"):
            stream.describe()
        stream.settle(SECONDS)


def test_an_exception_in_the_block_cancels() -> None:
    """A producer that dies: nobody waits for the windows of a call that is over."""
    runner = fake_runner()
    held = threading.Event()
    runner.before_encoding = lambda: wait_until(held.is_set)
    with fake_evaluator(runner) as evaluator:
        with pytest.raises(KeyError), stream_of(evaluator) as stream:
            stream.push(noise(2.0))
            raise KeyError
        held.set()
        [*_, summary] = stream.events()
        assert isinstance(summary, CallSummary)
        assert summary.channels == () or summary.channels[0].rated == 0


def test_a_stream_that_nobody_holds_is_given_up() -> None:
    """A call, its ring and its requests that stay for ever because the producer forgot to close it."""
    with fake_evaluator() as evaluator:
        stream = stream_of(evaluator)
        stream.push(noise(2.0))
        hub, gone = evaluator._calls().hub, weakref.ref(stream._session)
        assert hub.sessions == 1
        del stream
        gc.collect()
        wait_until(lambda: hub.sessions == 0)
        idle(evaluator)
        wait_until(lambda: gc.collect() >= 0 and gone() is None)


def test_closing_the_evaluator_ends_its_streams_and_threads() -> None:
    before = live_threads()
    evaluator = fake_evaluator()
    stream = stream_of(evaluator)
    stream.push(noise(0.5))
    assert len(live_threads(before)) == 1
    evaluator.close()
    assert not live_threads(before)
    [summary] = stream.events()
    assert isinstance(summary, CallSummary)
    assert summary.error is not None
    with pytest.raises(UnusableError, match="closed"):
        stream.push(noise(0.1))
    with pytest.raises(UnusableError, match="closed"):
        evaluator.stream()


def test_an_evaluator_that_nobody_holds_ends_its_threads() -> None:
    before = live_threads()
    evaluator = fake_evaluator()
    stream_of(evaluator).close(SECONDS)
    del evaluator
    gc.collect()
    wait_until(lambda: not live_threads(before))


def test_streams_of_many_threads_are_isolated() -> None:
    """A bad push of one producer that costs another's window."""
    with fake_evaluator(fake_runner(slots=9)) as evaluator:
        ends: dict[int, CallSummary] = {}

        def produce(seed: int) -> None:
            with stream_of(evaluator) as stream:
                for second in range(4):
                    stream.push(noise(1.0, seed=seed))
                    if seed % 2:
                        with pytest.raises(ClipError):
                            stream.push(np.array([np.nan], np.float32))
                    stream.settle(30.0)
                    del second
            ends[seed] = stream.close()

        threads = [threading.Thread(target=produce, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        assert [ends[seed].channels[0].rated for seed in range(8)] == [4] * 8


def test_a_producer_much_faster_than_real_time_counts_what_it_costs() -> None:
    """Row 29, on the threads that serve it: memory that grows with the call, old windows scored and new ones not."""
    runner = fake_runner()
    runner.before_encoding = lambda: time.sleep(0.002)
    with fake_evaluator(runner) as evaluator:
        stream = stream_of(evaluator)
        held = []
        for second in range(600):
            stream.push(noise(1.0, seed=second % 7))
            held.append(stream._session.ring._samples.nbytes)
        summary = stream.close(60.0)
        events = list(stream.events())
    assert len(set(held)) == 1
    [channel] = summary.channels
    assert channel.dropped > 0
    assert channel.rated + channel.dropped == 600
    assert sum(1 + each.dropped for each in updates(events)) == 600
    assert updates(events)[-1].end == 600.0


def test_a_hundred_streams_opened_abandoned_and_closed_at_random() -> None:
    """Row 30, on the threads that serve it: a call, a request or a thread that stays when everybody has gone."""
    before = live_threads()
    gone: list[weakref.ref[object]] = []
    with fake_evaluator(fake_runner(slots=9)) as evaluator:
        hub = evaluator._calls().hub

        def live(seed: int) -> None:
            rng = random.Random(seed)
            stream = stream_of(evaluator, sample_rate=rng.choice([8_000, 16_000, 48_000]), channels="each")
            gone.append(weakref.ref(stream._session))
            for piece in range(rng.randrange(6)):
                stream.push(noise(rng.uniform(0, 1.5), seed=piece))
                if rng.random() < 0.5:
                    list(stream.events())
            end = rng.choice(["close", "close twice", "cancel", "describe", "abandon", "die"])
            if end == "die":
                with pytest.raises(KeyError), stream:
                    raise KeyError
            elif end == "describe":
                stream.describe()
            elif end == "cancel":
                assert isinstance(stream.cancel(), CallSummary)
            elif end != "abandon":
                summary = stream.close(300.0)
                assert end == "close" or stream.close(300.0) is summary
                assert sum(isinstance(event, CallSummary) for event in stream.events()) == 1

        with ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(live, seed) for seed in range(100)]:
                done.result(300.0)
        wait_until(lambda: gc.collect() >= 0 and hub.sessions == 0, 120.0)
        idle(evaluator)
        wait_until(lambda: gc.collect() >= 0 and not any(session() for session in gone), 120.0)
        assert len(gone) == 100
        assert len(live_threads(before)) == 1
    assert not live_threads(before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 7_999},
        {"sample_rate": 48_001},
        {"sample_rate": 16_000.5},
        {"channels": "auto"},
        {"window": 0.1},
        {"hop": 0.0},
        {"deadline": 0.0},
    ],
)
def test_a_stream_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with fake_evaluator() as evaluator:
        with pytest.raises(ValueError, match=r"pass|takes"):
            evaluator.stream(**wrong)  # type: ignore[arg-type]
        assert evaluator._calls().hub.sessions == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_is_noticed() -> None:
    """A push that no thread will ever hear."""
    with fake_evaluator() as evaluator, stream_of(evaluator) as stream:
        child = os.fork()
        if child == 0:
            refused = 0
            for attempt in (lambda: stream.push(noise(0.1)), evaluator.stream):
                try:
                    attempt()
                except UnusableError:
                    refused += 1
            os._exit(refused)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


# --- asyncio ---------------------------------------------------------------------------------------------------------


def test_on_an_event_loop() -> None:
    """A reader that misses what came before it, or that is not woken by what comes after."""

    async def call() -> list[Event]:
        with fake_evaluator() as evaluator:
            async with evaluator.astream(window=1.0, hop=1.0, alerting=CALM, deadline=1e6) as stream:
                stream.push(noise(1.0))
                await stream.settle()
                reader = asyncio.create_task(_all(stream.events()))
                await asyncio.sleep(0)
                stream.push(noise(1.5, seed=1))
                assert await stream.describe() is not None
            return await asyncio.wait_for(reader, SECONDS)

    events = asyncio.run(call())
    assert [event.end for event in updates(events)] == [1.0, 2.0, 2.5]
    assert isinstance(events[-1], CallSummary)


def test_the_loop_goes_on_while_the_model_works() -> None:
    """An event loop that waits for a window."""
    runner, held = fake_runner(), threading.Event()
    runner.before_encoding = lambda: wait_until(held.is_set)

    async def call() -> None:
        with fake_evaluator(runner) as evaluator:
            stream = evaluator.astream(window=1.0, hop=1.0, alerting=CALM, deadline=1e6)
            closing = asyncio.create_task(_close_after(stream))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not closing.done()
            held.set()
            assert (await asyncio.wait_for(closing, SECONDS)).channels[0].rated == 1

    asyncio.run(call())


def test_a_task_that_is_cancelled_cancels_its_call_alone() -> None:
    async def call() -> None:
        with fake_evaluator() as evaluator:
            other = evaluator.astream(window=1.0, hop=1.0, alerting=CALM, deadline=1e6)
            entered = asyncio.Event()

            async def agent() -> None:
                async with evaluator.astream(window=1.0, hop=1.0, alerting=CALM) as stream:
                    stream.push(noise(0.5))
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(agent())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            wait_until(lambda: evaluator._calls().hub.sessions == 1)
            other.push(noise(1.0))
            assert (await other.close()).channels[0].rated == 1

    asyncio.run(call())


async def _all(events) -> list[Event]:
    return [event async for event in events]


async def _close_after(stream) -> CallSummary:
    stream.push(noise(1.0))
    return await stream.close()
