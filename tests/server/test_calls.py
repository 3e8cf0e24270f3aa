"""Live calls over a WebSocket: events are those of a stream in process; nothing that a client does grows or hangs."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sqe_fast.audio import SAMPLE_ENCODINGS
from sqe_fast.evaluator import Evaluator
from sqe_fast.server import calls
from tests.support.fake_evaluator import fake_evaluator, fake_runner, wait_until
from tests.support.live_calls import noise
from tests.support.servers import SECONDS, Running, serving

FORMAT = {"rate": 16_000, "window": 1.0, "hop": 1.0}


def pcm(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def called(server: Running, said: dict[str, Any] | str | bytes) -> ClientConnection:
    client = connect(server.live, close_timeout=SECONDS)
    client.send(json.dumps(said) if isinstance(said, dict) else said)
    return client


def rest(client: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """All events to the end, the closing code and its reason."""
    events = []
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            events.append(json.loads(client.recv(SECONDS)))
    assert closed.value.rcvd is not None, "it was cut off"
    return events, closed.value.rcvd.code, closed.value.rcvd.reason


def call(server: Running, samples: np.ndarray, piece: int = 3_201, **said: Any) -> list[dict[str, Any]]:
    """A whole call, in pieces that split samples."""
    with called(server, FORMAT | said) as client:
        data = pcm(samples)
        for start in range(0, len(data), piece):
            client.send(data[start : start + piece])
        client.send(json.dumps(calls.END))
        events, code, _ = rest(client)
    assert code == 1000
    return events


def in_process(evaluator: Evaluator, samples: np.ndarray, **said: Any) -> list[dict[str, Any]]:
    whole = np.frombuffer(pcm(samples), "<i2")
    with evaluator.stream(16_000, window=1.0, hop=1.0, deadline=1e6, **said) as stream:
        stream.push(whole.reshape(samples.shape))
    return [event.to_row() for event in stream.events()]


def windows(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What of an update does not depend on when it came."""
    return sorted(
        (event["channel"] or 0, event["start"], event["end"], json.dumps(event["ratings"]), json.dumps(event["causes"]))
        for event in events
        if event["event"] == "update"
    )


def test_events_are_those_of_a_stream(server: Running, evaluator: Evaluator) -> None:
    samples = noise(4.3)
    found, wanted = call(server, samples), in_process(evaluator, samples)
    assert windows(found) == windows(wanted)
    assert len(windows(found)) == 5
    assert found[-1] == wanted[-1]
    assert found[-1]["event"] == "summary"
    by_kind = {row["event"]: set(row) for row in wanted}
    assert all(set(row) == by_kind.get(row["event"], set(row)) for row in found)


def test_channels_each(server: Running, evaluator: Evaluator) -> None:
    both = np.stack([noise(2.0, seed=1), noise(2.0, seed=2)], 1)
    found = call(server, both, channels=2, each=True)
    assert windows(found) == windows(in_process(evaluator, both, channels="each"))
    mixed = call(server, both, channels=2)
    assert windows(mixed) == windows(in_process(evaluator, both))


@pytest.mark.parametrize("encoding", SAMPLE_ENCODINGS)
def test_every_encoding_that_comes_as_it_is(server: Running, encoding: str) -> None:
    with called(server, FORMAT | {"encoding": encoding}) as client:
        client.send(bytes(8_001))
        client.send(json.dumps(calls.END))
        events, code, _ = rest(client)
    assert (events[-1]["event"], code) == ("summary", 1000)


def test_calls_at_once_get_their_own(server: Running, evaluator: Evaluator) -> None:
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda seed: call(server, noise(3.0, seed=seed), describe=False), range(24)))
    for seed, events in enumerate(found):
        assert windows(events) == windows(in_process(evaluator, noise(3.0, seed=seed), describe=False))


def test_events_come_while_the_call_lasts(server: Running) -> None:
    with called(server, FORMAT) as client:
        client.send(pcm(noise(1.5)))
        assert json.loads(client.recv(SECONDS))["event"] == "update"
        client.send(json.dumps(calls.END))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", 1007),
        ("[]", 1007),
        ('"rate"', 1007),
        ({"rate": 7_999}, 1007),
        ({"rate": 48_001}, 1007),
        ({"rate": "fast"}, 1007),
        ({"rate": 16_000.5}, 1007),
        ({"channels": 3}, 1007),
        ({"encoding": "mp3"}, 1007),
        ({"encoding": "gsm"}, 1007),
        ({"window": 0.1}, 1007),
        ({"window": 31}, 1007),
        ({"hop": 0}, 1007),
        ({"hop": -1}, 1007),
        ({"unknown": 1}, 1007),
        ("[" * 100_000, 1007),
        (b"\0\0", 1003),
        (calls.END, 1007),
    ],
    ids=range(18),
)
def test_a_first_message_that_is_no_format(server: Running, said: Any, code: int) -> None:
    with called(server, said) as client:
        events, found, reason = rest(client)
    assert (events, found) == ([], code)
    assert reason


def test_text_among_the_audio_closes(server: Running) -> None:
    with called(server, FORMAT) as client:
        client.send(pcm(noise(0.5)))
        client.send("hello")
        _, code, reason = rest(client)
    assert code == 1003
    assert "bytes" in reason


def test_samples_that_are_none_close(server: Running) -> None:
    with called(server, FORMAT | {"encoding": "f32le"}) as client:
        client.send(np.full(1_600, np.nan, "<f4").tobytes())
        _, code, reason = rest(client)
    assert code == 1007
    assert "NaN" in reason


def test_a_message_that_is_too_long_closes(server: Running) -> None:
    with called(server, FORMAT) as client:
        client.send(bytes((1 << 20) + 2))
        _, code, _ = rest(client)
    assert code == 1009


def test_one_call_too_many_is_told_to_come_again() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, max_sessions=1) as server:
        with called(server, FORMAT) as first:
            first.send(pcm(noise(1.0)))
            first.recv(SECONDS)
            with pytest.raises(InvalidStatus) as refused, connect(server.live):
                pass
            assert refused.value.response.status_code == 429
            assert refused.value.response.headers["Retry-After"]
            first.send(json.dumps(calls.END))
            assert rest(first)[1] == 1000
        assert call(server, noise(1.0))[-1]["event"] == "summary"


def test_a_call_without_its_format_is_closed() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, patience=0.3) as server, connect(server.live) as client:
        assert rest(client)[1] == 1008


def test_a_call_without_audio_is_summed_up_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "QUIET", 1)
    with (
        fake_evaluator() as evaluator,
        serving(evaluator, patience=0.5) as server,
        called(server, FORMAT) as client,
    ):
        events, code, _ = rest(client)
    assert (events[-1]["event"], code) == ("summary", 1008)


def test_a_call_that_is_too_long_is_summed_up_and_closed() -> None:
    with fake_evaluator() as evaluator, serving(evaluator, max_seconds=2.0) as server, called(server, FORMAT) as client:
        for _ in range(30):
            client.send(pcm(noise(0.1)))
        events, code, _ = rest(client)
    assert (events[-1]["event"], code) == ("summary", 1008)
    assert 2.0 < events[-1]["duration"] < 3.1


def test_overload_drops_the_oldest_and_counts_them() -> None:
    """Memory that grows with what a client sends faster than it is heard."""
    runner, go = fake_runner(), threading.Event()
    runner.before_encoding = lambda: wait_until(go.is_set)
    with fake_evaluator(runner) as evaluator, serving(evaluator) as server, called(server, FORMAT) as client:
        for second in range(60):
            client.send(pcm(noise(1.0, seed=second)))
        wait_until(lambda: len(evaluator._calls().hub._sessions) == 1)
        [session] = evaluator._calls().hub._sessions
        wait_until(lambda: session.ring.frames == 60 * 16_000)
        assert session.ring._samples is not None
        assert session.ring._samples.nbytes == 30 * 16_000 * 4
        go.set()
        client.send(json.dumps(calls.END))
        events, code, _ = rest(client)
        [channel] = events[-1]["channels"]
        told = {outcome: channel[outcome] for outcome in ("rated", "without_speech", "dropped", "failed")}
        assert code == 1000
        assert sum(told.values()) == 60
        assert told["dropped"] > 0
        for outcome, count in told.items():
            wait_until(lambda o=outcome, n=count: server.metric("sqe_windows_total", outcome=o) == n)


def test_a_client_that_goes_away_leaves_nothing(server: Running, evaluator: Evaluator) -> None:
    client = called(server, FORMAT)
    client.send(pcm(noise(1.0)))
    client.recv(SECONDS)
    assert evaluator.activity().calls == 1
    client.socket.close()
    wait_until(lambda: evaluator.activity().calls == 0)


def test_the_end_of_the_server_ends_calls_with_their_summaries() -> None:
    with fake_evaluator() as evaluator, serving(evaluator) as server:
        clients = [called(server, FORMAT) for _ in range(4)]
        for seed, client in enumerate(clients):
            client.send(pcm(noise(2.0, seed=seed)))
            client.recv(SECONDS)
        server.stop()
        for client in clients:
            events, code, _ = rest(client)
            assert (events[-1]["event"], events[-1]["duration"], code) == ("summary", 2.0, 1012)
