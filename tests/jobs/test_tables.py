"""Lists in Parquet and Arrow, which name recordings or hold them, as `datasets` of Hugging Face do."""

from __future__ import annotations

import datetime
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqe_fast.jobs import inputs
from sqe_fast.jobs.inputs import Item, Listed, Look, expand, file_of
from sqe_fast.jobs.lists import InputError
from sqe_fast.results import Evaluation
from tests.support.audio_samples import encoded, speech
from tests.support.memory import peak_bytes, reset_peak

WAV = encoded(speech())
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def items(*paths: Path, look: Look = inputs.PLAINLY) -> list[Item]:
    return list(expand(map(str, paths), io.BytesIO(), look))


def told(found: list[Item], parent: Path) -> list[str]:
    return [
        file_of(item).removeprefix(f"{parent}/") + (f" {item.error.code}" if isinstance(item, Evaluation) else "")  # type: ignore[union-attr]
        for item in found
    ]


def features(**kinds: str) -> dict[bytes, bytes]:
    return {
        b"huggingface": json.dumps(
            {"info": {"features": {name: {"_type": each} for name, each in kinds.items()}}}
        ).encode()
    }


def write(path: Path, table: pa.Table) -> Path:
    """As its suffix says; datasets writes Arrow's stream format."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=3)
    elif path.suffix == ".feather":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, 3)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, 3)
    return path


SUFFIXES = pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])


@SUFFIXES
def test_a_column_of_names(suffix: str, tmp_path: Path) -> None:
    when = datetime.datetime(2026, 1, 2, 3, 4)
    table = pa.table(
        {
            "id": range(5),
            "path": ["a.wav", "/b.wav", None, "s3://bucket/c.wav", "d.wav"],
            "mos": [3.5, math.nan, None, 1.0, math.inf],
            "when": [when] * 5,
            "thumb": [b"\x89PNG"] * 5,
        }
    )
    path = write(tmp_path / f"list.{suffix}", table)
    found = items(path)
    assert told(found, tmp_path) == [
        "a.wav", "/b.wav", f"list.{suffix}:3 bad_input", f"list.{suffix}:4 bad_input", "d.wav",
    ]  # fmt: skip
    given = [item.given for item in found if isinstance(item, Listed)]
    assert given == [{"id": n, "mos": mos, "when": str(when)} for n, mos in ((0, 3.5), (1, None), (4, None))]
    json.dumps(given, allow_nan=False)
    assert inputs.given_names([str(path)]) == ("id", "mos", "when")
    assert told(items(path, look=Look(read=False)), tmp_path) == told(found, tmp_path)


@SUFFIXES
def test_a_column_of_sound(suffix: str, tmp_path: Path) -> None:
    """What `datasets` calls Audio: its bytes, and the name of a file that is nowhere. Its pictures look the same."""
    held = [
        {"bytes": WAV, "path": "x/1.wav"},
        {"bytes": WAV + b"2", "path": None},
        {"bytes": None, "path": "3.wav"},
        None,
        {"bytes": None, "path": None},
        {"bytes": WAV, "path": "x/1.wav"},
    ]
    columns = {"photo": pa.array([{"bytes": b"P", "path": "p.png"}] * 6, AUDIO), "file": ["nowhere.wav"] * 6,
               "audio": pa.array(held, AUDIO), "text": list("abcdef")}  # fmt: skip
    table = pa.table(columns).replace_schema_metadata(features(photo="Image", audio="Audio", text="Value"))
    path = write(tmp_path / f"data.{suffix}", table)
    found, base = items(path), f"data.{suffix}"
    assert told(found, tmp_path) == [
        f"{base}/x/1.wav", f"{base}:2", "3.wav", f"{base}:4 bad_input", f"{base}:5 bad_input", f"{base}/x/1.wav",
    ]  # fmt: skip
    listed = [item for item in found if isinstance(item, Listed)]
    assert [item.content for item in listed] == [WAV, WAV + b"2", None, WAV]
    assert [item.given for item in listed] == [{"file": "nowhere.wav", "text": text} for text in "abcf"]
    assert [bool(item.fingerprint) for item in listed] == [True, True, False, True]
    assert len(items(path, look=Look(read=False))) == 6


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes_that_is_asked_for(kind: pa.DataType, tmp_path: Path) -> None:
    path = write(tmp_path / "l.parquet", pa.table({"sound": pa.array([WAV, b""], kind), "n": [1, 2]}))
    assert told(items(path, look=Look("sound")), tmp_path) == ["l.parquet:1", "l.parquet:2 bad_input"]
    with pytest.raises(InputError, match="sound, n"):
        items(path)
    with pytest.raises(InputError, match="no column 'x'"):
        inputs.check([str(path)], "x")


def test_samples_and_their_rate(tmp_path: Path) -> None:
    samples = speech()[:8_000]
    table = pa.table({"audio": [{"array": samples, "sampling_rate": 16_000, "path": "a.wav"}]})
    [item] = items(write(tmp_path / "l.parquet", table))
    assert isinstance(item, Listed)
    content: Any = item.content
    np.testing.assert_array_equal(content["array"], samples)
    assert (content["sampling_rate"], item.file) == (16_000, str(tmp_path / "l.parquet/a.wav"))


def test_parts_of_recordings(tmp_path: Path) -> None:
    table = pa.table({"audio_filepath": ["/a.wav"] * 2, "offset": [1.5, None], "duration": [2.0, 3.0]})
    found = items(write(tmp_path / "l.parquet", table))
    assert [item.part for item in found if isinstance(item, Listed)] == [(1.5, 2.0), None]


@SUFFIXES
def test_a_table_that_is_damaged(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"l.{suffix}", pa.table({"path": [f"{n}.wav" for n in range(9)]}))
    whole = path.read_bytes()
    for cut in (whole[: len(whole) // 2], b"", b"nonsense" * 9):
        path.write_bytes(cut)
        *before, last = items(path, tmp_path / "b.wav")[:-1]
        assert told([last], tmp_path) == [f"l.{suffix} unreadable"]
        assert told(before, tmp_path) == [f"{n}.wav" for n in range(len(before))]
    path.unlink()
    assert told(items(path), tmp_path) == [f"l.{suffix} not_found"]
    with pytest.raises(InputError, match="empty"):
        items(write(path, pa.table({"path": pa.array([], pa.string())})))


def test_a_table_is_read_row_by_row(tmp_path: Path) -> None:
    """400 MB of sound in groups of 100 rows, as `datasets` writes them, are never held together."""
    path = tmp_path / "l.parquet"
    rng = np.random.default_rng(1)
    with pq.ParquetWriter(path, pa.schema([("audio", AUDIO)]), compression="none", use_dictionary=False) as writer:
        for _ in range(4):
            rows = [{"bytes": rng.bytes(1_000_000), "path": f"{n}.wav"} for n in range(100)]
            writer.write_table(pa.table({"audio": pa.array(rows, AUDIO)}))
    del rows
    start = reset_peak()
    assert sum(1 for _ in expand([str(path)], io.BytesIO())) == 400
    assert peak_bytes() - start < 80 << 20


def test_folders_as_datasets_saves_them(tmp_path: Path) -> None:
    """`save_to_disk` of splits: what a later `map` has cached beside them is no part of it."""
    for split in ("test", "train"):
        folder = tmp_path / split
        folder.mkdir()
        names = [f"data-0000{n}-of-00002.arrow" for n in range(2)]
        for name in (*names, "cache-1234.arrow", "later.arrow"):
            rows = [{"bytes": name.encode(), "path": "a.wav"}]
            write(folder / name, pa.table({"audio": pa.array(rows, AUDIO)}))
        state = {"_data_files": [{"filename": name} for name in names]}
        (folder / "state.json").write_text(json.dumps(state))
    found = items(tmp_path)
    assert told(found, tmp_path) == [f"{split}/{name}/a.wav" for split in ("test", "train") for name in names]
    assert [item.content for item in found if isinstance(item, Listed)] == [name.encode() for name in names] * 2


def test_our_own_rows_are_no_input(tmp_path: Path) -> None:
    from sqe_fast.jobs.parquet import RowFolder

    write(tmp_path / "list.parquet", pa.table({"path": ["a.wav"]}))
    with RowFolder(str(tmp_path / "rows.parquet"), resume=False):
        pass
    write(tmp_path / "rows.parquet" / "part-000001.parquet", pa.table({"file": ["b.wav"]}))
    assert told(items(tmp_path), tmp_path) == ["a.wav"]
