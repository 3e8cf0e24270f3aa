"""Messages between a pool and a child, over a Unix socket: JSON, behind it bytes of samples; files go along with
requests. What comes from a child is not trusted: it is JSON of bounded size, never a pickle."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

_SIZES = struct.Struct("<II")
"""Bytes of JSON, bytes of samples."""
MAX_JSON, MAX_SAMPLES = 1 << 20, 1 << 28
MAX_FILES = 1

Message = dict[str, Any]
Receive = Callable[[memoryview], None]
"""Fills the whole buffer; raises EOFError where the other side has gone."""


def send(to: socket.socket, message: Message, samples: bytes | memoryview = b"", files: Sequence[int] = ()) -> None:
    """Raises OSError where the other side has gone."""
    text = json.dumps(message).encode()
    head = _SIZES.pack(len(text), len(samples)) + text
    if files:
        socket.send_fds(to, [head[:1]], files)
        head = head[1:]
    to.sendall(head)
    if samples:
        to.sendall(samples)


def receive(fill: Receive) -> tuple[Message, bytearray]:
    """Raises ValueError for what is no message."""
    sizes = bytearray(_SIZES.size)
    fill(memoryview(sizes))
    json_size, samples_size = _SIZES.unpack(sizes)
    if json_size > MAX_JSON or samples_size > MAX_SAMPLES:
        raise ValueError(f"a message of {json_size} and {samples_size} bytes")
    text, samples = bytearray(json_size), bytearray(samples_size)
    fill(memoryview(text))
    fill(memoryview(samples))
    message = json.loads(text)
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message, samples
