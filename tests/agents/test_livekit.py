"""LiveKit's own audio streams, agents and sessions around our processor and node. Only the model is arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("livekit.agents", reason="needs livekit-agents: see constraints-agents.txt")

from livekit import rtc
from livekit.agents import Agent, AgentSession, stt
from livekit.agents.voice import io

from sqe_fast import Alerting, CallSummary, Evaluator, QualityAlert, QualityUpdate
from sqe_fast.agents.livekit import QualityProcessor, add_note, overheard, rated
from sqe_fast.live.events import Event
from tests.support.fake_evaluator import fake_evaluator, fake_runner, wait_until
from tests.support.live_calls import CALM, FAINT, LOUD, RATE, noise, rating_by_level

FALLING = Alerting(hold=1.0, smoothing=0.0)


def opens(evaluator: Evaluator, alerting: Alerting = CALM):
    return partial(evaluator.astream, window=1.0, hop=1.0, alerting=alerting, deadline=1e6)


def frames(samples: np.ndarray, rate: int = RATE, milliseconds: int = 50) -> list[rtc.AudioFrame]:
    pcm = (samples * 32_767).astype(np.int16)
    size = rate * milliseconds // 1_000
    pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    return [rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece)) for piece in pieces]


def ends(events: list[Event]) -> list[float]:
    return [event.end for event in events if isinstance(event, QualityUpdate)]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 60.0))


async def until(events: list[Event], kind: type[Event], count: int = 1) -> None:
    while sum(isinstance(event, kind) for event in events) < count:
        await asyncio.sleep(0.005)


# --- the frame processor ---------------------------------------------------------------------------------------------


def test_a_processor_returns_the_very_frames_and_tells_of_them() -> None:
    async def call() -> list[Event]:
        events: list[Event] = []
        with fake_evaluator() as evaluator:
            processor = QualityProcessor(opens(evaluator), events.append)
            for frame in frames(noise(2.3), 16_000):
                before = bytes(frame.data)
                assert processor._process(frame) is frame
                assert bytes(frame.data) == before
            processor._close()
            await until(events, CallSummary)
            wait_until(lambda: evaluator._calls().hub.sessions == 0)
        return events

    events = run(call())
    assert ends(events) == [1.0, 2.0, 2.3]
    assert events[-1].duration == 2.3


def test_in_an_audio_stream() -> None:
    """Where LiveKit itself calls it: a track, resampled, cut into frames, and closed with its stream."""

    async def call() -> tuple[list[Event], list[rtc.AudioFrame]]:
        events: list[Event] = []
        got: list[rtc.AudioFrame] = []
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        with fake_evaluator() as evaluator:
            stream = rtc.AudioStream.from_track(
                track=track,
                sample_rate=24_000,
                frame_size_ms=50,
                noise_cancellation=QualityProcessor(opens(evaluator), events.append),
                auto_close_noise_cancellation=True,
            )

            async def speak() -> None:
                for frame in frames(noise(3.0), milliseconds=10):
                    await source.capture_frame(frame)

            speaking = asyncio.create_task(speak())
            async for event in stream:
                got.append(event.frame)
                if len(got) == 30:
                    break
            speaking.cancel()
            await stream.aclose()
            await until(events, CallSummary)
        return events, got

    events, got = run(call())
    assert {frame.sample_rate for frame in got} == {24_000}
    assert ends(events)[0] == 1.0
    assert events[-1].duration >= 1.5


class Louder(rtc.FrameProcessor[rtc.AudioFrame]):
    """A noise cancellation that can be told from none."""

    def __init__(self) -> None:
        self.on = True
        self.seen: list[rtc.AudioFrame] = []
        self.told: list[object] = []

    @property
    def enabled(self) -> bool:
        return self.on

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self.on = value

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        self.seen.append(frame)
        return rtc.AudioFrame(bytes(len(frame.data) * 2), frame.sample_rate, 1, frame.samples_per_channel)

    def _on_stream_info_updated(self, **info: str) -> None:
        self.told.append(info)

    def _on_stream_info_cleared(self) -> None:
        self.told.append("cleared")

    def _on_credentials_updated(self, **credentials: str) -> None:
        self.told.append(credentials)

    def _on_credentials_cleared(self) -> None:
        self.told.append("cleared")

    def _close(self) -> None:
        self.told.append("closed")


def test_it_stands_before_a_noise_cancellation() -> None:
    """Audio that is rated when it was cleaned already; a cancellation that is not told what LiveKit tells."""

    async def call() -> None:
        events: list[Event] = []
        with fake_evaluator(fake_runner(script=rating_by_level())) as evaluator:
            then = Louder()
            processor = QualityProcessor(opens(evaluator), events.append, then)
            sent = frames(noise(1.0))
            got = [processor._process(frame) for frame in sent]
            assert then.seen == sent
            assert not any(np.any(np.frombuffer(frame.data, np.int16)) for frame in got)
            then.enabled = False
            assert processor._process(sent[0]) is sent[0]
            processor.enabled = True
            assert then.enabled
            info = {"room_name": "r", "participant_identity": "ann", "publication_sid": "p"}
            processor._on_stream_info_updated(**info)
            processor._on_credentials_updated(token="t", url="u")
            processor._on_credentials_cleared()
            processor._on_stream_info_cleared()
            processor._close()
            assert then.told == [info, {"token": "t", "url": "u"}, "cleared", "cleared", "closed"]
            await until(events, CallSummary)
        assert round(events[0].ratings.mos, 3) == 4.5

    run(call())


def test_another_participant_is_another_call() -> None:
    """A voice rated by another's past; a call cut in two by a track that was published again."""

    async def call() -> list[Event]:
        events: list[Event] = []
        with fake_evaluator() as evaluator:
            processor = QualityProcessor(opens(evaluator), events.append)
            for identity, track in (("ann", "1"), ("ann", "2"), ("bo", "3")):
                processor._on_stream_info_updated(room_name="r", participant_identity=identity, publication_sid=track)
                for frame in frames(noise(1.0)):
                    processor._process(frame)
            processor._close()
            await until(events, CallSummary, 2)
        return events

    assert sorted(event.duration for event in run(call()) if isinstance(event, CallSummary)) == [1.0, 2.0]


# --- the node --------------------------------------------------------------------------------------------------------


class Ears(stt.STT):
    """Transcribes nothing; keeps what it hears."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.heard: list[rtc.AudioFrame] = []

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, *, language: Any = None, conn_options: Any = None) -> stt.RecognizeStream:
        return Listening(stt=self, conn_options=conn_options)


class Listening(stt.RecognizeStream):
    async def _run(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                self._stt.heard.append(frame)


class Microphone(io.AudioInput):
    """Frames, and then nothing until the session ends."""

    def __init__(self, sent: list[rtc.AudioFrame]) -> None:
        super().__init__(label="test")
        self._sent = iter(sent)

    async def __anext__(self) -> rtc.AudioFrame:
        frame = next(self._sent, None)
        if frame is None:
            await asyncio.Event().wait()
        assert frame is not None
        return frame


def test_in_an_agents_session() -> None:
    """Frames that the transcription no longer gets, or gets changed; a call that outlives the session; notes that the
    agent's context never sees."""
    samples = np.concatenate([noise(3.0, LOUD), noise(3.0, FAINT), noise(5.0, LOUD)])
    sent = frames(samples)

    async def call() -> tuple[list[Event], Ears, Agent]:
        events: list[Event] = []
        with fake_evaluator(fake_runner(script=rating_by_level())) as evaluator:

            class Assistant(Agent):
                async def on_quality(self, event: Event) -> None:
                    events.append(event)
                    await add_note(self, event)

                stt_node = rated(Agent.stt_node, opens(evaluator, FALLING), on_quality)

            ears, agent = Ears(), Assistant(instructions="Help.")
            session = AgentSession(stt=ears, vad=None, turn_handling={"turn_detection": "manual"})
            session.input.audio = Microphone(sent)
            await session.start(agent, record=False)
            while len(ears.heard) < len(sent):
                await asyncio.sleep(0.01)
            await until(events, QualityUpdate, 11)
            await session.aclose()
            await until(events, CallSummary)
            wait_until(lambda: evaluator._calls().hub.sessions == 0)
        return events, ears, agent

    events, ears, agent = run(call())
    heard = b"".join(bytes(frame.data) for frame in ears.heard)
    pcm = (samples * 32_767).astype(np.int16).tobytes()
    assert heard[: len(pcm)] == pcm
    assert not any(heard[len(pcm) :])  # silence, by which the session flushes
    assert ends(events)[:11] == [float(second) for second in range(1, 12)]
    said = [message.text_content for message in agent.chat_ctx.messages() if message.role == "developer"]
    assert len(said) == 2
    assert "ask them to repeat" in said[0]
    assert said[1] == "The caller's audio is all right again."


@pytest.mark.parametrize("node", [True, False])
def test_a_sessions_own_silence_is_no_mute_line(node: bool) -> None:
    """An alert whenever the agent speaks and must not be interrupted; a mute line that nobody tells."""
    sent = frames(np.concatenate([noise(1.0), np.zeros(3 * RATE), noise(2.0)]))

    async def call() -> list[Event]:
        events: list[Event] = []
        with fake_evaluator() as evaluator:
            if node:
                async for _ in overheard(spoken(sent), opens(evaluator), events.append):
                    pass
            else:
                processor = QualityProcessor(opens(evaluator), events.append)
                for frame in sent:
                    processor._process(frame)
                processor._close()
                await until(events, CallSummary)
        return events

    kinds = [type(event).__name__ for event in run(call()) if not isinstance(event, QualityUpdate)]
    assert kinds == ["QualityAlert", "QualityRecovered"] * (not node) + ["CallSummary"]


async def spoken(sent: list[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
    for frame in sent:
        yield frame


@pytest.mark.parametrize("end", ["whole", "left", "cancelled", "broken"])
def test_a_call_ends_with_its_audio_however_that_ends(end: str) -> None:
    """A session that stays for ever behind an agent that went away."""
    sent = frames(noise(2.0))

    async def audio() -> AsyncIterator[rtc.AudioFrame]:
        for frame in sent:
            yield frame
        if end == "cancelled":
            await asyncio.Event().wait()
        if end == "broken":
            raise OSError("the line is cut")

    async def agent(events: list[Event], evaluator: Evaluator, reached: asyncio.Event) -> None:
        frames_ = overheard(audio(), opens(evaluator), events.append)
        async for number, frame in _counted(frames_):
            assert frame is sent[number]
            if number == len(sent) - 1:
                reached.set()
                if end == "left":
                    break
        await frames_.aclose()

    async def call() -> list[Event]:
        events: list[Event] = []
        with fake_evaluator() as evaluator:
            reached = asyncio.Event()
            task = asyncio.create_task(agent(events, evaluator, reached))
            await reached.wait()
            if end == "cancelled":
                await asyncio.sleep(0.01)
                task.cancel()
            [result] = await asyncio.gather(task, return_exceptions=True)
            assert type(result) is {"cancelled": asyncio.CancelledError, "broken": OSError}.get(end, type(None))
            await until(events, CallSummary)
            wait_until(lambda: evaluator._calls().hub.sessions == 0)
        return events

    assert run(call())[-1].duration == 2.0


async def _counted(frames_: AsyncIterator[rtc.AudioFrame]) -> AsyncIterator[tuple[int, rtc.AudioFrame]]:
    number = 0
    async for frame in frames_:
        yield number, frame
        number += 1


def test_what_cannot_be_rated_is_logged_once_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    async def call() -> None:
        evaluator = fake_evaluator()
        evaluator.close()
        sent = frames(noise(1.0))
        got = [frame async for frame in overheard(spoken(sent), opens(evaluator), print)]
        assert got == sent

    run(call())
    assert [record.message.split(":")[0] for record in caplog.records] == ["the audio of the caller is not rated"]


def test_a_listener_that_fails_costs_its_own_event(caplog: pytest.LogCaptureFixture) -> None:
    got: list[Event] = []

    def tell(event: Event) -> None:
        got.append(event)
        if len(got) == 1:
            raise KeyError

    async def call() -> None:
        with fake_evaluator() as evaluator:
            async for _ in overheard(spoken(frames(noise(3.0))), opens(evaluator), tell):
                pass

    run(call())
    assert ends(got) == [1.0, 2.0, 3.0]
    assert "a listener failed" in caplog.text


def test_an_alert_is_told_to_a_language_model_only_where_it_helps() -> None:
    """Updates and summaries in an agent's context."""

    async def call() -> Agent:
        agent = Agent(instructions="Help.")
        with fake_evaluator(fake_runner(script=rating_by_level())) as evaluator:
            samples = np.concatenate([noise(2.0, LOUD), noise(2.0, FAINT)])
            events: list[Event] = []
            async for _ in overheard(spoken(frames(samples)), opens(evaluator, FALLING), events.append):
                pass
        for event in events:
            await add_note(agent, event)
        assert sum(isinstance(event, QualityAlert) for event in events) == 1
        return agent

    assert len(run(call()).chat_ctx.items) == 1
