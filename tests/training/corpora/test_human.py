"""Clips that people rated, to train on: whose they are, on which scale, and what stays unknown."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sqe_fast.results import RATINGS
from tests.training.corpora import test_p835
from training.corpora import holub, human
from training.corpora.corpus import HUMAN, Both, Clips
from training.rating import panels, people, together
from training.rating.panels import FOLDERS, HOLUB, P835

HEAD = ["file", "condition", "kind", "noise", "snr_db", "codec", "ns_level", "talker", "sig", "bak", "ovrl"]
POINTS = {"pub": (3.0, 2.5, 2.0), "car": (3.4, 3.1, 2.9), "r05": (4.8, 4.7, 5.0)}
LINES = [
    [f"{name}_{talker}.flac", name, "reference" if name == "r05" else "coded", "", "8", "AMR", "0", talker, *scores]
    for name, scores in POINTS.items()
    for talker in ("f1", "f2", "m1", "m2")
]
COMMON = {HOLUB: np.poly1d([0.5, 1.0]), P835: np.poly1d([0.8, 0.2])}
"""What the listener says of a panel's point, given what the panel says."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_panels(tmp_path, monkeypatch)


def write_panels(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both panels, all talkers, with sound; and a listener to whom each is bent in a way of its own."""
    first, second = (root / "rated" / FOLDERS[panel] for panel in (HOLUB, P835))
    first.mkdir(parents=True)
    second.mkdir()
    with (first / holub.TABLE).open("w", newline="") as lines:
        csv.writer(lines).writerows([HEAD, *LINES])
    conditions = ((2, 4.0), (6, 2.0), (10, 1.5))
    rated = [
        ["u", f"c{c}_{talker}.wav", c, 7, bak, 2.5, bak + 0.5 * (talker == "f1")]
        for c, bak in conditions
        for talker in ("f1", "f2", "f3", "m1", "m2", "m3")
    ]
    test_p835.folder(second, lines=rated)
    for index, path in enumerate([*(first / str(line[0]) for line in LINES), *sorted(second.glob("*.flac"))]):
        sf.write(path, np.full(8000, (index + 1) / 100), 16_000)
    opinions = root / "opinions.csv"
    files = [(HOLUB, line[0]) for line in LINES] + [(P835, path.name) for path in second.glob("*.flac")]
    with opinions.open("w", newline="") as lines:
        csv.writer(lines).writerows(
            [["panel", "file", "gap_db", "distill_mos", "sig"], *((*f, 9, 3, 3) for f in files)]
        )
    monkeypatch.setattr(panels, "OPINIONS", opinions)
    monkeypatch.setattr(people, "fit", lambda points: None)
    monkeypatch.setattr(people, "predict", lambda point, fitted: COMMON[point.panel](point.scores))
    together_table(root)
    return root


def together_table(root: Path) -> None:
    """People who give every dimension half a point more than the MOS."""
    with (root / together.NISQA_RATINGS).open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["noi", "col", "dis", "loud", "mos"])
        rng = np.random.default_rng(0)
        for mos in rng.uniform(1, 4, 40):
            writer.writerow([rng.uniform(1, 5), mos + 0.5, mos + 0.5, mos + 0.5, mos])


def built(data: Path) -> Clips:
    assert human.build(data, data / "corpus" / HUMAN) == 12
    return Clips.open(data / "corpus" / HUMAN)


def test_untouched_talkers_never_get_here(data: Path) -> None:
    """A talker of the final report trained on: the report would be worth nothing."""
    clips = built(data)
    assert {clip["speaker"] for clip in clips} == {"holub f1", "holub m1", "P.835 f1", "P.835 m1"}
    assert {clip["rated_by"] for clip in clips} == {"human"}
    for clip in clips:
        panel, talker = clip["speaker"].split()
        assert talker not in panels.UNTOUCHED[panel]
        assert talker in clip["file"]


def test_each_panel_is_brought_to_the_common_scale(data: Path) -> None:
    """OVRL taken for BAK, one panel's line for the other, a line turned round."""
    clips = {clip["file"]: clip for clip in built(data)}
    pub, best = clips["pub_f1.flac"], clips["r05_m1.flac"]
    assert (pub["noisiness"], pub["mos"]) == (pytest.approx(0.5 * 2.5 + 1), pytest.approx(0.5 * 2.0 + 1))
    assert (best["noisiness"], best["mos"]) == (pytest.approx(3.35), pytest.approx(3.5))
    both = clips["c2_f1.flac"]["mos"], clips["c2_m1.flac"]["mos"]
    assert both == (pytest.approx(0.8 * 4.25 + 0.2), pytest.approx(0.8 * 4.25 + 0.2)), "seven votes a file are few"


def test_what_was_not_asked_is_unknown_and_has_a_stand_in(data: Path) -> None:
    [pub] = [clip for clip in built(data) if clip["file"] == "pub_f1.flac"]
    assert {name for name in RATINGS if name in pub} == {"noisiness", "mos"}
    assert pub["plausible"] == pytest.approx(
        dict.fromkeys(("coloration", "discontinuity", "loudness"), pub["mos"] + 0.5), abs=0.02
    )


def test_sound_is_found_in_either_corpus(data: Path) -> None:
    """A row of people's read from the simulated file: other sound at the same place."""
    clips = built(data)
    simulated = Clips(({"split": "train", "offset": 0, "samples": 5},), np.full(8000 * 9, 3276, np.int16))  # type: ignore[arg-type]
    both = Both(simulated, clips)
    for clip in clips:
        assert np.array_equal(both.audio(clip), clips.audio(clip))
    assert both.audio(simulated.annotations[0]) == pytest.approx(np.full(5, 0.1), abs=1e-3)
    assert len({float(both.audio(clip)[100]) for clip in clips}) == 12, "each its own file"


def test_building_goes_on_where_it_stopped(data: Path) -> None:
    first = built(data)
    assert built(data).annotations == first.annotations


def test_a_rated_file_that_is_not_there_is_named(data: Path) -> None:
    (data / "rated" / FOLDERS[HOLUB] / "car_m1.flac").unlink()
    with pytest.raises(FileNotFoundError, match=r"car_m1\.flac is rated"):
        human.build(data, data / "corpus" / HUMAN)
    with pytest.raises(ValueError, match="no files of f9"):
        holub.read(data / "rated" / FOLDERS[HOLUB], ("f1", "f9"))
