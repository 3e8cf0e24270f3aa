"""A language model at an OpenAI-compatible endpoint, on the loopback address: a function answers for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = str | int | bytes
"""A text; or a status; or the bytes of a body."""


@dataclass
class Endpoint:
    """Answers each request's body with `answer`, one at a time."""

    answer: Callable[[dict[str, Any]], Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def next(self, body: dict[str, Any], key: str) -> Answer:
        with self.lock:
            self.requests.append(body)
            self.keys.append(key)
            return self.answer(body)


def one_by_one(*answers: Answer) -> Callable[[dict[str, Any]], Answer]:
    """The next of `answers` to each request, the last one for ever."""
    rest = list(answers)
    return lambda body: rest.pop(0) if len(rest) > 1 else rest[0]


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Answer]) -> Iterator[Endpoint]:
    endpoint = Endpoint(answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = endpoint.next(body, self.headers.get("Authorization", ""))
            status, content = (answer, b'{"error": {"message": "no"}}') if isinstance(answer, int) else (200, b"")
            if isinstance(answer, bytes):
                content = answer
            elif isinstance(answer, str):
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
                completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                content = json.dumps(completion).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
