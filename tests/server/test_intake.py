"""Files by path: those under the root, and no other, by whatever way one tries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqe_fast.server.intake import open_under
from sqe_fast.server.refusals import Refusal
from tests.server.test_app import clip
from tests.support.fake_evaluator import fake_evaluator
from tests.support.servers import Running, serving

SECRET = b"not for clients"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("outside")
    (base / "secret.wav").write_bytes(SECRET)
    root = base / "root"
    (root / "calls" / "deep").mkdir(parents=True)
    (root / "calls" / "a.wav").write_bytes(clip(1))
    (root / "calls" / "deep" / "ü.wav").write_bytes(clip(2))
    (root / "link.wav").symlink_to(base / "secret.wav")
    (root / "inside.wav").symlink_to(root / "calls" / "a.wav")
    (root / "up").symlink_to(base)
    (root / "calls" / "loop").symlink_to(root / "calls" / "loop")
    os.mkfifo(root / "pipe.wav")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with fake_evaluator() as evaluator, serving(evaluator, root=root) as running:
        yield running


@pytest.mark.parametrize("path", ["calls/a.wav", "calls/deep/ü.wav", "./calls//a.wav"])
def test_a_file_under_the_root(server: Running, path: str) -> None:
    with server.client() as client:
        [row] = client.post("v1/evaluate", json={"files": [{"path": path}]}).json()["rows"]
    assert row["file"] == path
    assert row["mos"] is not None


WAYS_OUT = [
    "../secret.wav",
    "calls/../../secret.wav",
    "..",
    "/etc/passwd",
    "//etc/passwd",
    "",
    ".",
    "link.wav",
    "inside.wav",
    "up/secret.wav",
    "up/root/calls/a.wav",
    "calls/loop",
    "calls",
    "pipe.wav",
    "gone.wav",
    "calls/a.wav/b",
    "calls/a.wav\0",
    "a/" * 3_000,
    "x" * 300,
]


@pytest.mark.parametrize("path", WAYS_OUT, ids=range(len(WAYS_OUT)))
def test_ways_out(server: Running, root: Path, path: str) -> None:
    with server.client() as client:
        answer = client.post("v1/evaluate", json={"files": [{"path": path}]})
        argued = client.post("v1/compare", json={"a": {"path": "calls/a.wav"}, "b": {"path": path}})
    assert answer.status_code == argued.status_code in (404, 422)
    assert str(root) not in answer.text
    with pytest.raises(Refusal):
        open_under(root, path)


def test_what_is_outside_looks_like_what_is_not_there(server: Running) -> None:
    """An answer that tells which files a machine has."""
    with server.client() as client:
        answers = [
            client.post("v1/evaluate", json={"files": [{"path": path}]}).content for path in ("link.wav", "gone.wav")
        ]
    assert answers[0] == answers[1]


def test_no_paths_without_a_root() -> None:
    with fake_evaluator() as evaluator, serving(evaluator) as server, server.client() as client:
        answer = client.post("v1/evaluate", json={"files": [{"path": "calls/a.wav"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_paths")


def test_no_file_stays_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in WAYS_OUT:
        with pytest.raises(Refusal):
            open_under(root, path)
    assert len(os.listdir("/proc/self/fd")) == before
