"""Sockets: uvicorn's, with clocks for clients that say nothing or take nothing, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sqe_fast.errors import UnusableError
from sqe_fast.server.settings import Settings, is_loopback

GRACE = 1.0
"""Seconds in which a connection without a request may still bring one, once the server was told to stop."""
SPARE = 64
"""Connections beside those that serve requests and calls."""
MAX_HEADERS = 32_768
"""Bytes of a request's line and headers."""
MAX_MESSAGE = 1 << 20
"""Bytes of a WebSocket message: 5 s of 16-bit stereo at 48 kHz."""
PING = 20.0
"""Seconds between pings, and until one is answered."""


class _Clock:
    """Calls `expired` once it was started and not stopped for so long."""

    def __init__(self, seconds: float, expired: Callable[[], object]) -> None:
        self._seconds, self._expired = seconds, expired
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expired)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def http_protocol(patience: float) -> type[H11Protocol]:
    """One whose connections end where no request is whole within `patience`, or no byte of an answer is taken."""

    class Http(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._stopping = False
            self._unheard = _Clock(patience, self.transport.abort)
            self._untaken = _Clock(patience, self.transport.abort)
            self._unheard.start()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unheard.stop()
            self._untaken.stop()
            super().connection_lost(exc)

        def handle_events(self) -> None:
            before = self.cycle
            try:
                super().handle_events()
            except (h11.LocalProtocolError, UnicodeDecodeError):
                # Nonsense behind a request whose answer has begun, where no other answer can be; or in its path.
                self.transport.abort()
                return
            if self.cycle is not before:
                self._unheard.stop()
                if self._stopping:
                    self.cycle.keep_alive = False

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._unheard.stop()
            super().handle_websocket_upgrade(event)

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._untaken.start()  # of an answer that is still in the buffer

        def pause_writing(self) -> None:
            super().pause_writing()
            self._untaken.start()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._untaken.stop()

        def shutdown(self) -> None:
            self._stopping = True
            if self.cycle is not None and not self.cycle.response_complete:
                super().shutdown()
            else:  # its request may be on the way
                self.loop.call_later(GRACE, self._shut)

        def _shut(self) -> None:
            if not self.transport.is_closing():
                super().shutdown()

    return Http


def websocket_protocol(patience: float) -> type[WebSocketsSansIOProtocol]:
    """One whose connections end where nothing of what is sent is taken within `patience`."""

    class WebSocket(WebSocketsSansIOProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._untaken = _Clock(patience, self.transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._untaken.stop()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._untaken.start()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._untaken.stop()

        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.close":  # it waits for what is sent before it, which nobody may take
                self.loop.call_later(patience, self.transport.abort)
            await super().send(message)

        def keepalive_timeout(self) -> None:
            super().keepalive_timeout()
            self.transport.abort()  # who does not answer a ping takes no closing frame either

    return WebSocket


class Server(uvicorn.Server):
    """Calls `ready` once it listens. Told to stop, it takes nothing new, lets `drained` end what is no request (live
    calls), and serves every request that it has. A second SIGINT ends it at once."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], object], drained: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._ready, self._drained = ready, drained

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if not self.force_exit:
            await self._drained()
        await super().shutdown(sockets)


def bound(settings: Settings) -> socket.socket:
    """A socket on the address of `settings`, not yet listening. Raises UnusableError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnusableError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from error
    return listener


def url_of(listener: socket.socket, settings: Settings) -> str:
    """Where a browser on this machine finds it, if it listens to it at all."""
    port = listener.getsockname()[1]
    host = settings.host if is_loopback(settings.host) else socket.gethostname()
    scheme = "http" if settings.certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def server_of(
    app: Any, settings: Settings, ready: Callable[[], object], drained: Callable[[], Awaitable[None]]
) -> Server:
    """Its `run` serves on sockets that are bound, on any thread, until `should_exit` is set."""
    config = uvicorn.Config(
        app,
        http=http_protocol(settings.patience),
        ws=websocket_protocol(settings.patience),
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=PING,
        ws_ping_timeout=PING,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MAX_HEADERS,
        limit_concurrency=settings.max_requests + settings.max_sessions + SPARE,
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        backlog=1_024,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="error",
        lifespan="off",
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    return Server(config, ready, drained)


def run(server: Server, listener: socket.socket) -> None:
    """On the main thread, until SIGINT or SIGTERM, and then until what has begun is done, or its time is over."""
    before = [(signum, signal.getsignal(signum)) for signum in (signal.SIGINT, signal.SIGTERM)]
    try:
        for signum, _ in before:  # uvicorn raises them again at its end, which is no interruption here
            signal.signal(signum, lambda *_: None)
        server.run([listener])
    finally:
        for signum, handler in before:
            signal.signal(signum, handler)
