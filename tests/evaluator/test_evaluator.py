"""Evaluator.evaluate: order, isolation, laziness, errors as values. The model is the fake runner's arithmetic."""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sqe_fast
from sqe_fast.engine.engine import Priority
from sqe_fast.errors import ErrorCode, UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.results import RATINGS, Evaluation
from tests.support.fake_evaluator import (
    MODEL,
    SAID,
    fake_evaluator,
    fake_runner,
    gather,
    idle,
    prose,
    silence,
    sound,
    wait_until,
)

BAD = [
    (b"<html>not a sound file</html>", ErrorCode.UNSUPPORTED_FORMAT),
    (b"", ErrorCode.UNSUPPORTED_FORMAT),
    ("no/such/file.wav", ErrorCode.NOT_FOUND),
    ((np.full(16_000, np.nan, np.float32), 16_000), ErrorCode.NON_FINITE),
    ((np.ones(160, np.float32), 16_000), ErrorCode.TOO_SHORT),
    (42, ErrorCode.BAD_INPUT),
]


def rows(evaluations: list[Evaluation]) -> list[dict[str, object]]:
    return [evaluation.to_row() for evaluation in evaluations]


@pytest.mark.parametrize("describe", [True, False])
def test_batched_equals_alone(describe: bool) -> None:
    """Ratings that depend on the neighbours, or come back under another clip's name."""
    sources = [sound(seed, seconds) for seed, seconds in enumerate((0.5, 3.2, 1.0, 0.7, 2.0, 5.0, 0.4, 1.5, 0.9, 1.1))]
    together = fake_evaluator().evaluate(sources, describe)
    single = [fake_evaluator(fake_runner(slots=1)).evaluate([source], describe)[0] for source in sources]
    assert together == single
    assert len({evaluation.mos for evaluation in together}) == len(sources)


@pytest.mark.parametrize("samples", [6_400, 8_000, 8_001, 8_160, 8_161, 479_999, 480_000])
def test_audio_slots_fit_at_every_length(samples: int) -> None:
    """A last frame begun but not counted: one embedding more than the prompt has tokens for."""
    [evaluation] = fake_evaluator().evaluate([sound(1, samples / 16_000)], describe=False)
    assert evaluation.ratings is not None


def test_a_row_is_complete() -> None:
    """A field lost between the engine and the row."""
    [evaluation] = fake_evaluator().evaluate([sound(1, 1.25)])
    assert evaluation.ratings is not None
    assert all(1 <= evaluation.ratings[name] <= 5 for name in RATINGS)
    assert evaluation.mos_std is not None
    assert evaluation.mos_std > 0
    assert evaluation.duration == 1.25
    assert evaluation.model == MODEL
    assert evaluation.file == "<array>"
    assert evaluation.error is None


def test_the_description_states_the_mos_that_was_read() -> None:
    """The model wants to say 1.0; the words must not contradict the ratings."""
    [evaluation] = fake_evaluator().evaluate([sound(1)])
    assert evaluation.mos is not None
    assert evaluation.mos > 1.2
    assert evaluation.description == SAID.replace("1.0", f"{evaluation.mos:.1f}")


def test_without_description_nothing_follows_the_ratings() -> None:
    """Scores only must cost four passes, prose or its newline none."""
    runner = fake_runner()
    evaluator = fake_evaluator(runner)
    gather(evaluator, runner, 3)
    evaluations = evaluator.evaluate([sound(1), sound(2), sound(3)], describe=False)
    assert [evaluation.description for evaluation in evaluations] == [None] * 3
    assert [len(rows) for rows in runner.decoded] == [3] * 4
    assert evaluator.trace().decode_steps == 4


def test_bad_inputs_cost_their_own_row_only() -> None:
    """One bad clip among good ones that ends the batch, shifts the rows, or touches its neighbours' ratings."""
    good = [sound(seed) for seed in range(len(BAD))]
    mixed = list(itertools.chain.from_iterable(zip(good, (source for source, _ in BAD), strict=True)))
    evaluations = fake_evaluator().evaluate(mixed)
    assert evaluations[::2] == fake_evaluator().evaluate(good)
    for evaluation, (_, code) in zip(evaluations[1::2], BAD, strict=True):
        assert evaluation.error is not None
        assert evaluation.error.code is code
        assert evaluation.error.message
        assert evaluation.ratings is None
        assert evaluation.description is None


def test_names_are_kept_whether_a_source_opens_or_not(tmp_path: Path) -> None:
    """An error row that does not say which file it is about."""
    missing = tmp_path / "missing.wav"
    named = io.BytesIO(b"no sound")
    named.name = "upload.wav"
    evaluations = fake_evaluator().evaluate([missing, str(missing), named, b"no sound", (np.ones(3), 16_000)])
    assert [evaluation.file for evaluation in evaluations] == [
        str(missing), str(missing), "upload.wav", "<bytes>", "<array>",
    ]  # fmt: skip


def test_silence_never_reaches_the_model() -> None:
    """Invented prose about the speech in a file of zeros."""
    runner = fake_runner()
    first, silent, constant, last = fake_evaluator(runner).evaluate(
        [sound(1), silence(2), (np.full(32_000, 0.25, np.float32), 16_000), sound(2)]
    )
    assert len(runner.encoded) == len(runner.prefilled) == 2
    for evaluation in (silent, constant):
        assert evaluation.flags == ("silent",)
        assert evaluation.ratings is None
        assert evaluation.description is None
        assert evaluation.error is None
        assert evaluation.duration == 2.0
    assert first.ratings is not None
    assert last.ratings is not None


def test_a_failed_description_keeps_its_ratings() -> None:
    """An endless generation that costs the clip its ratings, or is passed on as a description."""
    evaluator = fake_evaluator(fake_runner(script=prose("The voice", stops=False)))
    [failed] = evaluator.evaluate([sound(1)])
    [plain] = evaluator.evaluate([sound(1)], describe=False)
    assert failed.error is not None
    assert failed.error.code is ErrorCode.GENERATION_FAILED
    assert failed.description is None
    assert failed.ratings == plain.ratings
    assert plain.error is None


def test_a_clip_that_does_not_fit_the_model_is_an_error() -> None:
    """A slot's memory overrun by a clip that is too long for it."""
    evaluator = fake_evaluator(fake_runner(max_length=300))
    long, short = evaluator.evaluate([sound(1, 12.0), sound(2, 1.0)])
    assert long.error is not None
    assert long.error.code is ErrorCode.TOO_LONG
    assert short.error is None


def test_a_clip_that_comes_again_is_encoded_once() -> None:
    """The same content under two names heard twice."""
    runner = fake_runner()
    evaluator = fake_evaluator(runner)
    one, other, again = evaluator.evaluate([sound(1), sound(2), sound(1)], describe=False)
    assert len(runner.encoded) == 2
    assert one == again != other
    assert evaluator.trace().encoder_cache_hits == 1


def test_sources_are_read_a_little_ahead_and_results_come_as_they_are_ready() -> None:
    """A million inputs opened before the first result, or none given out until the last."""
    pulled = 0

    def endless() -> Iterator[object]:
        nonlocal pulled
        for seed in itertools.count():
            pulled += 1
            yield sound(seed % 5, 0.4) if seed % 3 else b"bad"

    iterator = fake_evaluator(fake_runner(slots=4)).iter_evaluate(endless(), describe=False)
    assert pulled == 0
    for taken in range(1, 40):
        next(iterator)
        assert pulled <= taken + 2 * 4


def test_a_crowd_of_bad_inputs_is_not_read_at_once() -> None:
    """Inputs that never reach the engine must count against the look-ahead too."""
    sources = iter([b"bad"] * 1000)
    next(fake_evaluator(fake_runner(slots=2)).iter_evaluate(sources))
    assert len(list(sources)) >= 990


def test_a_dropped_iterator_frees_its_slots() -> None:
    """Sequences of an abandoned call that run on, and slow or starve the next one."""
    runner = fake_runner(slots=2)
    evaluator = fake_evaluator(runner)
    iterator = evaluator.iter_evaluate(sound(seed) for seed in range(100))
    next(iterator)
    iterator.close()
    idle(evaluator)
    before = len(runner.prefilled)
    [evaluation] = evaluator.evaluate([sound(7)])
    assert len(runner.prefilled) == before + 1
    assert [evaluation] == fake_evaluator().evaluate([sound(7)])


def test_what_is_under_way_in_a_batch_that_is_left_is_dropped() -> None:
    """Requests in line for a model that nobody waits for any more."""
    runner, begun, go = fake_runner(), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        wait_until(go.is_set)

    runner.before_encoding = hold
    evaluator = fake_evaluator(runner)
    with evaluator.batch(describe=False) as batch:
        for seed in range(3):
            batch.submit(sound(seed))
        wait_until(lambda: begun.is_set() and evaluator._driver.engine.depth(Priority.BATCH) == 3)
    go.set()
    idle(evaluator)
    assert len(runner.encoded) == 1  # the one that had begun


def test_a_call_within_a_call() -> None:
    """A comparison asked for while iterating must neither wait for ever nor take the other's results."""
    evaluator = fake_evaluator()
    sources = [sound(seed) for seed in range(6)]
    outer = []
    for evaluation in evaluator.iter_evaluate(sources):
        outer.append(evaluation)
        assert evaluator.compare(sound(10), sound(11)) == fake_evaluator().compare(sound(10), sound(11))
    assert outer == fake_evaluator().evaluate(sources)


def test_threads_share_one_evaluator() -> None:
    """Results handed to the wrong thread, or two threads in the runner at once."""
    evaluator = fake_evaluator(fake_runner(slots=3))
    batches = [[sound(10 * thread + n, 0.4 + 0.1 * n) for n in range(5)] for thread in range(4)]
    with ThreadPoolExecutor(4) as pool:
        shared = list(pool.map(evaluator.evaluate, batches))
    assert shared == [fake_evaluator().evaluate(batch) for batch in batches]


def test_an_unexpected_exception_is_heard_and_the_evaluator_stays_usable() -> None:
    """A lost device reported as a bad clip, or the failed batch served on behalf of the next call."""
    runner = fake_runner()
    evaluator = fake_evaluator(runner)
    decode = runner.decode

    def lost(rows: object) -> object:
        raise MemoryError("device lost")

    runner.decode = lost  # type: ignore[method-assign, assignment]
    with pytest.raises(MemoryError, match="device lost"):
        evaluator.evaluate([sound(1), sound(2)])
    runner.decode = decode  # type: ignore[method-assign]
    idle(evaluator)  # the other recording of the failed call may still have been on its way
    before = len(runner.prefilled)
    assert evaluator.evaluate([sound(3)]) == fake_evaluator().evaluate([sound(3)])
    assert len(runner.prefilled) == before + 1


@pytest.mark.parametrize(
    "single",
    ["a.wav", Path("a.wav"), b"RIFF", io.BytesIO(b"RIFF"), (np.zeros(16_000), 16_000)],
    ids=lambda source: type(source).__name__,
)
def test_a_single_source_is_refused_with_advice(single: object) -> None:
    """A path taken for a list of one-letter files; an error that comes only once the iterator is read."""
    evaluator = fake_evaluator()
    with pytest.raises(TypeError, match="in a list"):
        evaluator.iter_evaluate(single)  # type: ignore[arg-type]


def test_the_trace_is_that_of_the_last_call() -> None:
    """Counters that add up over the life of the evaluator."""
    runner = fake_runner(slots=3)
    evaluator = fake_evaluator(runner)
    evaluator.evaluate([sound(1)])
    gather(evaluator, runner, 2)
    evaluator.evaluate([sound(2, 0.5), sound(3, 0.75), b"bad", silence(1)], describe=False)
    trace = evaluator.trace()
    assert trace.clips == 4
    assert trace.audio_seconds == 1.25
    assert trace.encoded_clips == 2
    assert trace.decode_steps == 4
    assert trace.decode_tokens == 8
    assert trace.prefill_tokens == sum(len(row.tokens) for row in runner.prefilled[1:])
    assert min(trace.load_ms, trace.mel_ms, trace.encode_ms, trace.prefill_ms, trace.decode_ms) > 0
    evaluator.compare(sound(2), sound(3), describe=False)
    assert evaluator.trace().clips == 2


def test_info_names_the_model_and_its_runner() -> None:
    """A report that does not say what ran."""
    info = fake_evaluator(fake_runner(slots=3)).info()
    assert (info["model"], info["runner"], info["slots"]) == (MODEL, "fake", 3)
    assert info["kv_bytes"] == 3 * 2048 * 10


def test_public_names() -> None:
    """A name in __all__ that cannot be imported, or one that is never found missing."""
    assert all(getattr(sqe_fast, name) is not None for name in sqe_fast.__all__)
    assert set(sqe_fast.__all__) <= set(dir(sqe_fast))
    with pytest.raises(AttributeError, match="no attribute 'Evaluater'"):
        sqe_fast.Evaluater  # noqa: B018


async def _rated(evaluator: Evaluator, sources: list[object]) -> tuple[list[Evaluation], int]:
    """And how often the loop came round meanwhile."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    evaluations = await evaluator.aevaluate(sources)  # type: ignore[arg-type]
    turning.cancel()
    return evaluations, turns


def test_an_event_loop_goes_on_meanwhile() -> None:
    """An agent whose calls stand still while a recording is rated; results in the order in which they finish."""
    sources = [sound(1, 40), b"bad", *(sound(seed) for seed in range(2, 30))]
    evaluations, turns = asyncio.run(_rated(fake_evaluator(), sources))
    assert rows(evaluations) == rows(fake_evaluator().evaluate(sources))
    assert turns > 10


def test_a_cancelled_task_drops_its_work() -> None:
    """A caller who has left keeps the model busy."""
    runner = fake_runner()
    evaluator = fake_evaluator(runner)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(evaluator.aevaluate([sound(1, 5.0)] * 4000), 0.2)

    asyncio.run(impatient())
    idle(evaluator)
    assert len(runner.prefilled) < 4000
    assert evaluator.evaluate([sound(7)]) == fake_evaluator().evaluate([sound(7)])


class Slow(io.BytesIO):
    """A file whose bytes come once `go` is set."""

    def __init__(self, data: bytes, go: threading.Event) -> None:
        super().__init__(data)
        self.go = go

    def read(self, size: int | None = -1) -> bytes:
        assert self.go.wait(20)
        return super().read(size)


def test_a_source_that_is_slow_to_read_starves_nobody() -> None:
    """One recording on a slow disk, and the model idle until it has come: in its own call, or in everybody's."""
    go = threading.Event()
    runner = fake_runner()
    evaluator = fake_evaluator(runner)
    others = [sound(seed) for seed in range(5)]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(evaluator.evaluate, [Slow(b"no sound", go), *others])
        wait_until(lambda: len(runner.encoded) == len(others))
        assert evaluator.evaluate([sound(20)]) == fake_evaluator().evaluate([sound(20)])
        assert not slow.done()
        go.set()
        first, *rest = slow.result(20)
    assert first.error is not None
    assert rest == fake_evaluator().evaluate(others)


def test_a_closed_evaluator_says_so() -> None:
    """A call that waits for ever for a thread that has ended."""
    with fake_evaluator() as evaluator:
        evaluator.evaluate([sound(1)])
    with pytest.raises(UnusableError, match="closed"):
        evaluator.evaluate([sound(1)])
    with pytest.raises(UnusableError, match="closed"):
        evaluator.compare(sound(1), sound(2))
