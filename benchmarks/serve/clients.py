"""A server in a process of its own, and clients that ask it: files as fast as they are answered, calls in real time."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx2
import numpy as np
import psutil
import soundfile
import websockets

from benchmarks.streaming.load import FRAME, Pcm
from benchmarks.streaming.sound import RATE, Speech, pcm

SECONDS = 600.0
"""Longest wait for an answer."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Served:
    url: str
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of processor time that it and the processes that it decodes in have taken so far."""
        own = self.process.cpu_times()
        ended = float(own.children_user + own.children_system)
        others = (each.cpu_times() for each in self.process.children(recursive=True))
        return ended + sum(float(times.user + times.system) for times in (own, *others))

    def memory(self) -> int:
        """Bytes that they hold; what they share is counted for each."""
        return sum(int(each.memory_info().rss) for each in (self.process, *self.process.children(recursive=True)))


@contextmanager
def served(*options: str) -> Iterator[Served]:
    """`sqe serve` on a free port, ended as a service manager ends it."""
    command = [sys.executable, "-m", "sqe_fast", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            yield Served(found.group(), psutil.Process(process.pid))
            process.terminate()
            assert process.wait(SECONDS) == 0
            last = process.stderr.read()
            counted = re.search(r"(\d+) requests were taken and (\d+) answered", last)
            assert counted is not None, last
            assert counted.group(1) == counted.group(2)
        finally:
            process.kill()


def clips(speech: Speech, count: int, seconds: float) -> list[bytes]:
    """WAV files, each its own: the encoder's cache helps with none."""
    return [wav(pcm(speech.call(seconds, seed))) for seed in range(count)]


def wav(samples: Pcm) -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, RATE, "PCM_16", format="WAV")
    return file.getvalue()


@dataclass
class Uploads:
    """What came back, by clip."""

    rows: dict[int, Row] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    wall: float = 0.0

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent))


async def upload(url: str, files: Sequence[bytes], clients: int, *, stop: asyncio.Event | None = None) -> Uploads:
    """Each client asks about one file after the other. With `stop`, round and round until it is set; a clip whose row
    is another than before is an error."""
    found = Uploads()
    started = time.perf_counter()

    async def ask(client: httpx2.AsyncClient, number: int) -> None:
        begun = time.perf_counter()
        sent = {"file": (f"{number}.wav", files[number])}
        answer = await client.post("v1/evaluate", files=sent, data={"describe": "false"})
        found.latencies.append(time.perf_counter() - begun)
        assert answer.status_code == 200, answer.text
        [row] = answer.json()["rows"]
        assert row["file"] == f"{number}.wav"
        assert found.rows.setdefault(number, row) == row

    async def client(which: int) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as opened:
            while True:
                for number in range(which, len(files), clients):
                    await ask(opened, number)
                    if stop is not None and stop.is_set():
                        return
                if stop is None:
                    return

    await asyncio.gather(*map(client, range(clients)))
    found.wall = time.perf_counter() - started
    return found


@dataclass
class Calls:
    """Events of each call."""

    events: list[list[Row]]

    @property
    def updates(self) -> list[Row]:
        return [event for events in self.events for event in events if event["event"] == "update"]

    @property
    def summaries(self) -> list[Row]:
        return [events[-1] for events in self.events]

    def ages(self, percent: float) -> float:
        return float(np.percentile([update["age"] for update in self.updates if update["ratings"]], percent))

    @property
    def windows(self) -> int:
        kinds = "rated", "without_speech", "dropped", "failed"
        return sum(channel[kind] for each in self.summaries for channel in each["channels"] for kind in kinds)

    @property
    def dropped(self) -> int:
        return sum(channel["dropped"] for each in self.summaries for channel in each["channels"])


async def call(url: str, sounds: Sequence[Pcm], seconds: float) -> Calls:
    """A call for each of `sounds`, which is heard again and again, in real time, begun one after the other within a
    second."""
    size, frames = round(FRAME * RATE), round(seconds / FRAME)
    begin = time.perf_counter()

    async def one(number: int, samples: Pcm) -> list[Row]:
        data = samples.tobytes()
        events: list[Row] = []
        async with websockets.connect(url.replace("http", "ws", 1) + "v1/stream", close_timeout=SECONDS) as socket:
            await socket.send(json.dumps({"rate": RATE, "describe": False}))

            async def listen() -> None:
                async for text in socket:
                    events.append(json.loads(text))

            listener = asyncio.create_task(listen())
            for frame in range(frames):
                due = begin + number / len(sounds) + frame * FRAME
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                place = frame * size * 2 % (len(data) // (size * 2) * (size * 2))
                await socket.send(data[place : place + size * 2])
            await socket.send('{"type": "close"}')
            await listener
            assert socket.close_code == 1000
        assert events[-1]["event"] == "summary"
        return events

    return Calls(list(await asyncio.gather(*(one(*each) for each in enumerate(sounds)))))
