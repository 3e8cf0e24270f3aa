"""The routes, and the server as a whole."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from sqe_fast.errors import BusyError, UnusableError
from sqe_fast.evaluator import Evaluator
from sqe_fast.jobs.rows import jsonl_line
from sqe_fast.results import Evaluation
from sqe_fast.server import chat, connections, intake
from sqe_fast.server.calls import Calls
from sqe_fast.server.gate import Gate, refusal_for
from sqe_fast.server.intake import Asked
from sqe_fast.server.metrics import Metrics
from sqe_fast.server.openapi import NDJSON, document
from sqe_fast.server.rating import Raters, rows_of
from sqe_fast.server.refusals import Refusal, internal, not_now, status_of
from sqe_fast.server.schemas import RatingChoices
from sqe_fast.server.settings import Settings


class Service:
    """One evaluator, and what clients may ask of it. `app` is an ASGI application; made on any thread, used on one
    event loop."""

    def __init__(self, evaluator: Evaluator, settings: Settings) -> None:
        self.evaluator, self.settings = evaluator, settings
        self.metrics = Metrics(evaluator.activity)
        self._closing = False

    @cached_property
    def app(self) -> ASGIApp:
        self._raters = Raters(self.evaluator, self.metrics)
        self._calls = Calls(self.evaluator, self.settings, self.metrics)
        routes = self._routes()
        inner = Starlette(routes=routes)
        for kind in (Refusal, BusyError, UnusableError):
            inner.add_exception_handler(kind, _refused)
        inner.add_exception_handler(HTTPException, _http_refused)
        inner.add_exception_handler(Exception, _failed)
        paths = [str(getattr(route, "path", "")) for route in routes]
        self._gate = gate = Gate(inner, self.settings, self.metrics, paths)
        if not self.settings.origins:
            return gate
        return CORSMiddleware(
            gate,
            allow_origins=self.settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Accept"],
            expose_headers=["Retry-After"],
        )

    async def drain(self) -> None:
        """Told to stop: live calls end with their summaries, and what balances load is told to ask others."""
        self._closing = True
        await self._calls.drain(self.settings.drain)

    @property
    def served(self) -> tuple[int, int]:
        """Requests that were taken, and those that were answered to the last byte."""
        return self._gate.taken, self._gate.answered

    # --- routes ------------------------------------------------------------------------------------------------------

    def _routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._page),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics_text),
            Route("/openapi.json", self._document),
            Route("/v1/models", self._models),
            Route("/v1/evaluate", self._evaluate, methods=["POST"]),
            Route("/v1/compare", self._compare, methods=["POST"]),
            Route("/v1/rank", self._rank, methods=["POST"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            WebSocketRoute("/v1/stream", self._calls.serve),
        ]

    async def _page(self, request: Request) -> Response:
        text, policy = _page()
        return Response(text, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})

    async def _health(self, request: Request) -> Response:
        return _answer({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        if self._closing or self.evaluator.activity().stopped:
            raise not_now("the server is closing: ask another")
        return _answer({"status": "ready"})

    async def _metrics_text(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _document(self, request: Request) -> Response:
        return _answer(document())

    async def _models(self, request: Request) -> Response:
        facts = self.evaluator.info()
        row = {"id": facts["model"], "object": "model", "created": 0, "owned_by": "sqe-fast", **facts}
        return _answer({"object": "list", "data": [row]})

    async def _chat(self, request: Request) -> Response:
        return await chat.complete(request, self._raters)

    async def _evaluate(self, request: Request) -> Response:
        if NDJSON in request.headers.get("accept", ""):
            return await self._rows_as_done(request)
        return await self._rows(request)

    async def _rows(self, request: Request) -> Response:
        async with intake.evaluation(request, self.settings) as asked:
            found = sorted([each async for each in self._raters.evaluate(asked)], key=lambda each: each[0])
        rows = [row for place, evaluations in found for row in rows_of(place, evaluations, asked.choices)]
        return _answer(
            {"model": self.evaluator.model, "rows": rows}, _status([row for _, each in found for row in each])
        )

    async def _rows_as_done(self, request: Request) -> Response:
        opening = intake.evaluation(request, self.settings)
        asked = await opening.__aenter__()  # before the answer begins: what is wrong with the request is a refusal

        async def lines() -> AsyncIterator[bytes]:
            try:
                async for line in self._lines(asked):
                    yield line
            finally:
                await opening.__aexit__(None, None, None)

        return StreamingResponse(lines(), media_type=NDJSON)

    async def _lines(self, asked: Asked[RatingChoices]) -> AsyncIterator[bytes]:
        try:
            async for place, evaluations in self._raters.evaluate(asked):
                yield b"".join(jsonl_line(row) for row in rows_of(place, evaluations, asked.choices))
        except Exception as error:  # noqa: BLE001 (the answer has begun: it can but say how it ends)
            yield jsonl_line({"error": refusal_for(error).row})

    async def _compare(self, request: Request) -> Response:
        async with intake.comparison(request, self.settings) as asked:
            found = await self._raters.compare(asked)
        return _answer(found.to_row(), _status([found.a, found.b]))

    async def _rank(self, request: Request) -> Response:
        async with intake.ranking(request, self.settings) as asked:
            found = await self._raters.rank(asked)
        rows = [each.to_row() | {"source": each.evaluation.source} for each in found]
        return _answer({"model": self.evaluator.model, "rows": rows}, _status([each.evaluation for each in found]))


def run(evaluator: Evaluator, settings: Settings, ready: Callable[[str], None]) -> tuple[int, int]:
    """Serve until SIGINT or SIGTERM; `ready` is told the address once it is listened to. Returns how many requests were
    taken, and how many answered. Raises UnusableError where the address cannot be had."""
    listener = connections.bound(settings)
    service = Service(evaluator, settings)
    url = connections.url_of(listener, settings)
    try:
        connections.run(connections.server_of(service.app, settings, lambda: ready(url), service.drain), listener)
        return service.served
    finally:
        listener.close()


# --- answers ---------------------------------------------------------------------------------------------------------


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")


def _status(rows: list[Evaluation]) -> int:
    errors = [row.error for row in rows if row.error is not None]
    return status_of(errors[0]) if len(errors) == len(rows) else 200


async def _refused(request: Request, error: Exception) -> Response:
    refusal = refusal_for(error)
    return Response(refusal.body, refusal.status, refusal.headers)


async def _http_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, message = {
        404: ("no_such_route", "there is no such route: see /openapi.json"),
        405: ("method_not_allowed", "this route has another method: see /openapi.json"),
    }.get(error.status_code, ("invalid", str(error.detail)[:1_000]))
    refusal = Refusal(error.status_code, code, message)
    return Response(refusal.body, refusal.status, {**refusal.headers, **(error.headers or {})})


async def _failed(request: Request, error: Exception) -> Response:
    refusal = internal()  # it is raised again behind this, and logged by the gate
    return Response(refusal.body, refusal.status, refusal.headers)


# --- the page ------------------------------------------------------------------------------------------------------


def _page() -> tuple[str, str]:
    """The page, and a policy under which a browser runs its own script and no other, and asks this server alone."""
    text = files("sqe_fast.server").joinpath("page.html").read_text("utf-8")
    hashes = {
        tag: " ".join(
            f"'sha256-{b64encode(hashlib.sha256(each.encode()).digest()).decode()}'"
            for each in re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        )
        for tag in ("script", "style")
    }
    policy = (
        f"default-src 'none'; script-src {hashes['script']} blob:; style-src {hashes['style']}; connect-src 'self'; "
        "img-src data: blob:; media-src blob:; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy
