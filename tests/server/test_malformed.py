"""200 requests that are none, of many kinds: each gets a 4xx or a clean close, and the server goes on."""

from __future__ import annotations

import base64
import json
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.server.test_app import clip, parts
from tests.support.fake_evaluator import fake_evaluator, wait_until
from tests.support.servers import Running, serving

PATIENCE = 0.5
HOST = b"Host: localhost\r\n"


def request(body: bytes, kind: bytes, path: bytes = b"/v1/evaluate", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = b"POST %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (path, HOST, kind, size)
    return head + body


def handshake(extra: bytes = b"", path: bytes = b"/v1/stream") -> bytes:
    return (
        b"GET %s HTTP/1.1\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n" % (path, HOST, extra)
    )


def frame(opcode: int, data: bytes, *, masked: bool = True, fin: bool = True, reserved: int = 0) -> bytes:
    size = len(data)
    first = (0x80 if fin else 0) | reserved | opcode
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + data


FORM = b"multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
CALL = frame(1, b'{"window": 1, "hop": 1}')


def garbled_heads() -> Iterator[bytes]:
    """What is no HTTP."""
    yield b"\0" * 1_000
    yield b"\r\n" * 3 + b"\xff\xfe\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)  # TLS
    yield b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"GET\r\n\r\n"
    yield b"GET /\r\n\r\n"
    yield b"GET / HTTP/9.9\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n\r\n"  # no host
    yield b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    yield b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET /%ff%fe%00 HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET http:// HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b"bad name: x\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b"x: \0\r\n\r\n"
    yield b"DELETE /v1/evaluate HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET /v1/evaluate HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
    yield b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"


def huge_heads() -> Iterator[bytes]:
    yield b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 1_000_000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"x%d: y\r\n" % n for n in range(20_000)) + b"\r\n"
    yield b"POST /v1/evaluate HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=" + b"b" * 60_000
    yield b"a" * 3_000_000
    yield handshake(b"x: " + b"a" * 200_000 + b"\r\n")


def lengths_that_lie() -> Iterator[bytes]:
    for length in (b"-1", b"abc", b"1e3", b"0x10", b"99999999999999999999", b"1, 2", b""):
        yield b"POST /v1/evaluate HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: " + length
        yield b"POST /v1/evaluate HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\n{}"
    yield b"POST /v1/evaluate HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
    yield b"POST /v1/evaluate HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"
    chunked = (
        b"POST /v1/evaluate HTTP/1.1\r\n"
        + HOST
        + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for body in (
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}",
        b"2\r\n{}x",
        b"fffffffffffffffffff\r\n",
        b"2\r\n{",
        b"0\r\nx: " + b"a" * 99_999,
    ):
        yield chunked + body
    yield request(b"{", b"application/json", length=100)
    yield request(FILE + b"abc", FORM, length=10_000)


def bad_forms() -> Iterator[bytes]:
    bodies = [
        b"",
        b"hello",
        b"--b",
        b"--b--\r\n",
        b"--c\r\n\r\n--c--\r\n",
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nbad header\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"x" * 100_000,
        FILE,
        FILE + clip(1),
        FILE + b"no sound\r\n--b--\r\n",
        FILE + b"\r\n--b--\r\n",
        FILE + b"RIFF\xff\xff\xff\xffWAVEfmt \r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%ff%fe\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * 100_000 + b"\r\n--b--\r\n",
        b"".join(b'--b\r\nContent-Disposition: form-data; name="x%d"\r\n\r\ny\r\n' % n for n in range(100))
        + b"--b--\r\n",
    ]
    for name, value in (
        (b"describe", b"maybe"),
        (b"timeline", b"2"),
        (b"window", b"NaN"),
        (b"window", b"5"),
        (b"hop", b"-1"),
        (b"channels", b"all"),
        (b"channels", b"-1"),
        (b"channels", b"1.5"),
        (b"raw", b"encoding=mp3"),
        (b"raw", b"rate=x"),
        (b"model", b"other"),
    ):
        field = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, value)
        bodies.append(field + FILE + clip(1) + b"\r\n--b--\r\n")
    for body in bodies:
        yield request(body, FORM)
    for kind in (
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/mixed; boundary=b",
        b"application/x-www-form-urlencoded",
        b"text/plain",
        b"audio/wav",
        b"\xff\xfe",
        b"",
    ):
        yield request(FILE + clip(1) + b"\r\n--b--\r\n", kind)
    yield request(FILE + clip(1) + b"\r\n--b--\r\n", FORM, b"/v1/compare")
    yield request(FILE + clip(1) + b"\r\n--b--\r\n", FORM, b"/v1/chat/completions")


def bad_json() -> Iterator[bytes]:
    sound = base64.b64encode(clip(1)).decode()
    good = {"files": [{"data": sound}]}
    texts: list[bytes] = [
        b"", b"{", b"nul", b"[]", b'"x"', b"1", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 200_000,
        b'{"a":' * 50_000,
        b'{"files": []}', b'{"files": {}}', b'{"files": [1]}', b'{"files": [{}]}', b'{"files": [{"data": 1}]}',
        b'{"files": [{"data": "%%%"}]}', b'{"files": [{"data": ""}]}', b'{"files": [{"data": "QQ"}]}',
        b'{"files": [{"data": "QUJD", "path": "x"}]}', b'{"files": [{"path": "x"}]}', b'{"files": [{"path": 1}]}',
        b'{"files": [{"data": "QUJD", "url": "http://example.com/x.wav"}]}', b'{"files": [{"data": "QUJD"}]}',
        b'{"files": [{"data": "\\ud800"}]}', b'{"files": [{"data": null}]}', b'{"files": null}',
    ]  # fmt: skip
    for wrong in (
        {"describe": "maybe"},
        {"describe": None},
        {"channels": "all"},
        {"channels": []},
        {"channels": 1e30},
        {"timeline": True, "window": 1e308},
        {"timeline": True, "hop": 0},
        {"window": 5},
        {"raw": 5},
        {"raw": "rate=-1"},
        {"unknown": 1},
    ):
        texts.append(json.dumps(good | wrong).encode())
    for text in texts:
        yield request(text, b"application/json")
    for text in (b"{}", b'{"a": {"data": "QUJD"}}', b'{"a": 1, "b": 2}'):
        yield request(text, b"application/json", b"/v1/compare")
    both = {"a": {"data": sound}, "b": {"data": sound}, "channels": "each"}
    yield request(json.dumps(both).encode(), b"application/json", b"/v1/compare")
    for text in (
        b"{}",
        b'{"messages": 1}',
        b'{"messages": [1]}',
        b'{"messages": [{"content": [{"type": "input_audio"}]}]}',
        b'{"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": 5}}]}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "stream": true}',
    ):
        yield request(text, b"application/json", b"/v1/chat/completions")
    yield request(b"{}", b"application/json", b"/v1/rank")


def broken_calls() -> Iterator[bytes]:
    yield handshake().replace(b"13", b"99")
    yield handshake().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short")
    yield handshake().replace(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n")
    yield handshake(path=b"/v1/evaluate")
    yield handshake(path=b"/nowhere")
    yield handshake(b"Origin: https://evil.example.com\r\n")
    yield b"GET /v1/stream HTTP/1.1\r\n" + HOST + b"\r\n"
    yield handshake()  # and then nothing
    hello = handshake()
    for data in (
        frame(2, bytes(100)),  # audio before its format
        frame(1, b"{"),
        frame(1, b"\xff\xfe"),
        frame(1, b'{"rate": 1}'),
        frame(1, b"[" * 60_000),
        CALL + frame(1, b"text among the audio"),
        CALL + frame(1, b"\xff\xfe"),
        CALL + frame(1, b'{"type": "other"}'),
        CALL + frame(2, bytes(2_000_000)),
        CALL + frame(2, bytes(100), masked=False),
        CALL + frame(2, bytes(100), reserved=0x40),
        CALL + frame(3, b"reserved"),
        CALL + frame(11, b"reserved"),
        CALL + frame(0, b"goes on with nothing"),
        CALL + frame(9, bytes(200)),  # a control frame that is too long
        CALL + frame(9, b"x", fin=False),
        CALL + frame(8, b"\x01"),
        CALL + frame(8, struct.pack("!H", 99)),
        CALL + frame(8, struct.pack("!H", 1000) + b"\xff"),
        CALL + frame(2, bytes(100), fin=False) + frame(2, bytes(100)),
        CALL + bytes([0x82, 0xFF]) + struct.pack("!Q", 1 << 63),
        CALL + bytes([0x82, 0xFE]),  # half a head
        CALL + frame(2, bytes(1_000))[:500],
        b"\0" * 5_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        yield hello + data


def noise() -> Iterator[bytes]:
    """Good requests with some of their bytes changed."""
    good = [
        request(FILE + clip(1)[:2_000] + b"\r\n--b--\r\n", FORM),
        request(b'{"files": [{"data": "UklGRg=="}]}', b"application/json"),
        handshake() + CALL + frame(2, bytes(3_200)),
    ]
    rng = random.Random(0)
    for number in range(48):
        data = bytearray(good[number % len(good)])
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(len(data), 300))] = rng.randrange(256)
        yield bytes(data)


KINDS = {
    kind.__name__: list(kind())
    for kind in (garbled_heads, huge_heads, lengths_that_lie, bad_forms, bad_json, broken_calls, noise)
}


def answered(server: Running, data: bytes) -> bytes:
    """All that comes back to the end of the connection, which must come."""
    with server.socket() as client:
        with suppress(ConnectionError):
            client.sendall(data)
        got = b""
        with suppress(ConnectionError):
            while piece := client.recv(65_536):
                got += piece
                if done(got):
                    break
        return got


def done(got: bytes) -> bool:
    """A whole answer to a request whose connection lives on, or the closing frame of a call."""
    head, found, body = got.partition(b"\r\n\r\n")
    if not found or head.startswith(b"HTTP/1.1 101"):
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def status(got: bytes) -> int:
    return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else 0


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with fake_evaluator() as evaluator, serving(evaluator, patience=PATIENCE, max_body=5_000_000) as running:
        yield running


def test_there_are_as_many_as_it_says() -> None:
    assert sum(map(len, KINDS.values())) >= 200


@pytest.mark.parametrize("kind", KINDS)
def test_malformed(server: Running, kind: str) -> None:
    for number, data in enumerate(KINDS[kind]):
        got = answered(server, data)
        where = f"{kind} {number}: {data[:200]!r} got {got[:300]!r}"
        code = status(got)
        if kind == "noise":  # some of them are still right
            assert code == 0 or code == 101 or 200 <= code < 500, where
        else:
            assert code in (0, 101) or 400 <= code < 500 or code == 501, where
        assert code != 0 or not got, where
        assert b"Traceback" not in got, where
        assert b"sqe_fast/" not in got, where
    with server.client() as client:
        assert client.post("v1/evaluate", files=parts(1)).status_code == 200
    wait_until(lambda: server.metric("sqe_requests_under_way") == 0)
    wait_until(lambda: server.metric("sqe_held_bytes") == 0)
    wait_until(lambda: server.service.evaluator.activity().calls == 0)


def test_a_caller_that_stops_reading_is_let_go(server: Running) -> None:
    """Events pile up behind a client that takes none: the oldest make place, and the connection is closed."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    client.connect(("127.0.0.1", server.port))
    client.sendall(handshake() + frame(1, b'{"window": 0.4, "hop": 0.01, "describe": false}'))
    with suppress(ConnectionError):
        for _ in range(3_000):
            client.sendall(frame(2, random.Random(0).randbytes(6_400)))
    wait_until(lambda: server.service.evaluator.activity().calls == 0, 60)
    client.close()
