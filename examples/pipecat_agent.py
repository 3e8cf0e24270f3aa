"""A Pipecat agent that knows how its caller sounds. Runs without any account: the caller is played from this folder,
and what the language model would read is printed.

    pip install "sqe-fast[cpu,pipecat]"
    python examples/pipecat_agent.py
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import soundfile
from loguru import logger
from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from sqe_fast import Evaluator, QualityUpdate
from sqe_fast.agents.pipecat import QualityFrame, QualityProcessor

HERE = Path(__file__).parent
CALL = ("allison_clean.flac", "allison_packet_loss.flac", "allison_clean.flac")
PIECE = 0.02
"""Seconds of audio that a transport brings at once."""


class Dashboard(FrameProcessor):
    """What an application does with the events of a call."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, QualityFrame):
            event = frame.event
            if isinstance(event, QualityUpdate):
                print(f"{event.end:5.1f} s", f"MOS {event.score.mos:.1f}" if event.score else "no speech yet")
            else:
                print(event.description)
        await self.push_frame(frame, direction)


async def call(worker: PipelineWorker) -> None:
    """In place of a transport: in real time."""
    pcm = np.concatenate([soundfile.read(HERE / name, dtype="int16")[0] for name in CALL])
    rate = soundfile.info(HERE / CALL[0]).samplerate
    for piece in np.split(pcm, range(round(PIECE * rate), len(pcm), round(PIECE * rate))):
        await worker.queue_frame(InputAudioRawFrame(piece.tobytes(), rate, 1))
        await asyncio.sleep(PIECE)
    await worker.queue_frame(EndFrame())


async def main() -> None:
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    context = LLMContext([{"role": "user", "content": "Hello, can you hear me?"}])

    evaluator = Evaluator.from_pretrained()  # one for all calls of a process
    quality = QualityProcessor(evaluator.astream, note=True)

    worker = PipelineWorker(Pipeline([quality, LLMContextAggregatorPair(context).user(), Dashboard()]))
    runner = WorkerRunner()
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), call(worker))
    read = [f"{message['role']}: {message['content']}" for message in context.get_messages()]
    print("what the language model reads:", *read, sep="\n  ")


if __name__ == "__main__":
    asyncio.run(main())
