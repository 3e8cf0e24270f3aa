"""What is not done, and why: one form for all answers that are no result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqe_fast.errors import ClipError, ErrorCode


class Refusal(Exception):
    """Ends a request with this status. `message` says what to do; no path of this machine and no trace is in it."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    @property
    def body(self) -> bytes:
        return json.dumps({"error": self.row}).encode()

    @property
    def row(self) -> dict[str, Any]:
        """OpenAI's clients read `type` and `param`, too."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"code": self.code, "message": self.message, "type": kind, "param": None}


STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.TOO_LONG: 413,
    ErrorCode.GENERATION_FAILED: 500,
    ErrorCode.TOO_LATE: 503,
    ErrorCode.STREAM_FAILED: 500,
}
"""Of an answer that is about one thing which could not be rated; 422 for the others."""


def refusal_of(error: ClipError) -> Refusal:
    return Refusal(status_of(error), error.code.value, error.message)


def status_of(error: ClipError) -> int:
    return STATUS.get(error.code, 422)


def not_now(message: str = "the server is closing or overloaded: ask again") -> Refusal:
    return Refusal(503, "unavailable", message, retry_after=5)


def internal() -> Refusal:
    return Refusal(
        500, "internal", "something went wrong here, which is not your request's fault: the server's log has it"
    )
