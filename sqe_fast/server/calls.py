"""Live calls over a WebSocket: the first message says what comes, then PCM; events go back as they are told.

Nothing here waits for the model, and nothing grows: audio goes into the ring of its call, which loses the oldest, and
events wait in its outbox, which does, too. Both are counted. What is no audio closes the call with a code that says
why.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from sqe_fast.audio import SAMPLE_ENCODINGS, RawFormat, frame_bytes, samples_of
from sqe_fast.errors import ClipError, UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.live.stream import AsyncStream
from sqe_fast.server.gate import PROTOCOL, deny
from sqe_fast.server.intake import explained
from sqe_fast.server.metrics import CallMeter, Metrics
from sqe_fast.server.refusals import Refusal, not_now
from sqe_fast.server.schemas import CallFormat
from sqe_fast.server.settings import Settings

END = {"type": "close"}
"""The text that ends a call: what was sent is heard, the summary comes, and the socket is closed."""
QUIET = 10
"""Times patience that a call may be without audio."""
OWN_CODES = 3_000
"""Closing codes from here on mean what a client likes."""
SUMMARY_SECONDS = 30.0
"""In which a call that ends is heard to its end and summed up; after that it is cut off."""


class Closing(Exception):
    """Ends a call with a WebSocket's closing code (RFC 6455, 7.4) and a reason. `heard`: it has its summary first."""

    def __init__(self, code: int, reason: str, *, heard: bool = False) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.heard = code, reason, heard


class Calls:
    """The live calls of one server."""

    def __init__(self, evaluator: Evaluator, settings: Settings, metrics: Metrics) -> None:
        self._evaluator, self._settings, self._metrics = evaluator, settings, metrics
        self._open = 0
        self._draining = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def drain(self, seconds: float) -> None:
        """End all calls, each with its summary. No other begins."""
        self._draining.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), seconds)

    async def serve(self, websocket: WebSocket) -> None:
        """One WebSocket, from its handshake to its end."""
        refusal = self._refusal()
        if refusal is not None:
            self._metrics.errors.labels(refusal.code).inc()
            await deny(websocket._send, refusal)
            return
        self._open += 1
        self._empty.clear()
        try:
            await self._serve(websocket)
        finally:
            self._open -= 1
            if not self._open:
                self._empty.set()

    def _refusal(self) -> Refusal | None:
        if self._draining.is_set():
            return not_now("the server is closing: ask again")
        if self._open >= self._settings.max_sessions:
            return Refusal(429, "too_many_calls", "as many calls as may be are in the air: ask again", retry_after=5)
        return None

    async def _serve(self, websocket: WebSocket) -> None:
        code = 1006
        try:
            await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
            code, reason = await self._call(websocket)
            await websocket.close(code, reason)
        except WebSocketDisconnect as gone:
            code = gone.code
        finally:
            self._metrics.sessions.labels(str(code) if code < OWN_CODES else "other").inc()

    async def _call(self, websocket: WebSocket) -> tuple[int, str]:
        """The code and reason to close with. Raises WebSocketDisconnect where the client is gone."""
        try:
            raw, call = await self._opened(websocket)
        except Closing as closing:
            return closing.code, closing.reason
        meter = CallMeter(self._metrics)
        teller = asyncio.create_task(_tell(websocket, call, meter))
        try:
            ending = await self._hear(websocket, call, raw)
            if ending.heard:
                await self._told(call, teller)
            return ending.code, ending.reason
        finally:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
            meter.ended(await call.cancel())

    async def _opened(self, websocket: WebSocket) -> tuple[RawFormat, AsyncStream]:
        try:
            message = await asyncio.wait_for(_message(websocket), self._settings.patience)
        except TimeoutError:
            raise Closing(1008, "no format came: send it first, as JSON") from None
        if not isinstance(message, str):
            raise Closing(1003, "audio before its format: send that first, as JSON")
        try:
            said = CallFormat.model_validate_json(message)
            if said.encoding not in SAMPLE_ENCODINGS:
                raise ValueError(f"encoding: choose one of {', '.join(SAMPLE_ENCODINGS)}")
            call = self._evaluator.astream(
                said.rate,
                window=said.window,
                hop=said.hop,
                channels="each" if said.each and said.channels == 2 else "mix",
                describe=said.describe,
            )
        except ValidationError as error:
            raise Closing(1007, _short(explained(error))) from error
        except ValueError as error:
            raise Closing(1007, _short(str(error))) from error
        except UnusableError as error:
            raise Closing(1012, "the server is closing: call again") from error
        return RawFormat(said.rate, said.encoding, said.channels), call

    async def _hear(self, websocket: WebSocket, call: AsyncStream, raw: RawFormat) -> Closing:
        """Until the call ends; how."""
        reader = asyncio.create_task(self._read(websocket, call, raw))
        drained = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({reader, drained}, return_when=asyncio.FIRST_COMPLETED)
            return reader.result() if reader.done() else _DRAINED
        finally:
            drained.cancel()
            reader.cancel()
            await asyncio.gather(reader, drained, return_exceptions=True)

    async def _read(self, websocket: WebSocket, call: AsyncStream, raw: RawFormat) -> Closing:
        size, rest, heard = frame_bytes(raw), b"", 0
        most, quiet = self._settings.max_seconds * raw.rate, QUIET * self._settings.patience
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(quiet) as clock:
                while heard <= most:
                    piece = await _message(websocket)
                    if isinstance(piece, str):
                        return _end_of(piece)
                    clock.reschedule(now() + quiet)
                    data = rest + piece
                    whole = len(data) // size * size
                    rest = data[whole:]
                    call.push(samples_of(data[:whole], raw))
                    heard += whole // size
                return _LONG
        except TimeoutError:
            return _QUIET
        except ClipError as error:
            return Closing(1007, _short(str(error)))
        except UnusableError:
            return Closing(1011, "the call failed: call again", heard=True)  # its summary says why

    async def _told(self, call: AsyncStream, teller: asyncio.Task[None]) -> None:
        """The rest is heard, and all events are told, the summary the last."""
        try:
            await asyncio.wait_for(call.close(), SUMMARY_SECONDS)
        except TimeoutError:
            await call.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(teller, self._settings.patience)


async def _tell(websocket: WebSocket, call: AsyncStream, meter: CallMeter) -> None:
    async for event in call.events():
        meter.told(event)
        await websocket.send_text(json.dumps(event.to_row()))


_DRAINED = Closing(1012, "the server is closing: call again", heard=True)
_QUIET = Closing(1008, "no audio came for too long", heard=True)
_LONG = Closing(1008, "the call is longer than this server hears: call again", heard=True)


def _end_of(text: str) -> Closing:
    with suppress(ValueError):
        if json.loads(text) == END:
            return Closing(1000, "", heard=True)
    return Closing(1003, 'text among the audio: send bytes, or {"type": "close"}')


async def _message(websocket: WebSocket) -> str | bytes:
    """Raises WebSocketDisconnect."""
    message: dict[str, Any] = dict(await websocket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    data = message.get("bytes")
    return data if data is not None else str(message["text"])


def _short(reason: str) -> str:
    """A closing frame holds 123 bytes."""
    return reason.encode("ascii", "replace")[:120].decode()
