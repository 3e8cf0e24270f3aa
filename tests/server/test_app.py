"""The routes, over real sockets: what comes back is what the evaluator says in process, whoever else asks."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sqe_fast import Timeline
from sqe_fast.evaluator import Evaluator
from sqe_fast.server import schemas
from tests.support.fake_evaluator import MODEL, fake_evaluator, fake_runner, sound, wait_until
from tests.support.servers import Running, serving, wav

EXAMPLES = Path(__file__).parents[2] / "examples"
NDJSON = {"Accept": "application/x-ndjson"}


def clip(seed: int, seconds: float = 2.5) -> bytes:
    return wav(*sound(seed, seconds))


def parts(*seeds: int) -> list[tuple[str, Any]]:
    return [("file", (f"{seed}.wav", clip(seed))) for seed in seeds]


def own(evaluator: Evaluator, *seeds: int, **choices: Any) -> list[dict[str, Any]]:
    """What the server's rows are to be."""
    found = evaluator.evaluate([clip(seed) for seed in seeds], **choices)
    windows = "timeline" in choices
    rows = [
        (each.source, row | {"file": f"{seeds[each.source or 0]}.wav"})
        for each in found
        for row in (each.to_rows() if windows else [each.to_row()])
    ]
    return [row | {"source": place} for place, row in rows]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_evaluator(server: Running, evaluator: Evaluator) -> None:
    with server.client() as client:
        answer = client.post("v1/evaluate", files=parts(1, 2, 3))
    assert answer.status_code == 200
    assert answer.json() == {"model": MODEL, "rows": own(evaluator, 1, 2, 3)}
    schemas.Rows.model_validate(answer.json())


def test_lines_come_one_by_one_and_say_whose_they_are(server: Running, evaluator: Evaluator) -> None:
    """The row of a recording that waits for a slower one."""
    with server.client() as client:
        answer = client.post("v1/evaluate", files=parts(1, 2, 3), headers=NDJSON)
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert sorted(rows, key=lambda row: row["source"]) == own(evaluator, 1, 2, 3)


def test_a_line_is_there_before_the_last_recording_is_rated() -> None:
    runner = fake_runner(slots=2)  # one of them is kept for alerts: the second waits until the first is done
    go = threading.Event()
    runner.before_encoding = lambda: wait_until(lambda: go.is_set() or not runner.encoded)
    with (
        fake_evaluator(runner) as evaluator,
        serving(evaluator) as server,
        server.client() as client,
        client.stream("POST", "v1/evaluate", files=parts(1, 2), headers=NDJSON) as answer,
    ):
        lines = answer.iter_lines()
        first = json.loads(next(lines))
        assert first["mos"] is not None
        go.set()
        assert {first["source"], json.loads(next(lines))["source"]} == {0, 1}


def test_choices_reach_the_evaluator(server: Running, evaluator: Evaluator) -> None:
    choices = {"describe": "false", "timeline": "true", "window": "1", "hop": "0.5"}
    with server.client() as client:
        answer = client.post("v1/evaluate", files=parts(4), data=choices).json()
        raw = client.post(
            "v1/evaluate",
            files={"file": ("x.ul", bytes(range(256)) * 64)},
            data={"raw": "rate=8000,encoding=mulaw,channels=2", "channels": "1", "describe": "false"},
        ).json()
    assert answer["rows"] == own(evaluator, 4, describe=False, timeline=Timeline(1.0, 0.5))
    [row] = raw["rows"]
    assert (row["channel"], row["duration"], row["description"]) == (1, 1.024, None)


def test_json_with_base64_is_the_form(server: Running, evaluator: Evaluator) -> None:
    files = [{"data": base64.b64encode(clip(seed)).decode(), "name": f"{seed}.wav"} for seed in (5, 6)]
    with server.client() as client:
        answer = client.post("v1/evaluate", json={"files": files, "describe": False})
    assert answer.json()["rows"] == own(evaluator, 5, 6, describe=False)


def test_each_channel_has_its_row(server: Running) -> None:
    import numpy as np

    both = np.stack([sound(1, 2.5)[0], sound(2, 2.5)[0]], 1)
    with server.client() as client:
        rows = client.post("v1/evaluate", files={"file": ("c.wav", wav(both))}, data={"channels": "each"}).json()[
            "rows"
        ]
    assert [(row["source"], row["channel"]) for row in rows] == [(0, 0), (0, 1)]


def test_one_bad_file_costs_one_row(server: Running, evaluator: Evaluator) -> None:
    with server.client() as client:
        answer = client.post("v1/evaluate", files=[*parts(1), ("file", ("x.wav", b"no sound")), *parts(2)])
        alone = client.post("v1/evaluate", files={"file": ("x.wav", b"no sound")})
    first, bad, last = answer.json()["rows"]
    assert answer.status_code == 200
    assert (bad["file"], bad["error"]["code"], bad["source"]) == ("x.wav", "unsupported_format", 1)
    assert [first, last] == [row | {"source": place} for place, row in zip((0, 2), own(evaluator, 1, 2), strict=True)]
    assert (alone.status_code, alone.json()["rows"][0]["error"]["code"]) == (422, "unsupported_format")


def test_names_are_the_clients(server: Running) -> None:
    """A name that is none of a file here: it stands in the row as it was sent, and nothing is looked up."""
    with server.client() as client:
        for name in ("../../etc/passwd", "ünï 😀.wav", "<b>.wav"):
            [row] = client.post("v1/evaluate", files={"file": (name, clip(1))}, data={"describe": "0"}).json()["rows"]
            assert row["file"] == name
            assert row["mos"] is not None


def test_a_comparison_is_the_evaluators(server: Running, evaluator: Evaluator) -> None:
    wanted = evaluator.compare(clip(1), clip(2)).to_row()
    wanted["a"]["file"], wanted["b"]["file"] = "a.wav", "b.wav"
    sent = {"b": ("b.wav", clip(2)), "a": ("a.wav", clip(1))}  # by their names, not by their order
    data = {name: {"data": base64.b64encode(content).decode(), "name": file} for name, (file, content) in sent.items()}
    with server.client() as client:
        form, as_json = client.post("v1/compare", files=sent), client.post("v1/compare", json=data)
    assert form.json() == as_json.json() == wanted
    schemas.ComparisonRow.model_validate(form.json())


def test_a_ranking_is_the_evaluators(server: Running, evaluator: Evaluator) -> None:
    sent: list[tuple[str, Any]] = [*parts(1, 2, 3), ("file", ("x.wav", b"no sound"))]
    names = ["1.wav", "2.wav", "3.wav", "x.wav"]
    ranked = evaluator.rank([clip(1), clip(2), clip(3), b"no sound"], describe=True)
    wanted = [
        each.to_row() | {"file": names[each.evaluation.source or 0], "source": each.evaluation.source}
        for each in ranked
    ]
    with server.client() as client:
        answer = client.post("v1/rank", files=sent, data={"describe": "true"})
    assert answer.json() == {"model": MODEL, "rows": wanted}
    schemas.Ranking.model_validate(answer.json())


# --- many ------------------------------------------------------------------------------------------------------------


def test_clients_at_once_get_their_own(server: Running, evaluator: Evaluator) -> None:
    """A mix-up between two that share the engine's passes."""

    def ask(number: int) -> list[dict[str, Any]]:
        with server.client() as client:
            answer = client.post("v1/evaluate", files=parts(*range(number, number + 3)))
        return list(answer.json()["rows"])

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(ask, range(32)))
    assert found == [own(evaluator, *range(number, number + 3)) for number in range(32)]
    assert any(size > 1 for size in evaluator.activity().passes)


def test_the_loop_goes_on_while_the_engine_works() -> None:
    runner = fake_runner()
    go = threading.Event()
    runner.before_encoding = lambda: wait_until(go.is_set)
    with (
        fake_evaluator(runner) as evaluator,
        serving(evaluator) as server,
        server.client() as client,
        ThreadPoolExecutor(8) as threads,
    ):
        asked = [threads.submit(client.post, "v1/evaluate", files=parts(seed)) for seed in range(6)]
        asked.append(threads.submit(client.post, "v1/compare", files={"a": ("a", clip(1)), "b": ("b", clip(2))}))
        wait_until(lambda: server.metric("sqe_recordings_under_way") == 7)
        assert client.get("healthz").json() == {"status": "ok"}
        go.set()
        assert {each.result().status_code for each in asked} == {200}


@pytest.mark.parametrize(("route", "under_way", "most"), [("evaluate", 8, 2), ("compare", 1, 1), ("rank", 1, 2)])
def test_what_a_client_that_leaves_has_asked_for_is_dropped(route: str, under_way: int, most: int) -> None:
    """Work for nobody, before that of those who wait."""
    sent = {"a": ("a", clip(1)), "b": ("b", clip(2))} if route == "compare" else parts(*range(8))
    runner = fake_runner()
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        wait_until(go.is_set)

    runner.before_encoding = hold
    with fake_evaluator(runner) as evaluator, serving(evaluator) as server:

        async def leave() -> None:
            async with httpx2.AsyncClient(base_url=server.url) as client:
                task = asyncio.create_task(client.post(f"v1/{route}", files=sent))
                while not begun.is_set() or server.metric("sqe_recordings_under_way") < under_way:
                    await asyncio.sleep(0.01)
                task.cancel()

        asyncio.run(leave())
        wait_until(lambda: server.metric("sqe_recordings_under_way") == 0)
        wait_until(lambda: server.metric("sqe_requests_under_way") == 0)
        go.set()
        wait_until(lambda: not evaluator._driver.engine.busy)
        assert len(runner.encoded) <= most
        wait_until(lambda: server.metric("sqe_errors_total", code="gone") == 1)


# --- the rest --------------------------------------------------------------------------------------------------------


def test_it_says_that_it_is_there(server: Running) -> None:
    with server.client() as client:
        assert client.get("healthz").json() == {"status": "ok"}
        assert client.get("readyz").json() == {"status": "ready"}
        [model] = client.get("v1/models").json()["data"]
    assert (model["id"], model["object"], model["slots"]) == (MODEL, "model", 9)


def test_it_is_not_ready_once_its_evaluator_is_closed() -> None:
    with fake_evaluator() as evaluator, serving(evaluator) as server, server.client() as client:
        evaluator.close()
        ready = client.get("readyz")
        answer = client.post("v1/evaluate", files=parts(1))
    assert (ready.status_code, answer.status_code) == (503, 503)
    assert answer.headers["retry-after"]
    assert answer.json()["error"]["code"] == "unavailable"


def test_what_is_counted() -> None:
    with fake_evaluator() as evaluator, serving(evaluator) as server, server.client() as client:
        client.post("v1/evaluate", files=[*parts(1, 2), ("file", ("x", b"none"))])
        client.get("nowhere")
        wait_until(lambda: server.metric("sqe_requests_total", route="other", status="404") == 1)
        text = client.get("metrics").text
    for line in (
        'sqe_requests_total{route="/v1/evaluate",status="200"} 1.0',
        'sqe_requests_total{route="other",status="404"} 1.0',
        'sqe_audio_seconds_total{source="file"} 5.0',
        'sqe_errors_total{code="unsupported_format"} 1.0',
        'sqe_request_seconds_count{route="/v1/evaluate"} 1.0',
        'sqe_queue{priority="batch"} 0.0',
        "sqe_requests_under_way 0.0",
        "sqe_held_bytes 0.0",
    ):
        assert line in text, line
    total = sum(size * count for size, count in evaluator.activity().passes.items())
    assert f"sqe_batch_size_sum {float(total)}" in text
    assert f'sqe_batch_size_bucket{{le="+Inf"}} {float(sum(evaluator.activity().passes.values()))}' in text


def test_the_document_names_all_routes_and_resolves(server: Running) -> None:
    with server.client() as client:
        document = client.get("openapi.json").json()
    assert set(document["paths"]) >= {
        "/v1/evaluate",
        "/v1/compare",
        "/v1/rank",
        "/v1/chat/completions",
        "/v1/models",
        "/metrics",
    }

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_the_bundled_model_answers_as_in_process() -> None:
    files = sorted(EXAMPLES.glob("june_*.flac"))
    with Evaluator.from_pretrained(threads=1) as evaluator, serving(evaluator) as server, server.client() as client:
        wanted = [
            each.to_row() | {"file": path.name} for each, path in zip(evaluator.evaluate(files), files, strict=True)
        ]
        sent = [("file", (path.name, path.read_bytes())) for path in files]
        rows = client.post("v1/evaluate", files=sent).json()["rows"]
    assert rows == [row | {"source": place} for place, row in enumerate(wanted)]
