"""Pipecat: a processor of a pipeline, and an observer beside one.

    evaluator = Evaluator.from_pretrained()
    pipeline = Pipeline([transport.input(), QualityProcessor(evaluator.astream, note=True), stt, …])

`QualityProcessor` passes every frame on untouched and puts `QualityFrame`s among them. `QualityObserver` leaves the
pipeline as it is and calls handlers:

    observer = QualityObserver(evaluator.astream)

    @observer.event_handler("on_quality_event")
    async def on_quality_event(observer, event, talker): …
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    LLMMessagesAppendFrame,
    SystemFrame,
    UserAudioRawFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from sqe_fast.agents.notes import note
from sqe_fast.agents.talkers import CLOSING, REFUSALS, Opens, Talkers, logger
from sqe_fast.live.events import Event


class Talker(NamedTuple):
    """Whose audio it is."""

    user: str
    """As the frames name it, by user or else by the transport's source; "" where they don't."""
    source: str = ""
    """Name of the processor that brought the audio, where an observer hears several."""


@dataclass
class QualityFrame(SystemFrame):
    """An event of a call. No interruption drops it."""

    event: Event
    user: str = ""
    """Whose call: as `Talker.user`."""


class QualityProcessor(FrameProcessor):
    """Hears the callers' audio where it stands in the pipeline: behind the transport's input, before what filters it.

    `note` also puts a sentence into the language model's context when a call goes bad and when it is good again
    (`LLMMessagesAppendFrame`, which runs nothing). The pipeline's end waits up to `closing` seconds for the summary.
    """

    def __init__(self, astream: Opens, *, note: bool = False, closing: float = CLOSING) -> None:
        super().__init__()
        self._notes, self._closing = note, closing
        self._talkers = Talkers[Talker](astream, self._told)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, EndFrame):
            await self._talkers.close(self._closing)
        elif isinstance(frame, CancelFrame):
            await self._talkers.cancel()
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            try:
                _push(self._talkers, Talker(_user(frame)), frame)
            except REFUSALS as error:
                await self.push_error(f"the audio of {_user(frame) or 'a caller'} is not rated: {error}", error)

    async def cleanup(self) -> None:
        await self._talkers.cancel()
        await super().cleanup()

    async def _told(self, talker: Talker, event: Event) -> None:
        await self.push_frame(QualityFrame(event, talker.user))
        if self._notes and (said := note(event)) is not None:
            message = LLMMessagesAppendFrame([{"role": "developer", "content": said}], run_llm=False)
            message.interruptible = False
            await self.push_frame(message)


class QualityObserver(BaseObserver):
    """Hears each frame of the callers' audio once, by its id, however many processors pass it on.

    Calls the handlers of "on_quality_event" with each event and its `Talker`. Where a processor makes new frames of old
    ones, a filter, say, both are rated, each for itself. The end of the worker waits up to `closing` seconds for the
    summary.
    """

    def __init__(self, astream: Opens, *, closing: float = CLOSING) -> None:
        super().__init__(observe_every_push=False)
        self._closing, self._cancelled = closing, False
        self._talkers = Talkers[Talker](astream, self._told)
        self._register_event_handler("on_quality_event")

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, CancelFrame):
            self._cancelled = True
        if not data.first_push or not isinstance(data.frame, InputAudioRawFrame):
            return
        talker = Talker(_user(data.frame), data.source.name)
        try:
            _push(self._talkers, talker, data.frame)
        except REFUSALS as error:
            logger.error("the audio of %s is not rated: %s", talker, error)

    async def cleanup(self) -> None:
        await self._talkers.close(0.0 if self._cancelled else self._closing)
        await super().cleanup()  # waits for the handlers

    async def _told(self, talker: Talker, event: Event) -> None:
        await self._call_event_handler("on_quality_event", event, talker)


def _user(frame: InputAudioRawFrame) -> str:
    named = frame.user_id if isinstance(frame, UserAudioRawFrame) else ""
    return named or frame.transport_source or ""


def _push(talkers: Talkers[Talker], talker: Talker, frame: InputAudioRawFrame) -> None:
    talkers.push(talker, np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels), frame.sample_rate)
