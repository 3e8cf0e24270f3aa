"""The simulated corpus, on a small tree of the same layout as the real one."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sqe_fast.results import RATINGS
from tests.support.small_library import write_library
from tests.support.speech import SAMPLE_RATE
from training.corpora import corpus
from training.corpora.corpus import Clips, SplitWriter, build, draw_excerpt, judge, make_clip
from training.rating import judges, labels
from training.simulation.library import SPLITS, Library, open_library
from training.simulation.stage import Params, Rng
from training.streams import Stream, stream


def witness(samples: np.ndarray, *, discontinuous: bool) -> dict[str, float]:
    """A judge who needs no model, and remembers nothing."""
    said = {"distill_mos": 3.5, "sig": 3.0, "bak": 3.0, "ovrl": 2.5}
    return {**said, "plcmos": 2.75} if discontinuous else said


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judges, "witness", witness)
    monkeypatch.setattr(labels, "TABLE", tmp_path / "labels.csv.gz")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("data"))


def build_and_judge(root: Path, folder: Path, count: int) -> Clips:
    build(root, folder, "train", count, workers=1)
    judge(folder / "train", workers=1)
    return Clips.open(folder / "train")


def test_a_clip_follows_from_split_and_index_alone(root: Path) -> None:
    for index in range(12):
        first, second = make_clip(root, "train", index), make_clip(root, "train", index)
        assert np.array_equal(first[0], second[0])
        assert first[1] == second[1]


def test_another_process_makes_the_same_samples(root: Path) -> None:
    """A set that is iterated, a hash that is salted: the same within a process, another clip in the next."""
    code = (
        "import sys, zlib, pathlib; from training.corpora.corpus import make_clip\n"
        "for i in range(8): print(zlib.crc32(make_clip(pathlib.Path(sys.argv[1]), 'train', i)[0].tobytes()))"
    )
    runs = [subprocess.run([sys.executable, "-c", code, root], check=True, capture_output=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(set(runs[0].stdout.split())) == 8


def test_nobody_talks_behind_himself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine test talkers one in nine would be a voice behind his own."""
    behind = []

    def draw_recipe(lib: Library, rng: Rng) -> tuple[Params, ...]:
        behind.append(set(lib.talkers))
        return ()

    monkeypatch.setattr(corpus, "draw_recipe", draw_recipe)
    rows = [make_clip(root, "test", index)[1] for index in range(12)]
    everyone = set(open_library(root, "test").talkers)
    assert behind == [everyone - {row["speaker"]} for row in rows]


def test_no_index_is_a_clip_of_another_split(root: Path) -> None:
    """Seeds of redrawn clips once ran into those of others."""
    seeds = [make_clip(root, split, index)[1]["seed"] for split in SPLITS for index in (0, 3)]
    assert len(set(seeds)) == 6
    with pytest.raises(ValueError, match="a split holds"):
        make_clip(root, "train", corpus.CLIPS_OF_A_SPLIT)


def test_rows_hold_evidence_and_no_ratings(root: Path) -> None:
    for index in range(30):
        samples, row = make_clip(root, "train", index)
        assert json.loads(json.dumps(row)) is not None
        assert row["rated_by"] == "simulated"
        assert not {*RATINGS, "witness"} & row.keys()
        assert np.isfinite([*row["measures"].values(), *row["defects"].values()]).all()
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
        assert np.array_equal(samples, np.round(samples * 32767) / np.float32(32767)), (
            "what is measured is what is kept"
        )


def test_excerpts_are_of_many_lengths_and_of_one_talker(root: Path) -> None:
    """Streams are rated in short windows; a long clip is joined of the same voice."""
    lib = open_library(root, "train")
    excerpts = [draw_excerpt(lib, stream(Stream.CLIP_EXCERPT, seed)) for seed in range(300)]
    seconds = np.array([excerpt.samples.size for excerpt in excerpts]) / SAMPLE_RATE
    assert seconds.min() >= 1
    assert seconds.max() > 12
    assert 0.05 < np.mean(seconds > 6) < 0.5
    speakers = {speech.file: speech.speaker for speech in lib.speech}
    assert all({speakers[file] for file in excerpt.files} == {excerpt.speaker} for excerpt in excerpts)
    most = Counter(excerpt.speaker for excerpt in excerpts).most_common(1)[0][1]
    assert most < 300 / len(lib.talkers) * 4, "one talker dominates"


def test_building_goes_on_where_it_stopped(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path / "parts", "train", 5, workers=1)
    whole, parts = (build_and_judge(root, tmp_path / name, 12) for name in ("whole", "parts"))
    assert whole.annotations == parts.annotations
    assert np.array_equal(whole.pcm, parts.pcm)
    assert np.array_equal(whole.audio(whole.annotations[7]), make_clip(root, "train", 7)[0])


def test_opened_clips_are_rated_by_their_evidence(root: Path, tmp_path: Path) -> None:
    clips = build_and_judge(root, tmp_path, 12)
    assert any(row["causes"] for row in clips)
    for row in clips:
        assert all(1 <= row[name] <= 5 for name in RATINGS)
        assert all(1 <= cause["rating"] <= 5 for cause in row["causes"])


def test_clips_nobody_judged_are_not_opened(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path, "train", 2, workers=1)
    with pytest.raises(ValueError, match="was not judged"):
        Clips.open(tmp_path / "train")


def test_a_clip_in_the_table_is_judged_again_only_if_it_changed(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path, "train", 2, workers=1)
    first, second = (json.loads(line) for line in (tmp_path / "train" / "rows.jsonl").open())
    known = {"distill_mos": 1.2}
    table = {first["seed"]: (first["checksum"], known), second["seed"]: (second["checksum"] + 1, known)}
    labels.write(table, labels.TABLE)
    judge(tmp_path / "train", workers=1)
    kept, anew = (row["witness"] for row in Clips.open(tmp_path / "train"))
    assert kept == known
    assert anew["distill_mos"] == 3.5


def test_judging_goes_on_where_it_stopped(root: Path, tmp_path: Path) -> None:
    """Judging all again after a stop, or leaving two opinions of one clip."""
    build(root, tmp_path, "train", 3, workers=1)
    judge(tmp_path / "train", workers=1)
    build(root, tmp_path, "train", 5, workers=1)
    judge(tmp_path / "train", workers=1)
    entries = [json.loads(line) for line in (tmp_path / "train" / "witness.jsonl").open()]
    assert [entry["seed"] for entry in entries] == list(range(5))


def test_labels_of_a_built_split_are_kept(root: Path, tmp_path: Path) -> None:
    clips = build_and_judge(root, tmp_path / "corpus", 4)
    assert corpus.collect_labels(tmp_path / "corpus") == 4
    kept = labels.read(labels.TABLE)
    assert kept == {row["seed"]: (row["checksum"], row["witness"]) for row in clips}


def test_a_row_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    samples = 0.1 * np.ones(100, np.float32)
    with SplitWriter(tmp_path) as writer:
        writer.add(samples, {"name": "first", "rated_by": "human"})
        writer.add(samples, {"name": "second", "rated_by": "human"})
    with (tmp_path / "rows.jsonl").open("r+") as rows:
        rows.truncate(len(rows.read()) - 5)
    with SplitWriter(tmp_path) as writer:
        assert writer.count == 1
        writer.add(2 * samples, {"name": "third", "rated_by": "human"})
    clips = Clips.open(tmp_path)
    assert [row["name"] for row in clips] == ["first", "third"]
    assert clips.audio(clips.annotations[1]) == pytest.approx(2 * samples, abs=1e-4)
