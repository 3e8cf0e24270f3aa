"""A server on a free port of the loopback address, in a thread of this process, with the evaluator that it is given."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import soundfile

from sqe_fast.evaluator import Evaluator
from sqe_fast.server import connections
from sqe_fast.server.app import Service
from sqe_fast.server.settings import Settings

SECONDS = 60.0
"""Longest wait for an answer."""


@dataclass
class Running:
    url: str
    service: Service
    server: connections.Server
    thread: threading.Thread

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    @property
    def live(self) -> str:
        return self.url.replace("http", "ws", 1) + "v1/stream"

    def client(self, **headers: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=SECONDS, headers=headers)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def metric(self, name: str, **labels: str) -> float:
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        """As SIGTERM does; returns when it is over."""
        self.server.should_exit = True
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "the server does not end"


@contextmanager
def serving(evaluator: Evaluator, **settings: Any) -> Iterator[Running]:
    chosen = Settings(**{"port": 0, "drain": 20.0, **settings})
    listener = connections.bound(chosen)
    service, listens = Service(evaluator, chosen), threading.Event()
    server = connections.server_of(service.app, chosen, listens.set, service.drain)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert listens.wait(SECONDS)
    running = Running(connections.url_of(listener, chosen), service, server, thread)
    try:
        yield running
    finally:
        running.stop()


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, "FLOAT", format="WAV")
    return file.getvalue()
