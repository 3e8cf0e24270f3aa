"""Who may ask, and how much: each refusal has its status, in one form, and costs nobody else anything."""

from __future__ import annotations

import json
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sqe_fast.audio import Limits
from sqe_fast.evaluator import Evaluator
from sqe_fast.server import schemas
from sqe_fast.server.settings import Settings
from tests.server.test_app import parts
from tests.support.fake_evaluator import MODEL, PROMPTS, fake_evaluator, fake_runner, wait_until
from tests.support.servers import SECONDS, Running, serving

TOKEN = "a-token-of-some-length"


def refusal(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status
    schemas.Refused.model_validate(answer.json())
    return str(answer.json()["error"]["code"])


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with fake_evaluator() as evaluator, serving(evaluator) as running:
        yield running


# --- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "sqe.example.com"])
def test_only_loopback_goes_without_a_token(host: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Settings(host=host)
    Settings(host=host, token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_loopback_does(host: str) -> None:
    Settings(host=host)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "short"},
        {"token": "with a space in it"},
        {"token": "tökenökenök"},
        {"port": 70_000},
        {"max_body": 0},
        {"patience": 0.0},
        {"origins": ("qa.example.com",)},
        {"origins": ("https://qa.example.com/page",)},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"token|port|above|origin"):
        Settings(**wrong)


def test_a_token_is_asked_for_everywhere_but_where_nothing_is_told() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, token=TOKEN) as server:
        with server.client() as client:
            for path in ("v1/models", "metrics", "nowhere"):
                answer = client.get(path)
                assert refusal(answer, 401) == "unauthorized"
                assert answer.headers["www-authenticate"] == "Bearer"
            assert refusal(client.post("v1/evaluate", files=parts(1)), 401) == "unauthorized"
            for path in ("", "healthz", "readyz", "openapi.json"):
                assert client.get(path).status_code == 200
        for shown in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer ü", f"Basic {TOKEN}", TOKEN):
            with server.client() as client:
                answer = client.get("v1/models", headers={b"Authorization": shown.encode()})
                assert refusal(answer, 401) == "unauthorized"
        for shown in (f"Bearer {TOKEN}", f"bearer  {TOKEN}"):
            with server.client(Authorization=shown) as client:
                assert client.get("v1/models").status_code == 200


def test_a_browser_shows_the_token_as_a_subprotocol() -> None:
    def protocols(token: str) -> list[Any]:
        return ["sqe", "bearer." + urlsafe_b64encode(token.encode()).decode().rstrip("=")]

    with fake_evaluator() as evaluator, serving(evaluator, token=TOKEN) as server:
        with connect(server.live, subprotocols=protocols(TOKEN)) as call:
            assert call.subprotocol == "sqe"
        with connect(server.live, additional_headers={"Authorization": f"Bearer {TOKEN}"}):
            pass
        for wrong in (None, protocols("another-token"), ["sqe", "bearer.%%%"]):
            with pytest.raises(InvalidStatus) as refused, connect(server.live, subprotocols=wrong):
                pass
            assert refused.value.response.status_code == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example.com"}, "unknown_host"),
        ({"Host": "evil.example.com:8000"}, "unknown_host"),
        ({"Host": ""}, "unknown_host"),
        ({"Origin": "https://evil.example.com"}, "unknown_origin"),
        ({"Origin": "null"}, "unknown_origin"),
    ],
)
def test_pages_of_others_do_not_ask(server: Running, headers: dict[str, str], code: str) -> None:
    """A page in a browser on this machine, which reaches loopback: by its own name, or from its own origin."""
    with server.client(**headers) as client:
        assert refusal(client.post("v1/evaluate", files=parts(1)), 403) == code
    with pytest.raises(InvalidStatus) as refused, connect(server.live, additional_headers=headers):
        pass
    assert refused.value.response.status_code in (400, 403)


def test_its_own_page_does(server: Running) -> None:
    own = server.url.rstrip("/")
    with server.client(Origin=own) as client:
        assert client.post("v1/evaluate", files=parts(1)).status_code == 200
    with connect(server.live, additional_headers={"Origin": own}):
        pass


def test_other_origins_only_where_asked_for(server: Running) -> None:
    ask = {"Origin": "https://qa.example.com", "Access-Control-Request-Method": "POST"}
    with server.client() as client:
        assert "access-control-allow-origin" not in client.options("v1/evaluate", headers=ask).headers
    with fake_evaluator() as evaluator, serving(evaluator, origins=("https://qa.example.com",)) as other:
        with other.client() as client:
            asked = client.options("v1/evaluate", headers=ask)
            answer = client.post("v1/evaluate", files=parts(1), headers={"Origin": "https://qa.example.com"})
            evil = client.post("v1/evaluate", files=parts(1), headers={"Origin": "https://evil.example.com"})
        assert asked.headers["access-control-allow-origin"] == "https://qa.example.com"
        assert answer.headers["access-control-allow-origin"] == "https://qa.example.com"
        assert answer.status_code == 200
        assert refusal(evil, 403) == "unknown_origin"
        assert "access-control-allow-origin" not in evil.headers


# --- how much --------------------------------------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, max_body=100_000) as server, server.socket() as client:
        head = b"POST /v1/evaluate HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        client.sendall(head + b"Content-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b'"too_large"' in answer


def test_a_body_that_does_not_say_it_is_stopped_while_it_comes() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
        while sent < 3_000_000:
            sent += 10_000
            yield bytes(10_000)

    with fake_evaluator() as evaluator, serving(evaluator, max_body=500_000) as server, server.client() as client:
        answer = client.post(
            "v1/evaluate", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert refusal(answer, 413) == "too_large"
        assert client.post("v1/evaluate", files=parts(1)).status_code == 200
        wait_until(lambda: server.metric("sqe_held_bytes") == 0)


def test_too_much_audio_is_too_long() -> None:
    limited = Evaluator(fake_runner(), PROMPTS, model=MODEL, limits=Limits(max_seconds=2.0))
    with limited, serving(limited) as server, server.client() as client:
        answer = client.post("v1/evaluate", files=parts(1))
    assert answer.status_code == 413
    assert answer.json()["rows"][0]["error"]["code"] == "too_long"


def test_more_files_than_may_be(server: Running) -> None:
    with fake_evaluator() as evaluator, serving(evaluator, max_files=3) as small, small.client() as client:
        assert refusal(client.post("v1/evaluate", files=parts(1, 2, 3, 4)), 400) == "invalid"
        files = [{"data": "AAAA"}] * 4
        assert refusal(client.post("v1/evaluate", json={"files": files}), 413) == "too_many_files"
        assert client.post("v1/evaluate", files=parts(1, 2, 3)).status_code == 200


def test_one_request_too_many_is_told_to_come_again() -> None:
    runner, go = fake_runner(), threading.Event()
    runner.before_encoding = lambda: wait_until(go.is_set)
    with (
        fake_evaluator(runner) as evaluator,
        serving(evaluator, max_requests=2) as server,
        server.client() as client,
        ThreadPoolExecutor(2) as threads,
    ):
        under_way = [threads.submit(client.post, "v1/evaluate", files=parts(seed)) for seed in (1, 2)]
        wait_until(lambda: server.metric("sqe_requests_under_way") == 2)
        answer = client.post("v1/evaluate", files=parts(3))
        assert refusal(answer, 429) == "too_many_requests"
        assert int(answer.headers["retry-after"]) >= 1
        assert client.get("healthz").status_code == 200
        go.set()
        assert [each.result().status_code for each in under_way] == [200, 200]
        assert client.post("v1/evaluate", files=parts(3)).status_code == 200


def test_bytes_of_all_requests_are_bounded() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, max_held=300_000) as server:
        with server.socket() as slow:
            slow.sendall(
                b"POST /v1/evaluate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 400000\r\n\r\n" + bytes(250_000)
            )
            wait_until(lambda: server.metric("sqe_held_bytes") >= 250_000)
            with server.client() as client:
                answer = client.post("v1/evaluate", files=parts(1))
                assert refusal(answer, 429) == "too_many_bytes"
                assert answer.headers["retry-after"]
        wait_until(lambda: server.metric("sqe_held_bytes") == 0)
        with server.client() as client:
            assert client.post("v1/evaluate", files=parts(1)).status_code == 200


def test_what_takes_too_long_is_given_up() -> None:
    runner, go = fake_runner(), threading.Event()
    runner.before_encoding = lambda: wait_until(go.is_set)
    with fake_evaluator(runner) as evaluator, serving(evaluator, timeout=0.3) as server, server.client() as client:
        answer = client.post("v1/evaluate", files=parts(1))
        assert refusal(answer, 503) == "unavailable"
        wait_until(lambda: server.metric("sqe_requests_under_way") == 0)
        go.set()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz HT",
        b"POST /v1/evaluate HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_a_connection_that_says_nothing_more_is_closed(begun: bytes) -> None:
    with fake_evaluator() as evaluator, serving(evaluator, patience=0.3) as server, server.socket() as client:
        client.sendall(begun)
        with suppress(ConnectionResetError):
            assert client.recv(1_000) == b""


def test_a_body_that_stops_coming_is_refused() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, patience=0.3) as server, server.socket() as client:
        client.sendall(
            b"POST /v1/evaluate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 400\r\n\r\n{"
        )
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"
        wait_until(lambda: server.metric("sqe_requests_under_way") == 0)


def test_a_client_that_takes_nothing_is_let_go() -> None:
    """Answers that nobody reads, and with them a request for ever."""
    with fake_evaluator() as evaluator, serving(evaluator, patience=1.0) as server:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(SECONDS)
        with suppress(ConnectionError):  # let go before all is sent
            for _ in range(500):  # one after the other on a connection: more than all buffers between hold
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        wait_until(lambda: not server.server.server_state.connections, SECONDS)
        wait_until(lambda: not server.server.server_state.tasks, SECONDS)
        client.close()


# --- what is told ----------------------------------------------------------------------------------------------------


def test_what_breaks_inside_tells_nothing_of_the_inside(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret /srv/path")

    monkeypatch.setattr(server.service.evaluator, "info", broken)
    with server.client() as client:
        answer = client.get("v1/models")
        assert refusal(answer, 500) == "internal"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        monkeypatch.undo()
        assert client.get("v1/models").status_code == 200
