"""OpenAI's chat completions, for clients that speak nothing else: a clip is rated, of two the better one is named.

What is asked in words is not read: the model does two things, and how many clips came says which. The clips are those
of the last message that has any.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sqe_fast.answer.sentences import label
from sqe_fast.errors import ClipError
from sqe_fast.results import DIMENSIONS, Comparison, Evaluation, Flag
from sqe_fast.server.gate import refusal_for
from sqe_fast.server.intake import Asked, Clip, explained, json_of
from sqe_fast.server.rating import Raters
from sqe_fast.server.refusals import Refusal, refusal_of
from sqe_fast.server.schemas import ChatRequest, ComparisonChoices, RatingChoices, Recording

MOST_CLIPS = 2


@dataclass(frozen=True)
class _Said:
    """An answer in words, and what it was made of."""

    text: str
    row: dict[str, Any] = field(default_factory=dict)


async def complete(request: Request, raters: Raters) -> Response:
    """Raises Refusal."""
    chat = await json_of(request, ChatRequest)
    _check(chat, raters.evaluator.model)
    clips = _clips(chat.messages)
    as_json = _wants_json(chat.response_format)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": raters.evaluator.model,
    }
    if chat.stream:
        parts = _parts(raters, clips, as_json)
        first = await anext(parts)  # before it no answer has begun: what is wrong with the clips is a refusal
        return StreamingResponse(_chunks(head, first, parts), media_type="text/event-stream")
    said = await _answer(raters, clips)
    message = {"role": "assistant", "content": json.dumps(said.row) if as_json else said.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = {**head, "object": "chat.completion", "choices": [choice], "result": said.row}
    return Response(json.dumps(body), media_type="application/json")


# --- what is asked ---------------------------------------------------------------------------------------------------


def _check(chat: ChatRequest, model: str) -> None:
    if chat.model not in (None, model, model.partition("@")[0]):
        raise Refusal(404, "model_not_found", f"this server has one model: {model}")
    if chat.n not in (None, 1):
        raise Refusal(400, "unsupported", "n: there is one answer to a question")
    if chat.tools:
        raise Refusal(400, "unsupported", "tools: this model calls none")
    if chat.modalities and chat.modalities != ["text"]:
        raise Refusal(400, "unsupported", "modalities: this model answers in text")


def _wants_json(form: dict[str, Any] | None) -> bool:
    kind = "text" if form is None else form.get("type")
    if kind not in ("text", "json_object"):
        raise Refusal(400, "unsupported", "response_format: text, or json_object for the row as /v1/evaluate has it")
    return kind == "json_object"


def _clips(messages: Sequence[dict[str, Any]]) -> list[Clip]:
    for message in reversed(messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        audio = [part for part in parts if isinstance(part, dict) and part.get("type") == "input_audio"]
        if audio:
            return [_clip(number, part) for number, part in enumerate(audio)]
    raise Refusal(
        400, "no_audio", 'send one clip or two as parts of a message: {"type": "input_audio", "input_audio": …}'
    )


def _clip(number: int, part: dict[str, Any]) -> Clip:
    if number >= MOST_CLIPS:
        raise Refusal(
            400, "too_many_clips", f"a question is about one clip, or {MOST_CLIPS}: ask /v1/evaluate about more"
        )
    sent = part.get("input_audio")
    data = sent.get("data") if isinstance(sent, dict) else None
    try:
        recording = Recording.model_validate({"data": data})
    except ValidationError as error:
        raise Refusal(400, "invalid", f"input_audio: {explained(error)}") from error
    assert recording.data is not None
    return Clip(f"clip {'AB'[number]}", recording.data)


# --- what is answered ------------------------------------------------------------------------------------------------


async def _answer(raters: Raters, clips: list[Clip], *, describe: bool = True) -> _Said:
    if len(clips) == 1:
        rows = await _evaluated(raters, clips, describe=describe)
        return _Said(_rated(rows), {"rows": [row.to_row() for row in rows]})
    comparison = await raters.compare(Asked(clips, ComparisonChoices(describe=describe)))
    for error in (comparison.a.error, comparison.b.error, comparison.error):
        _raise(error)
    return _Said(_compared(comparison), comparison.to_row())


async def _evaluated(raters: Raters, clips: list[Clip], *, describe: bool) -> list[Evaluation]:
    rows = [row async for _, found in raters.evaluate(Asked(clips, RatingChoices(describe=describe))) for row in found]
    for row in rows:
        _raise(row.error)
    return rows


def _raise(error: ClipError | None) -> None:
    if error is not None:
        raise refusal_of(error)


def _rated(rows: Sequence[Evaluation]) -> str:
    if len(rows) == 1:
        return _about(rows[0])
    return "\n\n".join(f"Channel {row.channel}: {_about(row)}" for row in rows)


def _about(row: Evaluation) -> str:
    """Ratings first: a reader that stops has read them."""
    if row.ratings is None:
        silent = Flag.SILENT.value in row.flags
        return "The recording is silent: there is nothing to rate." if silent else "The recording was not rated."
    ratings = ", ".join(f"{name} {row.ratings[name]:.1f}" for name in DIMENSIONS)
    said = [f"MOS {row.ratings.mos:.1f} of 5 ({label(row.ratings.mos)}); {ratings}."]
    if row.causes:
        said.append(f"Causes: {', '.join(f'{cause.name} ({cause.probability:.0%})' for cause in row.causes)}.")
    if row.description:
        said.append(row.description)
    return " ".join(said)


def _compared(comparison: Comparison) -> str:
    if comparison.description is not None:
        return comparison.description
    if comparison.winner is None:
        return "There is no verdict: a clip was not rated."
    return "Neither is better." if comparison.winner == "tie" else f"Speech {comparison.winner} is better."


# --- piece by piece --------------------------------------------------------------------------------------------------


async def _parts(raters: Raters, clips: list[Clip], as_json: bool) -> AsyncIterator[str]:
    """The answer's text as it is known: of a clip the ratings come before the words."""
    begun = ""
    if len(clips) == 1 and not as_json:
        begun = (await _answer(raters, clips, describe=False)).text
        yield begun
    said = await _answer(raters, clips)
    whole = json.dumps(said.row) if as_json else said.text
    yield whole.removeprefix(begun)


async def _chunks(head: dict[str, Any], first: str, parts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": first})
    try:
        async for part in parts:
            if part:
                yield chunk({"content": part})
    except Exception as error:  # noqa: BLE001 (the answer has begun: it can but say how it ends)
        yield _event({"error": refusal_for(error).row})
        return
    yield chunk({}, "stop")
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
