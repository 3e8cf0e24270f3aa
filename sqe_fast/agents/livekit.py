"""LiveKit Agents: a frame processor for a room's audio, and a wrapper of an agent's `stt_node`.

Either of the two hears the caller; what an agent hears is untouched.

    evaluator = Evaluator.from_pretrained()

    class Assistant(Agent):
        stt_node = rated(Agent.stt_node, evaluator.astream, add_note)

    audio = AudioInputOptions(noise_cancellation=QualityProcessor(evaluator.astream, on_event))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, ModelSettings

from sqe_fast.agents.notes import note
from sqe_fast.agents.talkers import CLOSING, REFUSALS, Opens, Talkers, logger
from sqe_fast.live.events import Event, QualityAlert, QualityRecovered

SttNode = Callable[[Any, AsyncIterable[rtc.AudioFrame], ModelSettings], Any]
"""`Agent.stt_node`, or one of your own: an agent, its audio, settings."""


def rated(stt_node: SttNode, astream: Opens, tell: Callable[[Any, Event], Awaitable[None] | None]) -> SttNode:
    """An `stt_node` that hears the same audio as the one given, and rates it. `tell`, a function or a coroutine
    function, takes the agent and each event but a mute line's: `add_note`, or a method of the agent's class."""

    def node(agent: Any, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings) -> Any:
        return stt_node(agent, overheard(audio, astream, lambda event: tell(agent, event)), model_settings)

    return node


async def overheard(
    audio: AsyncIterable[rtc.AudioFrame], astream: Opens, tell: Callable[[Event], Awaitable[None] | None]
) -> AsyncIterator[rtc.AudioFrame]:
    """The same frames, rated on their way: for a node of your own. The call ends with the audio.

    That a line is mute is not told: a session puts silence in the caller's place where it does not want to hear them,
    and to flush a transcription. `QualityProcessor` tells it.
    """

    def told(_: str, event: Event) -> Awaitable[None] | None:
        mute = isinstance(event, QualityAlert | QualityRecovered) and event.fault == "mute"
        return None if mute else tell(event)

    talkers, whole = Talkers[str](astream, told), False
    try:
        async for frame in audio:
            _push(talkers, "", frame)
            yield frame
        whole = True
    finally:
        await talkers.close(CLOSING if whole else 0.0)


async def add_note(agent: Agent, event: Event) -> None:
    """Puts a sentence into the agent's chat context when the caller's audio goes bad and when it is good again."""
    if (said := note(event)) is not None:
        context = agent.chat_ctx.copy()
        context.add_message(role="developer", content=said)
        await agent.update_chat_ctx(context)


class QualityProcessor(rtc.FrameProcessor[rtc.AudioFrame]):
    """Stands where a room's audio takes a noise cancellation, and hears it before that: `then` is the processor that
    does it, if there is one. A participant's call goes on over several tracks, and ends with the room's input or when
    another participant comes.

    LiveKit turns its gain control off where something stands in this place: pass `auto_gain_control=True` beside it
    to keep it.
    """

    def __init__(
        self,
        astream: Opens,
        tell: Callable[[Event], Awaitable[None] | None],
        then: rtc.FrameProcessor[rtc.AudioFrame] | None = None,
    ) -> None:
        self._astream, self._tell, self._then = astream, tell, then
        self._enabled = True
        self._participant = ""
        self._talkers: Talkers[str] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        if self._then is not None:
            self._then.enabled = value

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        if self._talkers is None:
            self._talkers = Talkers(self._astream, lambda _, event: self._tell(event))
        _push(self._talkers, self._participant, frame)
        if self._then is not None and self._then.enabled:
            return self._then._process(frame)
        return frame

    def _on_stream_info_updated(self, *, room_name: str, participant_identity: str, publication_sid: str) -> None:
        if participant_identity != self._participant:
            self._end()
            self._participant = participant_identity
        if self._then is not None:
            self._then._on_stream_info_updated(
                room_name=room_name, participant_identity=participant_identity, publication_sid=publication_sid
            )

    def _on_stream_info_cleared(self) -> None:
        if self._then is not None:
            self._then._on_stream_info_cleared()

    def _on_credentials_updated(self, *, token: str, url: str) -> None:
        if self._then is not None:
            self._then._on_credentials_updated(token=token, url=url)

    def _on_credentials_cleared(self) -> None:
        if self._then is not None:
            self._then._on_credentials_cleared()

    def _close(self) -> None:
        self._end()
        if self._then is not None:
            self._then._close()

    def _end(self) -> None:
        """Nobody can be awaited here: the summary is told when it is there."""
        talkers, self._talkers = self._talkers, None
        if talkers is not None:
            task = asyncio.get_running_loop().create_task(talkers.close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _push(talkers: Talkers[str], talker: str, frame: rtc.AudioFrame) -> None:
    samples = np.frombuffer(frame.data, np.int16, frame.samples_per_channel * frame.num_channels)
    try:
        talkers.push(talker, samples.reshape(-1, frame.num_channels), frame.sample_rate)
    except REFUSALS as error:
        logger.error("the audio of %s is not rated: %s", talker or "the caller", error)
