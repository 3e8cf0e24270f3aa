"""In front of all routes: who asks, how much is sent, how many at once, and how long it may take."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sqe_fast.errors import BusyError, UnusableError
from sqe_fast.server.metrics import Metrics
from sqe_fast.server.refusals import Refusal, internal, not_now
from sqe_fast.server.settings import Settings, is_loopback

OPEN = ("/", "/healthz", "/readyz", "/openapi.json")
"""Routes that tell nothing of anybody: they need no token."""
PROTOCOL, BEARER = "sqe", "bearer."
"""A browser cannot set a WebSocket's headers; it shows the token as a subprotocol, "bearer." and the token in URL-safe
base64, and asks for "sqe" beside it."""
LINGER_SECONDS, LINGER_BYTES = 5.0, 64_000_000
"""What of a body is still taken, to be thrown away, before it is refused: most clients read no answer before they have
sent all of theirs."""

GONE = 499
"""Of a request whose client has left: nobody reads it, and it is counted."""

log = logging.getLogger("sqe_fast.server")


class Gate:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, routes: Iterable[str]) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._routes = frozenset(routes)
        self._under_way = 0
        self._held = 0
        self.taken = 0
        """Requests that came to be served."""
        self.answered = 0
        """Of these, to the last byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # --- one request -------------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        answer, body = _Answer(send), _Body(receive, self)
        begun = time.perf_counter()
        self.taken += 1
        work = scope["method"] == "POST"
        try:
            self._admit(scope)
            body.announced(_header(scope, b"content-length"))
            if work:
                self._enter()
            try:
                await self._served(scope, body, answer)
            finally:
                if work:
                    self._leave()
        except Exception as error:  # noqa: BLE001 (whatever it is, this request alone pays for it, and is told)
            await self._refuse(refusal_for(error), scope, body, answer)
        finally:
            self.answered += answer.whole
            self._hold(-body.received)
            self._metrics.requests.labels(route, str(answer.status)).inc()
            self._metrics.latency.labels(route).observe(time.perf_counter() - begun)

    async def _served(self, scope: Scope, body: _Body, answer: _Answer) -> None:
        """By the routes, in time; what is done for a client that leaves is dropped."""
        work = asyncio.ensure_future(self._app(scope, body, answer))
        left = asyncio.ensure_future(body.left())
        try:
            await asyncio.wait({work, left}, timeout=self._settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            elif not answer.whole:
                raise ClientDisconnect if left.done() else TimeoutError
        finally:
            work.cancel()
            left.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    def _enter(self) -> None:
        if self._under_way >= self._settings.max_requests:
            raise Refusal(429, "too_many_requests", "too many requests are under way: ask again", retry_after=1)
        self._under_way += 1
        self._metrics.under_way.set(self._under_way)

    def _leave(self) -> None:
        self._under_way -= 1
        self._metrics.under_way.set(self._under_way)

    def _hold(self, size: int) -> None:
        self._held += size
        self._metrics.held.set(self._held)

    async def _refuse(self, refusal: Refusal, scope: Scope, body: _Body, answer: _Answer) -> None:
        self._metrics.errors.labels(refusal.code).inc()
        if answer.whole or refusal.status == GONE:
            return
        if answer.status:
            raise ConnectionAbortedError(refusal.code)  # all that is left is to end the answer in its middle
        unread = not body.whole
        if unread and not _header(scope, b"expect"):
            await body.discard()
        await answer.refuse(refusal, closes=unread)

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] not in self._routes:
                raise Refusal(404, "no_such_route", "there is no such route: see /openapi.json")
            self._admit(scope)
        except Refusal as refusal:
            self._metrics.errors.labels(refusal.code).inc()
            self._metrics.requests.labels(
                scope["path"] if scope["path"] in self._routes else "other", str(refusal.status)
            ).inc()
            await deny(send, refusal)
            return
        await self._app(scope, receive, send)

    # --- who asks ----------------------------------------------------------------------------------------------------

    def _admit(self, scope: Scope) -> None:
        """Raises Refusal."""
        self._check_host(scope)
        self._check_origin(scope)
        if self._settings.token is not None and scope["path"] not in OPEN:
            self._check_token(scope)

    def _check_host(self, scope: Scope) -> None:
        """Without a token, another site's page must not reach loopback under a name of its own (DNS rebinding)."""
        if self._settings.token is not None:
            return
        host = urlsplit(f"//{_header(scope, b'host')}").hostname or ""
        if not is_loopback(host) and host not in {self._settings.host, *map(_host_of, self._settings.origins)}:
            raise Refusal(403, "unknown_host", "this server is for the machine that it runs on: ask for localhost")

    def _check_origin(self, scope: Scope) -> None:
        """A browser says whose page asks; only our own may, and those that were allowed."""
        origin = _header(scope, b"origin")
        if not origin or scope.get("method") in ("GET", "HEAD"):
            return
        if urlsplit(origin).netloc == _header(scope, b"host") or {origin, "*"} & set(self._settings.origins):
            return
        raise Refusal(403, "unknown_origin", "pages of that origin may not ask: allow it with --cors")

    def _check_token(self, scope: Scope) -> None:
        shown = _header(scope, b"authorization")
        kind, _, token = shown.partition(" ")
        tokens = [token.strip()] if kind.lower() == "bearer" else []
        if scope["type"] == "websocket":
            tokens += [_decoded(each.removeprefix(BEARER)) for each in scope["subprotocols"] if each.startswith(BEARER)]
        wanted = str(self._settings.token).encode()
        if not any(hmac.compare_digest(each.encode("utf-8", "replace"), wanted) for each in tokens):
            raise Refusal(401, "unauthorized", "show the token of this server: Authorization: Bearer TOKEN")


class _Body:
    """A request's body as it comes: counted, bounded, and not waited for beyond patience. ASGI's `receive`."""

    def __init__(self, receive: Receive, gate: Gate) -> None:
        self._receive, self._gate, self._settings = receive, gate, gate._settings
        self.received = 0
        self._whole, self._gone = asyncio.Event(), asyncio.Event()

    @property
    def whole(self) -> bool:
        return self._whole.is_set()

    async def left(self) -> None:
        """Until the client leaves, behind its whole body; before that, reading it tells."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    def announced(self, length: str) -> None:
        """By the header. Raises Refusal."""
        if length.isdigit() and int(length) > self._settings.max_body:
            raise self._too_large()

    async def __call__(self) -> Message:
        if self.whole:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._next(self._settings.patience)
        size = len(message.get("body", b""))
        self.received += size
        self._gate._hold(size)
        if self.received > self._settings.max_body:
            raise self._too_large()
        if self._gate._held > self._settings.max_held:
            raise Refusal(429, "too_many_bytes", "too much is being sent at once: ask again", retry_after=2)
        return message

    async def _next(self, seconds: float) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), seconds)
        except TimeoutError as error:
            raise Refusal(408, "too_slow", f"nothing came for {seconds:g} s: send the whole request") from error
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole.set()
        return message

    async def discard(self) -> None:
        """Some of what still comes."""
        thrown = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.whole and thrown < LINGER_BYTES:
                    thrown += len((await self._next(LINGER_SECONDS)).get("body", b""))
        except (TimeoutError, Refusal):
            pass

    def _too_large(self) -> Refusal:
        most = self._settings.max_body
        return Refusal(413, "too_large", f"a request may have {most:,} bytes: send fewer or shorter recordings")


class _Answer:
    """What is answered; `status` is 0 before it begins. ASGI's `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *_ALWAYS]}
        await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def refuse(self, refusal: Refusal, *, closes: bool) -> None:
        headers = refusal.headers | ({"Connection": "close"} if closes else {})
        await self(_start("http.response.start", refusal, headers))
        await self({"type": "http.response.body", "body": refusal.body})


_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


async def deny(send: Send, refusal: Refusal) -> None:
    """A WebSocket that is not opened."""
    await send(_start("websocket.http.response.start", refusal, refusal.headers))
    await send({"type": "websocket.http.response.body", "body": refusal.body})


def refusal_for(error: Exception) -> Refusal:
    """What a client is told of whatever went wrong."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, TimeoutError):
        return not_now("this took too long: ask for less at once, or again")
    if isinstance(error, BusyError | UnusableError | CancelledError):
        return not_now()
    if isinstance(error, ClientDisconnect):
        return Refusal(GONE, "gone", "the client has left")
    log.error("a request failed", exc_info=error)
    return internal()


def _start(kind: str, refusal: Refusal, headers: dict[str, str]) -> dict[str, Any]:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    length = (b"content-length", str(len(refusal.body)).encode())
    return {"type": kind, "status": refusal.status, "headers": [*raw, length]}


def _header(scope: Scope, name: bytes) -> str:
    """The first of this name; "" where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _host_of(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _decoded(text: str) -> str:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8")
    except ValueError:
        return ""
