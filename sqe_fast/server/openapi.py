"""The OpenAPI document, made of what requests are checked by."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel

from sqe_fast import __version__
from sqe_fast.server import schemas

NDJSON = "application/x-ndjson"
REFUSED = (400, 401, 403, 408, 413, 415, 422, 429, 503)
ABOUT = """Speech quality, rated and explained. A live call is a WebSocket at /v1/stream: its first message is a
CallFormat, then audio goes one way and events the other; docs/serve.md has them."""
_REF = "#/components/schemas/{model}"

Json = dict[str, Any]


@cache
def document() -> Json:
    evaluate = _post(
        "Rate recordings",
        "With `Accept: application/x-ndjson` a row a line, as they are done; else all of them in their order. Where "
        "none could be rated, the status is that of the first one's error.",
        schemas.EvaluateRequest,
        schemas.RatingChoices,
        {"files": {"type": "array", "items": _FILE}},
    )
    evaluate["responses"]["200"] = _told(schemas.Rows)
    evaluate["responses"]["200"]["content"][NDJSON] = {"schema": _ref(schemas.SourceRow)}
    compare = _post(
        "Which of two recordings sounds better, and why",
        "",
        schemas.CompareRequest,
        schemas.ComparisonChoices,
        {"a": _FILE, "b": _FILE},
    )
    compare["responses"]["200"] = _told(schemas.ComparisonRow)
    rank = _post(
        "Recordings, the best one first",
        "",
        schemas.RankRequest,
        schemas.RankingChoices,
        {"files": {"type": "array", "items": _FILE}},
    )
    rank["responses"]["200"] = _told(schemas.Ranking)
    chat = _post(
        "As OpenAI's clients ask",
        "One `input_audio` part is rated, of two the better one is named. With `stream` the answer comes in pieces.",
        schemas.ChatRequest,
    )
    chat["responses"]["200"] = {"description": "A chat completion, or its pieces as events", "content": _JSON}
    return {
        "openapi": "3.1.0",
        "info": {"title": "sqe-fast", "version": __version__, "description": " ".join(ABOUT.split())},
        "paths": {
            "/v1/evaluate": {"post": evaluate},
            "/v1/compare": {"post": compare},
            "/v1/rank": {"post": rank},
            "/v1/chat/completions": {"post": chat},
            "/v1/models": {"get": _get("The model that is served")},
            "/healthz": {"get": _get("The process lives")},
            "/readyz": {"get": _get("It takes requests") | {"responses": {"200": _OK, "503": _told(schemas.Refused)}}},
            "/metrics": {"get": _get("For Prometheus")},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


_FILE: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
_JSON: Json = {"application/json": {"schema": {"type": "object"}}}
_OK: Json = {"description": "OK"}


def _get(summary: str) -> Json:
    return {"summary": summary, "responses": {"200": _OK}}


def _post(
    summary: str,
    description: str,
    body: type[BaseModel],
    choices: type[BaseModel] | None = None,
    files: Json | None = None,
) -> Json:
    content: Json = {"application/json": {"schema": _ref(body)}}
    if choices is not None and files is not None:
        fields = files | choices.model_json_schema()["properties"]
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": fields, "required": list(files)}}
    return {
        "summary": summary,
        "description": description,
        "requestBody": {"required": True, "content": content},
        "responses": {str(status): _told(schemas.Refused) for status in REFUSED},
    }


def _told(model: type[BaseModel]) -> Json:
    return {"description": model.__name__, "content": {"application/json": {"schema": _ref(model)}}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas() -> Json:
    found: Json = {}
    for model in (
        schemas.EvaluateRequest,
        schemas.CompareRequest,
        schemas.RankRequest,
        schemas.ChatRequest,
        schemas.CallFormat,
        schemas.Rows,
        schemas.ComparisonRow,
        schemas.Ranking,
        schemas.Refused,
    ):
        schema = model.model_json_schema(ref_template=_REF)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found
