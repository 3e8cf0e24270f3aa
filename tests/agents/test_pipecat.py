"""Pipecat's own pipelines, workers and aggregators around our processor and observer. Only the model is arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pipecat", reason="needs pipecat-ai: see constraints-agents.txt")

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    TextFrame,
    UserAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.workers.runner import WorkerRunner

from sqe_fast import Alerting, CallSummary, Evaluator, QualityAlert, QualityRecovered, QualityUpdate
from sqe_fast.agents.pipecat import QualityFrame, QualityObserver, QualityProcessor, Talker
from sqe_fast.live.events import Event
from tests.support.fake_evaluator import fake_evaluator, fake_runner, wait_until
from tests.support.live_calls import CALM, FAINT, LOUD, RATE, noise, rating_by_level

FALLING = Alerting(hold=1.0, smoothing=0.0)
"""A second of faint noise gives an alert, a second of loud noise ends it."""


def opens(evaluator: Evaluator, alerting: Alerting = CALM, **options: Any):
    return partial(evaluator.astream, window=1.0, hop=1.0, alerting=alerting, deadline=1e6, **options)


def by_level() -> Evaluator:
    return fake_evaluator(fake_runner(script=rating_by_level()))


def frames(samples: np.ndarray, rate: int = RATE, user: str | None = None, milliseconds: int = 20) -> list[Frame]:
    pcm = (samples * 32_767).astype(np.int16)
    size = rate * milliseconds // 1_000
    pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if user is None:
        return [InputAudioRawFrame(piece.tobytes(), rate, channels) for piece in pieces]
    return [UserAudioRawFrame(piece.tobytes(), rate, channels, user_id=user) for piece in pieces]


def sent_through(processor: FrameProcessor, sent: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    down, up = asyncio.run(run_test(processor, frames_to_send=sent))
    return list(down), list(up)


def events(found: Sequence[Frame], user: str = "") -> list[Event]:
    return [frame.event for frame in found if isinstance(frame, QualityFrame) and frame.user == user]


def of_stream(evaluator: Evaluator, samples: np.ndarray, alerting: Alerting = CALM) -> list[Event]:
    """What a plain stream says of the same audio."""
    with evaluator.stream(window=1.0, hop=1.0, alerting=alerting, deadline=1e6) as stream:
        stream.push((samples * 32_767).astype(np.int16))
    return list(stream.events())


def heard(found: Sequence[Event]) -> list[tuple[object, ...]]:
    return [(each.start, each.end, each.ratings, each.flags) for each in found if isinstance(each, QualityUpdate)]


# --- the processor ---------------------------------------------------------------------------------------------------


def test_frames_pass_untouched_and_events_are_those_of_a_stream() -> None:
    """A frame that is copied, held back or lost; audio that is heard twice, or not to its end."""
    samples = noise(3.4)
    with fake_evaluator() as evaluator:
        sent = [*frames(samples), TextFrame("and this")]
        before = [frame.audio for frame in sent[:-1]]
        down, up = sent_through(QualityProcessor(opens(evaluator)), sent)
        passed = [frame for frame in down if not isinstance(frame, QualityFrame)]
        assert sorted(id(frame) for frame in passed) == sorted(id(frame) for frame in sent)
        assert [frame for frame in passed if isinstance(frame, InputAudioRawFrame)] == sent[:-1]
        assert [frame.audio for frame in sent[:-1]] == before
        assert up == []
        assert heard(events(down)) == heard(of_stream(evaluator, samples))
        assert len(heard(events(down))) == 4
        summary = down[-1].event
        assert isinstance(summary, CallSummary)
        assert (summary.duration, summary.channels[0].rated) == (3.4, 4)
        wait_until(lambda: evaluator._calls().hub.sessions == 0)


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_mono_and_stereo(rate: int, channels: int) -> None:
    samples = np.random.default_rng(0).standard_normal((2 * rate, channels)) * LOUD
    with fake_evaluator() as evaluator:
        down, _ = sent_through(QualityProcessor(opens(evaluator, channels="each")), frames(samples, rate))
    assert len(heard(events(down))) == 2 * channels
    assert events(down)[-1].duration == 2.0


def test_each_user_has_a_call() -> None:
    """Two talkers of one room whose frames are taken for one voice."""
    loud, faint = noise(2.0, LOUD), noise(2.0, FAINT)
    mixed = [frame for pair in zip(frames(loud, user="ann"), frames(faint, user="bo"), strict=True) for frame in pair]
    with by_level() as evaluator:
        down, _ = sent_through(QualityProcessor(opens(evaluator)), mixed)
    for user, mos in (("ann", 4.5), ("bo", 1.5)):
        updates = [each for each in events(down, user) if isinstance(each, QualityUpdate)]
        assert [round(each.ratings.mos, 3) for each in updates] == [mos, mos]
        assert isinstance(events(down, user)[-1], CallSummary)


def test_a_rate_that_changes_is_a_call_anew() -> None:
    with fake_evaluator() as evaluator:
        down, up = sent_through(QualityProcessor(opens(evaluator)), [*frames(noise(1.0)), *frames(noise(1.0), 8_000)])
    assert sorted(each.duration for each in events(down) if isinstance(each, CallSummary)) == [1.0, 2.0]
    assert up == []


CALL = [(LOUD, 3.0), (FAINT, 3.0), (LOUD, 5.0)]


def fall_and_rise() -> np.ndarray:
    return np.concatenate([noise(seconds, level, seed) for seed, (level, seconds) in enumerate(CALL)])


def test_alerts_come_as_frames_and_an_interruption_drops_none() -> None:
    sent: list[Frame] = []
    for number, frame in enumerate(frames(fall_and_rise(), milliseconds=100)):
        sent += [frame, InterruptionFrame()] if number % 5 == 4 else [frame]
    with by_level() as evaluator:
        down, _ = sent_through(QualityProcessor(opens(evaluator, FALLING), note=True), sent)
    kinds = [type(each) for each in events(down) if not isinstance(each, QualityUpdate)]
    assert kinds == [QualityAlert, QualityRecovered, CallSummary]
    assert len(heard(events(down))) == 11
    notes = [frame for frame in down if isinstance(frame, LLMMessagesAppendFrame)]
    assert [note.interruptible for note in notes] == [False, False]


@pytest.mark.parametrize("note", [False, True])
def test_a_note_reaches_the_context_of_the_language_model(note: bool) -> None:
    """A note that no aggregator takes, that runs the model, or that nobody asked for."""

    async def call() -> tuple[LLMContext, list[Frame]]:
        with by_level() as evaluator:
            context = LLMContext([{"role": "user", "content": "Hello."}])
            pair = LLMContextAggregatorPair(context)
            processor = QualityProcessor(opens(evaluator, FALLING), note=note)
            sent = [*frames(fall_and_rise()), SleepFrame(0.1)]
            down, _ = await run_test(Pipeline([processor, pair.user()]), frames_to_send=sent)
        return context, list(down)

    context, down = asyncio.run(call())
    said = [(message["role"], message["content"]) for message in context.get_messages()][1:]
    assert [role for role, _ in said] == ["developer", "developer"] * note
    if note:
        assert "ask them to repeat" in said[0][1]
        assert said[1][1] == "The caller's audio is all right again."
    assert not [frame for frame in down if type(frame).__name__ == "LLMContextFrame"]


@pytest.mark.parametrize("trouble", ["three channels", "a rate of 4 kHz", "a closed evaluator"])
def test_what_cannot_be_rated_is_said_once_and_passes(trouble: str) -> None:
    """An agent that falls silent, or a log that floods, because a rating was not to be had."""
    evaluator = fake_evaluator()
    rate = 4_000 if trouble == "a rate of 4 kHz" else RATE
    shape = (rate, 3) if trouble == "three channels" else (rate,)
    if trouble == "a closed evaluator":
        evaluator.close()
    sent = frames(np.zeros(shape, np.float32), rate)
    down, up = sent_through(QualityProcessor(opens(evaluator)), sent)
    evaluator.close()
    assert [frame for frame in down if isinstance(frame, InputAudioRawFrame)] == sent
    [error] = up
    assert isinstance(error, ErrorFrame)
    assert "is not rated" in error.error


def run_until(worker: PipelineWorker, feed: Any) -> None:
    async def go() -> None:
        runner = WorkerRunner()
        await runner.add_workers(worker)
        await asyncio.gather(runner.run(), feed())

    asyncio.run(asyncio.wait_for(go(), 60.0))


def test_a_worker_that_is_cancelled_leaves_no_call_behind() -> None:
    runner, released = fake_runner(), []
    runner.before_encoding = lambda: wait_until(lambda: bool(released))
    with fake_evaluator(runner) as evaluator:
        processor, observer = QualityProcessor(opens(evaluator)), QualityObserver(opens(evaluator))
        worker = PipelineWorker(Pipeline([processor]), observers=[observer], enable_rtvi=False)
        hub = evaluator._calls().hub

        async def feed() -> None:
            for frame in frames(noise(2.0)):
                await worker.queue_frame(frame)
            while hub.sessions < 2:
                await asyncio.sleep(0.01)
            await worker.cancel()

        run_until(worker, feed)
        released.append(True)
        wait_until(lambda: hub.sessions == 0)


# --- the observer ----------------------------------------------------------------------------------------------------


def observed(processors: list[FrameProcessor], sent: Sequence[Frame]) -> dict[Talker, list[Event]]:
    with fake_evaluator() as evaluator:
        observer = QualityObserver(opens(evaluator), closing=10.0)
        found: dict[Talker, list[Event]] = {}

        @observer.event_handler("on_quality_event")
        async def told(_: QualityObserver, event: Event, talker: Talker) -> None:
            found.setdefault(talker, []).append(event)

        asyncio.run(run_test(Pipeline(processors), frames_to_send=[*sent, SleepFrame(0.1)], observers=[observer]))
        wait_until(lambda: evaluator._calls().hub.sessions == 0)
    return found


@pytest.mark.parametrize("processors", [1, 5])
def test_an_observer_hears_each_frame_once(processors: int) -> None:
    """Frames heard again from every processor that passes them on: a call of five times its length."""
    samples = noise(3.4)
    [(talker, found)] = observed([IdentityFilter() for _ in range(processors)], frames(samples, user="ann")).items()
    assert talker.user == "ann"
    assert (found[-1].duration, found[-1].channels[0].rated) == (3.4, 4)
    with fake_evaluator() as evaluator:
        assert heard(found) == heard(of_stream(evaluator, samples))


class Quieter(FrameProcessor):
    """Makes new frames of old ones, as a filter does."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            samples = np.frombuffer(frame.audio, np.int16) // 8
            frame = InputAudioRawFrame(samples.tobytes(), frame.sample_rate, frame.num_channels)
        await self.push_frame(frame, direction)


def test_an_observer_takes_filtered_audio_for_another_call() -> None:
    """What a filter makes, heard between the frames that it was made of."""
    samples = noise(2.0)
    found = observed([Quieter(name="quieter"), IdentityFilter()], frames(samples))
    assert len(found) == 2
    before, after = sorted(found, key=lambda talker: talker.source == "quieter")
    assert after.source == "quieter"
    with fake_evaluator() as evaluator:
        assert heard(found[before]) == heard(of_stream(evaluator, samples))
    assert all(each[-1].duration == 2.0 for each in found.values())
    assert heard(found[before]) != heard(found[after])
