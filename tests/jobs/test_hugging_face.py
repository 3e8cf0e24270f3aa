"""Ratings as columns of a dataset, by its own `map`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from sqe_fast import Evaluator
from sqe_fast.jobs.hugging_face import COLUMNS, Rate
from sqe_fast.options import Serving
from tests.support.audio_samples import SPEECH_FILES

FILES = [str(path) for path in SPEECH_FILES[:3]]
RATE = {"describe": False, "serving": Serving(threads=1)}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with Evaluator.from_pretrained("tiny", threads=1) as evaluator:
        return [each.to_row() for each in evaluator.evaluate(FILES, describe=False, channels="mix")]


def test_columns(rows: list[dict[str, Any]]) -> None:
    sound = [{"bytes": Path(FILES[0]).read_bytes(), "path": None}, FILES[1], {"bytes": None, "path": FILES[2]}]
    found = Rate(**RATE, prefix="sqe_")({"audio": sound, "text": ["a", "b", "c"]})
    assert found == {f"sqe_{name}": [row[name] for row in rows] for name in COLUMNS}


def test_what_would_be_several_rows_is_refused() -> None:
    for channels in ("auto", "each"):
        with pytest.raises(ValueError, match="mix"):
            Rate(channels=channels)


def test_it_is_sent_without_its_model(rows: list[dict[str, Any]]) -> None:
    rate = Rate(**RATE)
    fresh = pickle.dumps(rate)
    rate({"audio": FILES[:1]})
    assert pickle.dumps(rate) == fresh
    assert pickle.loads(fresh)({"audio": FILES[:1]})["mos"] == [rows[0]["mos"]]


@pytest.mark.parametrize("processes", [None, 2])
def test_a_dataset(
    processes: int | None, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install -c constraints.txt datasets")
    sound = datasets.Dataset.from_dict({"audio": FILES, "id": [1, 2, 3]})
    sound = sound.cast_column("audio", datasets.Audio(decode=False))
    rate = Rate(**RATE)
    rated = sound.map(rate, batched=True, batch_size=2, num_proc=processes, features=rate.features(sound.features))
    assert [rated[index]["mos"] for index in range(3)] == [row["mos"] for row in rows]
    assert rated["id"][:] == [1, 2, 3]


def test_the_first_batch_does_not_decide_on_the_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong in it, and the first error ends the job; or everything is, and the first rating does."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install -c constraints.txt datasets")
    rate = Rate(**RATE, prefix="sqe_")
    for files in (["absent.wav", FILES[0]], [FILES[0], "absent.wav"]):
        sound = datasets.Dataset.from_dict({"audio": files, "mos": ["3.5", "4"]})
        rated = sound.map(rate, batched=True, batch_size=1, features=rate.features(sound.features))
        missing, there = sorted(rated, key=lambda row: row["sqe_mos"] is not None)
        assert missing["sqe_error"]["code"] == "not_found"
        assert (there["sqe_error"], there["sqe_flags"], rated["mos"][:]) == (None, [], ["3.5", "4"])
