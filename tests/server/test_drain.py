"""`sqe serve` as a process: it is told to stop while it works, and what it has begun is done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.fake_evaluator import wait_until
from tests.support.live_calls import noise
from tests.support.servers import SECONDS

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIPS = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.flac"))]


@contextmanager
def serve(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its address."""
    command = [sys.executable, "-m", "sqe_fast", "serve", "--port", "0", "--threads", "1", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            assert found, said + process.stderr.read()
            yield process, found.group()
        finally:
            process.kill()


def test_sigterm_under_load_loses_no_request() -> None:
    """Of each request that the server took, the whole answer came. Which it took, it counts itself."""
    whole, begun = list[int](), list[str]()
    stop, lock = threading.Event(), threading.Lock()

    def ask(url: str, number: int) -> None:
        with httpx2.Client(base_url=url, timeout=SECONDS) as client:
            while not stop.is_set():
                sent = [("file", ("x.flac", CLIPS[number % len(CLIPS)]))]
                try:
                    answer = client.post("v1/evaluate", files=sent, data={"describe": "false"})
                except (httpx2.ConnectError, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError) as error:
                    with lock:
                        begun.append(type(error).__name__)
                    return  # no answer began: it was not taken
                assert answer.status_code == 200
                assert answer.json()["rows"][0]["mos"] is not None
                with lock:
                    whole.append(number)

    with serve() as (process, url):
        threads = [threading.Thread(target=ask, args=(url, number)) for number in range(12)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(whole) >= 12, SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
        assert process.stderr is not None
        said = process.stderr.read()
    found = re.search(r"(\d+) requests were taken and (\d+) answered", said)
    assert found, said
    assert int(found.group(1)) == int(found.group(2)) == len(whole)


def test_sigterm_ends_calls_with_their_summaries() -> None:
    with serve() as (process, url), connect(url.replace("http", "ws") + "v1/stream") as call:
        call.send(json.dumps({"rate": 16_000}))
        call.send((noise(3.0) * 32_767).astype("<i2").tobytes())
        process.send_signal(signal.SIGTERM)
        events = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                events.append(json.loads(call.recv(SECONDS)))
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, events[-1]["event"]) == (1012, "summary")
        assert process.wait(SECONDS) == 0


def test_what_takes_too_long_is_cut_off() -> None:
    """A server that never ends, for a client that sends nothing."""
    with serve("--drain", "1") as (process, url):
        with httpx2.Client(base_url=url) as client, client.stream("GET", "healthz"):
            pass
        slow = connect(url.replace("http", "ws") + "v1/stream")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        slow.socket.close()


def test_a_port_that_is_taken_is_an_error() -> None:
    with serve() as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        again = subprocess.run(
            [sys.executable, "-m", "sqe_fast", "serve", "--port", port], capture_output=True, text=True, timeout=120
        )
    assert again.returncode == 3
    assert "cannot listen on 127.0.0.1" in again.stderr
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--token", "x"], "8 printable"),
        (["--cors", "example.com"], "origin"),
        (["--certificate", os.devnull], "certificate"),
    ],
)
def test_wrong_usage(options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sqe_fast", "serve", *options], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert said in done.stderr
