"""Panels: what was rated as one thing is one point, and the witnesses' tables are made once."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.training.corpora import test_p835
from training.rating import panels
from training.rating.panels import FOLDERS, HOLUB, P835, read

HEAD = ["file", "condition", "kind", "noise", "snr_db", "codec", "ns_level", "talker", "sig", "bak", "ovrl"]
LINES = [
    ["a_f1.flac", "pub AMR", "coded", "pub noise", "8.4", "AMR_WB_12k65", "", "f1", "3.0", "2.5", "2.0"],
    ["b_f1.flac", "pub AMR", "coded", "pub noise", "8.4", "AMR_WB_12k65", "", "f1", "3.0", "2.5", "2.0"],
    ["a_m1.flac", "pub AMR", "coded", "pub noise", "8.4", "AMR_WB_12k65", "", "m1", "4.0", "3.5", "3.0"],
    ["r_f1.flac", "r02", "reference", "", "60", "", "2", "f1", "2.2", "3.7", "2.5"],
    ["r_m1.flac", "r02", "reference", "", "60", "", "2", "m1", "2.2", "3.7", "2.5"],
    ["n_f1.flac", "r07", "reference", "", "12", "", "0", "f1", "4.0", "1.6", "2.5"],
    ["c_f1.flac", "r05", "reference", "", "60", "", "0", "f1", "4.9", "4.9", "5.0"],
    ["a_f2.flac", "pub AMR", "coded", "pub noise", "8.4", "AMR_WB_12k65", "", "f2", "1.0", "1.0", "1.0"],
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of panels, and a table of opinions of its own: gap 10, 20, 30 … dB in the order of the files."""
    holub, p835 = (tmp_path / "rated" / FOLDERS[panel] for panel in (HOLUB, P835))
    holub.mkdir(parents=True)
    p835.mkdir()
    with (holub / "ratings.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([HEAD, *LINES])
    test_p835.folder(p835)
    files = [(HOLUB, line[0]) for line in LINES] + [(P835, str(line[1])[:-4] + ".flac") for line in test_p835.LINES]
    table = tmp_path / "opinions.csv"
    with table.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["panel", "file", "gap_db", "distill_mos", "sig"])
        writer.writerows([panel, file, 10 * index, 3.0, 3.5] for index, (panel, file) in enumerate(files, 1))
    monkeypatch.setattr(panels, "OPINIONS", table)
    return tmp_path


def test_a_point_is_what_has_one_score(data: Path) -> None:
    """Files that share a score are no independent ones: two of a coded talker, all talkers of a reference."""
    points = {point.name: point for point in read(data)}
    assert set(points) == {"pub AMR f1", "pub AMR m1", "r02", "r07", "r05", "c2", "c10"}
    assert points["pub AMR f1"].gap_db == 15
    assert points["pub AMR f1"].sent_db == 8.4
    np.testing.assert_allclose(points["pub AMR m1"].scores, [4.0, 3.5, 3.0])
    assert points["r02"].sent_db is None
    np.testing.assert_allclose(points["c2"].scores, [2.5, 4.25, 2.875])  # the mean of both talkers: SIG, BAK, OVRL
    assert points["c2"].q_db == 16


def test_families_are_told_apart(data: Path) -> None:
    families = {point.name: point.family for point in read(data)}
    assert families["pub AMR f1"] == "pub noise, suppressed and coded"
    assert families["r02"] == "suppression references"
    assert families["r07"] == "noise references"
    assert families["r05"] == "clean"
    assert families["c2"] == "modulated noise"
    assert families["c10"] == "white and modulated noise"
    parts = {point.name: point.part for point in read(data)}
    assert parts == {
        "pub AMR f1": "AMR",
        "pub AMR m1": "AMR",
        "r02": "suppression of degree 2",
        **dict.fromkeys(("r07", "r05", "c2", "c10"), ""),
    }


def test_untouched_talkers_come_only_when_asked_for(data: Path) -> None:
    assert set(panels.TALKERS[HOLUB]).isdisjoint(panels.UNTOUCHED[HOLUB])
    assert set(panels.TALKERS[P835]).isdisjoint(panels.UNTOUCHED[P835])
    assert all(point.scores[0] > 1 for point in read(data))
    [point] = [one for one in read(data, {HOLUB: ("f2",), P835: ("f2",)}) if one.panel == HOLUB]
    assert point.name == "pub AMR f2"


def test_a_file_nobody_was_asked_about_is_named(data: Path) -> None:
    with (data / "rated" / FOLDERS[HOLUB] / "ratings.csv").open("a", newline="") as lines:
        csv.writer(lines).writerow(["new_f1.flac", *LINES[0][1:]])
    with pytest.raises(KeyError, match=r"new_f1\.flac"):
        read(data)


def test_the_witnesses_are_asked_only_what_the_tables_lack(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking a panel again takes minutes."""
    asked: list[int] = []

    def distill_mos(samples: np.ndarray) -> float:
        asked.append(samples.size)
        return 3.0

    from training.rating import judges

    monkeypatch.setattr(judges, "distill_mos", distill_mos)
    monkeypatch.setattr(judges, "dnsmos", lambda samples: {"sig": 3.5})
    monkeypatch.setattr(panels, "open_library", lambda root, split: type("Library", (), {"talkers": {}}))
    panels.ask(data)
    assert not asked
    rng = np.random.default_rng(0)
    sf.write(data / "rated" / FOLDERS[HOLUB] / "new_f1.flac", 0.1 * rng.standard_normal(16_000), 16_000)
    with (data / "rated" / FOLDERS[HOLUB] / "ratings.csv").open("a", newline="") as lines:
        csv.writer(lines).writerow(["new_f1.flac", *LINES[0][1:]])
    panels.ask(data)
    panels.ask(data)
    assert asked == [16_000]
    assert len(read(data)) == 7
