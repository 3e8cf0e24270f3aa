"""The NISQA corpus, on a small tree of the published layout."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sqe_fast.results import RATINGS
from tests.support.speech import talk
from training.corpora.corpus import Clips
from training.corpora.nisqa import CORPUS_TABLE, DATABASES, ERRORS_FILE, build, listing, read

RATE = 48_000
PUBLISHED = ["db", "con", "file", "con_description", "filename_deg", "filename_ref", "source", "lang", "votes"]
PUBLISHED += ["mos", "noi", "col", "dis", "loud", "noi_std", "filepath_deg", "filepath_ref"]
OTHER_ORDER = sorted(PUBLISHED, reverse=True)


def tone(seconds: float, hertz: float = 1000.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def cells(db: str, number: int, **ratings: object) -> dict[str, object]:
    name = f"c{number:05}_{db.lower()}.wav"
    given = {"mos": 3.0, "noi": 1.0, "col": 2.0, "dis": 4.0, "loud": 5.0, "votes": 5, "con": number // 2}
    place = {"db": db, "filename_deg": name, "filepath_deg": f"{db}/deg/{name}"}
    return dict.fromkeys(PUBLISHED, "") | given | place | ratings


def write_table(path: Path, rows: list[dict[str, object]], columns: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_audio(root: Path, row: dict[str, object], samples: np.ndarray) -> None:
    path = root / str(row["filepath_deg"])
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, RATE, subtype="PCM_16")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One database of each split with two files, the others with one."""
    root = tmp_path / "NISQA_Corpus"
    rows = [cells(db, 2 * i + j) for i, db in enumerate(DATABASES) for j in range(1 + db.endswith(("SIM", "FOR")))]
    for index, row in enumerate(rows):
        write_audio(root, row, tone(0.5 + index / 100))
        write_table(
            root / str(row["db"]) / f"{row['db']}_file.csv", [r for r in rows if r["db"] == row["db"]], PUBLISHED
        )
    write_table(root / CORPUS_TABLE, rows, PUBLISHED)
    return root


def test_every_database_goes_to_its_split(root: Path) -> None:
    counts = {split: len(listing(root, split).rows) for split in ("train", "validation", "test")}
    assert counts == {"train": 3, "validation": 3, "test": 4}
    assert {row["db"] for row in listing(root, "test").rows} == {name for name in DATABASES if "TEST" in name}


@pytest.mark.parametrize("columns", [PUBLISHED, OTHER_ORDER])
def test_ratings_are_read_by_name(root: Path, columns: list[str]) -> None:
    write_table(root / CORPUS_TABLE, [cells("NISQA_VAL_LIVE", 7, con="", votes=12)], columns)
    [row] = listing(root, "validation").rows
    assert {name: row[name] for name in RATINGS} == {
        "noisiness": 1.0,
        "coloration": 2.0,
        "discontinuity": 4.0,
        "loudness": 5.0,
        "mos": 3.0,
    }
    assert (row["rated_by"], row["causes"], row["votes"], row["condition"]) == ("human", [], 12, None)
    assert row["file"] == "NISQA_VAL_LIVE/deg/c00007_nisqa_val_live.wav"


def test_a_condition_belongs_to_its_database(root: Path) -> None:
    found = [row["condition"] for row in listing(root, "train").rows]
    assert found == ["NISQA_TRAIN_SIM/0", "NISQA_TRAIN_SIM/0", "NISQA_TRAIN_LIVE/1"]


def test_without_the_corpus_table_the_databases_own_tables_serve(root: Path) -> None:
    whole = listing(root, "test")
    (root / CORPUS_TABLE).unlink()
    assert listing(root, "test") == whole


def test_what_is_not_there_is_said(root: Path, tmp_path: Path) -> None:
    (root / "NISQA_TRAIN_LIVE").rename(tmp_path / "elsewhere")
    listed = listing(root, "train")
    assert listed.absent == ("NISQA_TRAIN_LIVE",)
    assert len(listed.rows) == 2
    with pytest.raises(FileNotFoundError, match=CORPUS_TABLE):
        listing(tmp_path, "train")


@pytest.mark.parametrize("column", ["db", "con", "filename_deg", "votes", "mos", "noi", "col", "dis", "loud"])
def test_a_missing_column_is_named(root: Path, column: str) -> None:
    write_table(root / CORPUS_TABLE, [cells("NISQA_VAL_SIM", 1)], [name for name in PUBLISHED if name != column])
    with pytest.raises(ValueError, match=rf"{CORPUS_TABLE}: no column {column}$"):
        listing(root, "validation")


def test_an_unknown_database_is_refused(root: Path) -> None:
    write_table(root / CORPUS_TABLE, [cells("OTHER", 1)], PUBLISHED)
    with pytest.raises(ValueError, match="'OTHER' is not a database"):
        listing(root, "train")


def test_clips_come_as_16_khz_mono(root: Path) -> None:
    rows = listing(root, "train").rows
    samples = read(root, rows[0])
    assert samples.dtype == np.float32
    assert samples.size == 8_000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8_000) / 16_000)
    assert np.abs(samples - expected)[400:-400].max() < 2e-3


def test_a_full_scale_file_does_not_wrap_around(root: Path, tmp_path: Path) -> None:
    row = cells("NISQA_VAL_SIM", 1)
    square = np.sign(tone(0.5, 440.0))
    write_audio(root, row, square)
    write_table(root / CORPUS_TABLE, [row], PUBLISHED)
    build(root, tmp_path, "validation")
    clips = Clips.open(tmp_path / "validation")
    samples = clips.audio(clips.annotations[0])
    assert np.abs(samples).max() == 1.0
    assert np.mean(np.sign(samples) == np.sign(square[1::3])) > 0.95


def test_build_writes_our_corpus_and_goes_on(root: Path, tmp_path: Path) -> None:
    report = build(root, tmp_path / "whole", "test")
    assert (report.clips, report.failures, report.absent) == (4, (), ())
    clips = Clips.open(tmp_path / "whole" / "test")
    assert [row["file"] for row in clips] == [row["file"] for row in listing(root, "test").rows]
    for row in clips:
        assert np.abs(clips.audio(row) - read(root, row)).max() <= 0.5 / 32767 + 1e-6
    # A run that was cut after two clips ends like one that was not.
    full = (root / CORPUS_TABLE).read_text()
    (root / CORPUS_TABLE).write_text("".join(full.splitlines(keepends=True)[:-2]))
    assert build(root, tmp_path / "parts", "test").clips == 2
    (root / CORPUS_TABLE).write_text(full)
    assert build(root, tmp_path / "parts", "test").clips == 4
    for name in ("rows.jsonl", "audio.i16"):
        assert (tmp_path / "parts" / "test" / name).read_bytes() == (tmp_path / "whole" / "test" / name).read_bytes()


def test_bad_files_cost_themselves_alone_and_are_named(root: Path, tmp_path: Path) -> None:
    rows = [cells("NISQA_VAL_SIM", 10 + i) for i in range(5)]
    rows[2]["noi"] = ""
    rows[4]["mos"] = 5.4
    for row, seconds in zip(rows, (30.5, 1.0, 1.0, 1.0, 1.0), strict=True):
        write_audio(root, row, np.resize(talk(1.0), round(seconds * RATE)))
    (root / str(rows[1]["filepath_deg"])).write_bytes(b"RIFF, but no more than that")
    rows.append(cells("NISQA_VAL_SIM", 99))  # listed, but not there
    write_table(root / CORPUS_TABLE, rows, PUBLISHED)
    report = build(root, tmp_path, "validation")
    codes = {failure.file.rpartition("/")[2][:6]: failure.error.code.value for failure in report.failures}
    assert report.clips == 1
    assert codes.pop("c00011") in ("unreadable", "unsupported_format")
    assert codes == {
        "c00010": "too_long",
        "c00012": "out_of_range",
        "c00014": "out_of_range",
        "c00099": "not_found",
    }
    assert "1 clips, 5 left out" in str(report)
    written = [json.loads(line) for line in (tmp_path / "validation" / ERRORS_FILE).read_text().splitlines()]
    assert [error["file"] for error in written] == [failure.file for failure in report.failures]
    assert len(Clips.open(tmp_path / "validation")) == 1
