"""A child of the sandbox whose decoders do what the first bytes of a file say. All else is decoded as always."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from sqe_fast.audio import sources
from sqe_fast.audio.decoders import Decoder, open_decoder
from sqe_fast.audio.raw import RawFormat
from sqe_fast.audio.sandbox import child

MARK = b"FAULT:"


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _abort() -> None:
    os.abort()


def _exit() -> None:
    os._exit(3)


def _spin() -> None:
    while True:
        pass


def _sleep() -> None:
    time.sleep(3_600)


def _hoard() -> None:
    held = []
    while True:
        held.append(bytearray(1 << 24))


def _connect() -> None:
    socket.create_connection(("127.0.0.1", 9))


def _listen() -> None:
    socket.socket().bind(("127.0.0.1", 0))


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _execute() -> None:
    subprocess.run(["true"], check=True)


def _write() -> None:
    with open("/tmp/sqe-fast-planted", "wb") as file:
        file.write(b"x")


def _kill_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def _print() -> None:
    os.write(1, b"a codec's opinion\n")
    os.write(2, b"a codec's opinion\n")
    raise RuntimeError("said")


def _lie() -> None:
    """An answer that is no message."""
    os.write(_control, b"\xff" * 64)


def _answer_nothing() -> None:
    """A message that says nothing."""
    os.write(_control, b"\2\0\0\0\0\0\0\0{}")


def _answer_short() -> None:
    """An answer that says too little."""
    text = b'{"error": 7}'
    os.write(_control, len(text).to_bytes(4, "little") + bytes(4) + text)


FAULTS: dict[str, Callable[[], None]] = {
    name[1:]: act
    for name, act in list(globals().items())
    if name.startswith("_") and callable(act) and not name.startswith("__")
}
_control = -1


def _opened(file: BinaryIO, raw: RawFormat | None = None, track: int = 0) -> Decoder:
    file.seek(0)
    head = file.read(64)
    if head.startswith(MARK):
        FAULTS[head[len(MARK) :].split(b"\n")[0].decode()]()
    return open_decoder(file, raw, track)


def main(control: int, *limits: Any) -> None:
    global _control
    _control = control
    sources.open_decoder = _opened
    child.main(control, *limits)


def planted(fault: str) -> bytes:
    """A file that has this fault."""
    assert fault in FAULTS
    return MARK + fault.encode() + b"\n" + bytes(100)
