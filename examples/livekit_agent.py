"""A LiveKit agent that knows how its caller sounds. Runs without any account or room: the caller is played from this
folder, nothing is transcribed, and what the language model would read is printed.

    pip install "sqe-fast[cpu,livekit]"
    python examples/livekit_agent.py
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from livekit import rtc
from livekit.agents import Agent, AgentSession, stt
from livekit.agents.voice import io

from sqe_fast import Evaluator, QualityUpdate
from sqe_fast.agents.livekit import add_note, rated
from sqe_fast.live.events import Event

HERE = Path(__file__).parent
CALL = ("allison_clean.flac", "allison_packet_loss.flac", "allison_clean.flac")
PIECE = 0.05
"""Seconds of audio that a room brings at once."""


async def show(agent: Agent, event: Event) -> None:
    """What an application does with the events of a call."""
    if isinstance(event, QualityUpdate):
        print(f"{event.end:5.1f} s", f"MOS {event.score.mos:.1f}" if event.score else "no speech yet")
    else:
        print(event.description)
    await add_note(agent, event)


evaluator = Evaluator.from_pretrained()  # one for all calls of a process


class Assistant(Agent):
    stt_node = rated(Agent.stt_node, evaluator.astream, show)


class Caller(io.AudioInput):
    """In place of a room: in real time."""

    def __init__(self) -> None:
        super().__init__(label="a file")
        pcm = np.concatenate([soundfile.read(HERE / name, dtype="int16")[0] for name in CALL])
        self._rate = soundfile.info(HERE / CALL[0]).samplerate
        self._pieces = iter(np.split(pcm, range(round(PIECE * self._rate), len(pcm), round(PIECE * self._rate))))
        self.over = asyncio.Event()

    async def __anext__(self) -> rtc.AudioFrame:
        piece = next(self._pieces, None)
        if piece is None:
            self.over.set()
            await asyncio.Event().wait()  # the line stays open and says nothing
        await asyncio.sleep(PIECE)
        return rtc.AudioFrame(piece.tobytes(), self._rate, 1, len(piece))


class Deaf(stt.STT):
    """In place of a speech-to-text service."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, *, language: Any = None, conn_options: Any = None) -> stt.RecognizeStream:
        return Listening(stt=self, conn_options=conn_options)


class Listening(stt.RecognizeStream):
    async def _run(self) -> None:
        async for _ in self._input_ch:
            pass


async def main() -> None:
    caller, agent = Caller(), Assistant(instructions="You are a helpful assistant.")
    session = AgentSession(stt=Deaf(), vad=None, turn_handling={"turn_detection": "manual"})
    session.input.audio = caller
    await session.start(agent, record=False)
    await caller.over.wait()
    await session.aclose()
    read = [f"{message.role}: {message.text_content}" for message in agent.chat_ctx.messages() if message.text_content]
    print("what the language model reads:", *read, sep="\n  ")


if __name__ == "__main__":
    asyncio.run(main())
