"""One thread steps the engine, whoever asks: nobody waits for another's call, and its end is noticed by all."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from sqe_fast.engine.driver import Bell, Driver
from sqe_fast.engine.engine import Engine, Priority
from sqe_fast.errors import BusyError, ErrorCode, UnusableError
from tests.engine.test_engine import alone, assert_same
from tests.support.fake_evaluator import wait_until
from tests.support.fake_runner import FakeRunner
from tests.support.programs import STOP, described, rating, saying

WORDS = saying(*[20] * 5, STOP)


class Held(FakeRunner):
    """Stops before each clip is encoded until `go` is set."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go = threading.Event()
        self.before_encoding = lambda: assert_set(self.go)


def assert_set(event: threading.Event) -> None:
    assert event.wait(300)


def test_many_threads_and_an_event_loop_share_one_engine() -> None:
    """A result handed to the wrong caller, two threads in the runner at once, or a loop that stands still meanwhile."""
    runner = FakeRunner(slots=4, script=WORDS)
    inside, most = 0, 0
    take = runner._take

    def counted(step: Any, fed: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.0002)
        inside -= 1
        return take(step, fed)

    runner._take = counted  # type: ignore[method-assign]
    requests = [described(n / 200) if n % 3 else rating(n / 200) for n in range(160)]
    expected = alone(requests, FakeRunner(script=WORDS))

    async def on_a_loop(driver: Driver) -> tuple[list[Any], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        futures = [driver.submit(request, Priority.STREAM) for request in requests[:16]]
        results = await asyncio.gather(*map(asyncio.wrap_future, futures))
        ticking.cancel()
        return results, ticks

    with Driver(Engine(runner)) as driver, ThreadPoolExecutor(16) as pool:

        def of_a_thread(start: int) -> list[Any]:
            futures = [driver.submit(request) for request in requests[start::16]]
            return [future.result(300) for future in futures]

        threads = [pool.submit(of_a_thread, start) for start in range(16)]
        on_loop, ticks = asyncio.run(on_a_loop(driver))
        for start, thread in enumerate(threads):
            for result, single in zip(thread.result(300), expected[start::16], strict=True):
                assert_same(result, single)
    for result, single in zip(on_loop, expected[:16], strict=True):
        assert_same(result, single)
    assert most == 1
    assert ticks > 2


def test_a_thousand_of_a_batch_do_not_delay_an_alert() -> None:
    """Its prefill is the next one, and its passes begin in the same step."""
    runner = Held(slots=4)
    with Driver(Engine(runner)) as driver:
        for n in range(1000):
            driver.submit(rating(n / 2000), Priority.BATCH)
        wait_until(lambda: not runner.encoded)
        alert = driver.submit(rating(0.9), Priority.ALERT)
        runner.go.set()
        alert.result(300)
    order = [value for [value] in runner.encoded]
    assert order.index(pytest.approx(0.9)) <= 1


def test_a_full_queue_says_so_and_is_each_prioritys_own() -> None:
    """Memory that grows with every request of a caller who never waits; a batch that locks the alerts out."""
    runner = Held()
    with Driver(Engine(runner), capacity=3) as driver:
        waiting = [driver.submit(rating(n / 10), Priority.BATCH) for n in range(3)]
        with pytest.raises(BusyError, match="3 requests of priority batch"):
            driver.submit(rating(0.5), Priority.BATCH)
        alert = driver.submit(rating(0.6), Priority.ALERT)
        runner.go.set()
        for future in (*waiting, alert):
            future.result(300)
        driver.submit(rating(0.7), Priority.BATCH).result(300)


def test_a_deadline_that_has_passed_is_an_error_and_nothing_is_computed() -> None:
    """A window of a call rated long after anybody wants it."""
    runner = Held()
    with Driver(Engine(runner)) as driver:
        first = driver.submit(rating(0.1))
        late = driver.submit(rating(0.2), deadline=time.monotonic() + 0.01)
        in_time = driver.submit(rating(0.3), deadline=time.monotonic() + 60)
        time.sleep(0.02)
        runner.go.set()
        result = late.result(300)
        assert result.error is not None
        assert result.error.code is ErrorCode.TOO_LATE
        assert first.result(300).error is None
        assert in_time.result(300).error is None
    assert len(runner.encoded) == 2


def test_an_exception_reaches_its_owner_and_the_thread_goes_on() -> None:
    """A thread that dies of one bad request leaves everybody else waiting for ever."""
    runner = FakeRunner()
    encode = runner.encode

    def picky(clips: Any) -> Any:
        if any(float(log_mel.mean()) == 0.75 for log_mel, _ in clips):
            raise RuntimeError("not this one")
        return encode(clips)

    runner.encode = picky  # type: ignore[method-assign]
    with Driver(Engine(runner)) as driver:
        bad, good = driver.submit(rating(0.75)), driver.submit(rating(0.5))
        with pytest.raises(RuntimeError, match="not this one"):
            bad.result(300)
        assert_same(good.result(300), alone([rating(0.5)], runner)[0])


def test_a_fault_of_the_engine_itself_reaches_all_who_wait() -> None:
    """A step that fails between requests, and nobody hears of it."""

    def lost(*_: Any) -> None:
        raise MemoryError("slots lost")

    runner = Held(slots=3, script=WORDS)
    runner.move = lost  # type: ignore[method-assign, assignment]
    with Driver(Engine(runner)) as driver:
        futures = [driver.submit(rating(0.1)), driver.submit(described(0.2))]
        runner.go.set()
        with pytest.raises(MemoryError, match="slots lost"):
            futures[1].result(300)
        assert driver.submit(rating(0.3)).result(300).error is None


def test_close_ends_the_thread_and_all_that_waits() -> None:
    """A caller who waits for ever for a closed engine; a thread that outlives it."""
    runner = Held()
    driver = Driver(Engine(runner))
    thread = driver._loop._thread
    waiting = [driver.submit(rating(n / 10)) for n in range(4)]
    closing = threading.Thread(target=driver.close)
    closing.start()
    runner.go.set()
    closing.join(20)
    assert not closing.is_alive()
    assert not thread.is_alive()
    for future in waiting[1:]:
        with pytest.raises(UnusableError, match="closed"):
            future.result(300)
    with pytest.raises(UnusableError, match="closed"):
        driver.submit(rating(0.5))
    driver.close()


def test_a_driver_that_nobody_holds_ends() -> None:
    """A thread for every evaluator that ever was."""
    driver = Driver(Engine(FakeRunner()))
    thread = driver._loop._thread
    driver.submit(rating(0.5)).result(300)
    gone = weakref.ref(driver)
    del driver
    gc.collect()
    assert gone() is None
    wait_until(lambda: not thread.is_alive())


def test_a_cancelled_request_is_dropped_wherever_it_is() -> None:
    runner = Held(slots=2, script=WORDS)
    with Driver(Engine(runner)) as driver:
        first, second, third = (driver.submit(described(n / 10)) for n in range(3))
        second.cancel()
        runner.go.set()
        assert first.result(300).text_tokens
        assert third.result(300).text_tokens
        with pytest.raises(CancelledError):
            second.result(300)
    assert len(runner.encoded) == 2


def _in_a_fork(driver: Driver, queue: Any) -> None:
    try:
        driver.submit(rating(0.5))
    except UnusableError as error:
        queue.put(str(error))
    else:
        queue.put("it was taken")


def test_a_fork_is_noticed() -> None:
    """A forked worker waits for ever for a thread that was not forked with it."""
    context = multiprocessing.get_context("fork")
    with Driver(Engine(FakeRunner())) as driver:
        driver.submit(rating(0.5)).result(300)
        queue = context.Queue()
        child = context.Process(target=_in_a_fork, args=(driver, queue))
        child.start()
        assert "after the fork" in queue.get(timeout=20)
        child.join(20)
        assert child.exitcode == 0
        assert driver.submit(rating(0.6)).result(300).error is None


def test_a_finalizer_on_the_very_thread_that_is_about_to_sleep_wakes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector runs wherever something is allocated: a condition that has no waiter yet forgets, and an abandoned
    call, or a driver that nobody holds, stays for ever."""
    wait, held = Bell.wait, list[Driver]()

    def collecting(bell: Bell) -> None:
        if held and bell is held[0]._loop._bell:
            held.pop().close()  # what the finalizer does; on this thread
        wait(bell)

    monkeypatch.setattr(Bell, "wait", collecting)
    driver = Driver(Engine(FakeRunner()))
    held.append(driver)
    driver._loop._bell.ring()
    wait_until(lambda: not driver._loop._thread.is_alive())
    assert not held
    assert driver.closed


def test_a_bell_rings_once_however_often_it_is_rung() -> None:
    """A call for each of a million requests that waits until the engine has a pause."""
    bell = Bell()
    for _ in range(1_000):
        bell.ring()
    bell.wait()
    assert bell._rung.empty()
