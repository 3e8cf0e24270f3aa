"""The child: opens files that it is sent, and gives their blocks one by one, of several by turns."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqe_fast.audio.joined import Samples
from sqe_fast.audio.quiet import quiet
from sqe_fast.audio.raw import RawFormat
from sqe_fast.audio.sandbox import confine, wire
from sqe_fast.audio.sources import FileSource, FormatGrew
from sqe_fast.errors import ClipError, ErrorCode


def main(control: int, memory: int, network_before: int) -> None:
    """Serve what is asked for on the socket `control` until it is closed."""
    import soundfile  # noqa: F401 (what is imported now is not counted as memory that decoding takes)

    with quiet():
        nowhere = os.open(os.devnull, os.O_WRONLY)  # as `quiet` has: it cannot be opened to be written later
    kept_by = confine.confine(memory, network_before)
    with socket.socket(fileno=control) as connection:
        wire.send(connection, {"network": kept_by})
        os.dup2(nowhere, 2)  # what could not be imported was said; codecs say nothing
        _Served(connection).serve()


class _Source:
    """A file, and what it was found to be. Open files are reached by name, so that each pass has its own position."""

    def __init__(self, file: int, raw: RawFormat | None) -> None:
        self.file = file
        self.decoded = FileSource("", Path(f"/proc/self/fd/{file}"), raw)

    def header(self) -> wire.Message:
        return {"rate": self.decoded.rate, "channels": self.decoded.channels, "tracks": self.decoded.tracks}


@dataclass
class _Reading:
    source: _Source
    blocks: Iterator[Samples]
    block: Samples | None
    """The next to be given."""


class _Served:
    """Sources and readings of them, by numbers of the other side's choice."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._files: list[int] = []
        self._sources: dict[int, _Source] = {}
        self._readings: dict[int, _Reading] = {}

    def serve(self) -> None:
        while True:
            try:
                request, _ = wire.receive(self._fill)
            except EOFError:
                return
            samples = b""
            try:
                answer, samples = self._answer(request)
            except ClipError as error:
                answer = {"error": [error.code.value, error.message]}
            except MemoryError:
                answer = {"error": [ErrorCode.DECODER_MEMORY.value, ""]}
            except Exception as error:  # noqa: BLE001 (whatever a parser raises on bytes that are none of ours)
                answer = {"error": [ErrorCode.DECODER_CRASHED.value, f"{type(error).__name__}: {error}"[:500]]}
            finally:
                self._drop_files()
            wire.send(self._connection, answer, samples)

    def _fill(self, buffer: memoryview) -> None:
        while len(buffer):
            data, files, _, _ = socket.recv_fds(self._connection, len(buffer), wire.MAX_FILES)
            self._files += files
            if not data:
                raise EOFError
            buffer[: len(data)] = data
            buffer = buffer[len(data) :]

    def _drop_files(self) -> None:
        for file in self._files:
            os.close(file)
        self._files.clear()

    def _answer(self, request: wire.Message) -> tuple[wire.Message, bytes]:
        for number in request["closed"]:
            self._readings.pop(number, None)
            if source := self._sources.pop(number, None):
                os.close(source.file)
        number = request["number"]
        match request["ask"]:
            case "open":
                return self._open(number, request["raw"], grown=request["grown"]), b""
            case "read":
                return self._read(number, request["source"], request["skip"])
            case _:
                return self._next(number)

    def _open(self, number: int, raw: list[int | str] | None, *, grown: bool) -> wire.Message:
        file = self._files.pop()
        try:
            source = _Source(file, None if raw is None else RawFormat(*raw))  # type: ignore[arg-type]
        except BaseException:
            os.close(file)
            raise
        if grown:  # as another child has found out: what it becomes is known from the start
            with suppress(FormatGrew):
                for _ in source.decoded.blocks():
                    pass
        self._sources[number] = source
        return {**source.header(), "cut": source.decoded.cut}

    def _read(self, number: int, source_number: int, skip: int) -> tuple[wire.Message, bytes]:
        source = self._sources[source_number]
        os.dup2(self._files[0], source.file)  # opened again: it may have changed
        blocks = source.decoded.blocks()
        try:
            for _ in range(skip):
                next(blocks, None)
            self._readings[number] = _Reading(source, blocks, next(blocks, None))
        except FormatGrew:
            return {"grew": source.header()}, b""
        return self._next(number)

    def _next(self, number: int) -> tuple[wire.Message, bytes]:
        """A block, and whether it is the last: most files are one, and one answer."""
        reading = self._readings[number]
        try:
            block, reading.block = reading.block, next(reading.blocks, None)
        except FormatGrew:
            del self._readings[number]
            return {"grew": reading.source.header()}, b""
        end = reading.block is None
        if end:
            del self._readings[number]
        answer = {"given": block is not None, "end": end, "cut": reading.source.decoded.cut}
        if block is None:
            return answer, b""
        assert block.dtype == np.float32, block.dtype
        return {**answer, "shape": block.shape}, block.tobytes()
