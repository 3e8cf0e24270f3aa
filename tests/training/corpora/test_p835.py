"""P.835 files: ratings by column name, FLAC beside WAV names, talkers apart."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from openpyxl import Workbook

from training.corpora.p835 import CALIBRATION_TALKERS, SHEET, UNTOUCHED_TALKERS, WORKBOOK, read

HEAD = ["file_url", "short_file_name", "condition_num", "n votes", "MOS_BAK", "MOS_SIG", "MOS_OVRL"]
LINES = [
    ["u", "c10_f1.wav", 10, 7, 1.5, 2.5, 1.25],
    ["u", "c2_m1.wav", 2, 6, 4.5, 2.0, 2.25],
    ["u", "c2_f1.wav", 2, 8, 4.0, 3.0, 3.5],
    ["u", "c2_f2.wav", 2, 8, 4.0, 3.0, 3.5],
]


def folder(path: Path, head: list[str] = HEAD, lines: list[list[object]] = LINES, sheet: str = SHEET) -> Path:
    book = Workbook()
    table = book.active
    table.title = sheet
    table.append(head)
    for line in lines:
        table.append(line)
        audio = path / str(line[head.index("short_file_name")]).replace(".wav", ".flac")
        sf.write(audio, np.zeros(100, np.float32), 16_000)
    book.save(path / WORKBOOK)
    return path


def test_rows_hold_the_ratings_of_their_own_column(tmp_path: Path) -> None:
    rows = read(folder(tmp_path))
    assert [(row["condition"], row["speaker"]) for row in rows] == [("c2", "f1"), ("c2", "m1"), ("c10", "f1")]
    assert rows[2]["noisiness"] == 1.5
    assert rows[2]["coloration"] == 2.5
    assert rows[2]["mos"] == 1.25
    assert "loudness" not in rows[2]
    assert rows[1] | {"file": ""} == {
        "split": "calibration",
        "speaker": "m1",
        "rated_by": "human",
        "condition": "c2",
        "votes": 6,
        "noisiness": 4.5,
        "coloration": 2.0,
        "mos": 2.25,
        "causes": [],
        "file": "",
    }
    assert Path(rows[1]["file"]) == tmp_path / "c2_m1.flac"


def test_the_order_of_columns_does_not_matter(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    reordered = folder(other, HEAD[::-1], [line[::-1] for line in LINES])
    strip = [row | {"file": ""} for row in read(folder(tmp_path))]
    assert [row | {"file": ""} for row in read(reordered)] == strip


def test_talkers_are_apart() -> None:
    assert not set(CALIBRATION_TALKERS) & set(UNTOUCHED_TALKERS)
    assert len({*CALIBRATION_TALKERS, *UNTOUCHED_TALKERS}) == 6


def test_untouched_talkers_come_only_when_asked_for(tmp_path: Path) -> None:
    path = folder(tmp_path)
    assert {row["speaker"] for row in read(path)} == set(CALIBRATION_TALKERS)
    [row] = read(path, ("f2",))
    assert row["split"] == "untouched"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with pytest.raises(ValueError, match="no files of f9"):
        read(path, ("f1", "f9"))
    (path / "c2_f1.flac").unlink()
    with pytest.raises(FileNotFoundError, match=r"c2_f1\.flac"):
        read(path)


def test_a_missing_column_or_sheet_is_named(tmp_path: Path) -> None:
    lines = [line[:4] + line[5:] for line in LINES]
    with pytest.raises(ValueError, match="no column MOS_BAK"):
        read(folder(tmp_path, HEAD[:4] + HEAD[5:], lines))
    with pytest.raises(ValueError, match="no sheet"):
        read(folder(tmp_path, sheet="other"))


def test_a_file_of_another_condition_than_its_name_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not named as expected"):
        read(folder(tmp_path, lines=[["u", "c3_f1.wav", 2, 8, 4.0, 3.0, 3.5]]))
