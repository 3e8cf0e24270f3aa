"""The simulated corpus, on a small tree of the same layout as the real one."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sqe_fast.results import RATINGS
from tests.support.speech import SAMPLE_RATE, talk
from training.corpora import corpus
from training.corpora.corpus import Clips, SplitWriter, build, make_clip
from training.rating import labels
from training.rating.raters import Label, Opinion, judged, rate_degradation
from training.simulation.library import SPLITS, open_library
from training.simulation.network import CONCEALMENTS
from training.simulation.recipes import draw_recipe
from training.simulation.simulate import STAGES, Step
from training.simulation.stage import Degradation


def judge(steps: list[Step]) -> Label:
    """A judge who needs no model, and remembers nothing."""
    opinion = Opinion(3.0, 4.0, 3.0)
    return Label(3.5, tuple(opinion for step in steps if judged(step.degradation)))


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "judge", judge)


def write(folder: Path, file: str, samples: np.ndarray) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, SAMPLE_RATE)


def table(folder: Path, rows: list[dict[str, object]]) -> None:
    with (folder / "sources.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    speech = []
    for index in range(40):
        source = "librispeech_test_other" if index < 4 else "librispeech_train_clean"
        file = f"{source}/{index}.flac"
        write(root / "clean", file, talk(3.0, seed=index))
        defects = {"bw_hz": 8000, "note": ""}
        speech.append({"file": file, "source": source, "speaker": f"LS{index}", **defects})
    table(root / "clean", speech)
    noises = [f"speech_commands_bg/doing_the_dishes_0{i}.flac" for i in range(6)] + [
        "picovoice_kitchen/kitchen_00.flac"
    ]
    for file in noises:
        write(root / "noise", file, 0.05 * rng.standard_normal(SAMPLE_RATE * 4))
    table(root / "noise", [{"file": f, "category": "dishes" if "dishes" in f else "kitchen"} for f in noises])
    rooms = [f"surrey_room_a/az{i}.flac" for i in range(12)] + ["spatialaudio_seminar/clap.flac"]
    for file in rooms:
        write(root / "rir", file, 0.5 * np.exp(-np.arange(4000) / 600) * rng.standard_normal(4000).clip(-1, 1))
    table(root / "rir", [{"file": f} for f in rooms])
    return root


def test_splits_share_no_speaker_noise_room_or_seed(root: Path) -> None:
    libraries = [open_library(root, split) for split in SPLITS]
    for kind in ("speech", "noises", "rooms"):
        seen = [{getattr(x, "speaker", x) for x in getattr(lib, kind)} for lib in libraries]
        assert all(seen), kind
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]), kind
    seeds = [make_clip(root, split, 3, {})[1]["seed"] for split in SPLITS]
    assert len(set(seeds)) == 3


def test_a_clip_follows_from_split_and_index_alone(root: Path) -> None:
    for index in range(12):
        first, second = make_clip(root, "train", index, {}), make_clip(root, "train", index, {})
        assert np.array_equal(first[0], second[0])
        assert first[1] == second[1]


def test_rows_say_that_nobody_listened_and_hold_ratings_in_range(root: Path) -> None:
    for index in range(30):
        samples, row = make_clip(root, "train", index, {})
        assert row["rated_by"] == "simulated"
        assert all(1 <= row[name] <= 5 for name in RATINGS)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1


def test_recipes_reach_every_stage_in_the_order_of_a_call(root: Path) -> None:
    lib = open_library(root, "train")
    order = list(STAGES)
    seen = set()
    for seed in range(500):
        stages = [params["stage"] for params in draw_recipe(lib, np.random.default_rng(seed))]
        assert stages == sorted(stages, key=order.index)
        seen |= set(stages)
    assert seen == set(STAGES)


def test_what_is_drawn_spreads_its_ratings_evenly(root: Path) -> None:
    """Concealed loss drawn as rarely as silent loss, or the less it is heard the less of it: nearly all of it mild."""
    lib = open_library(root, "train")
    ratings: dict[str, list[float]] = {}
    for seed in range(2_000):
        for params in draw_recipe(lib, np.random.default_rng(seed)):
            if params["stage"] == "loss":
                degradation = Degradation("loss", params["kind"], "packet loss", params["rate"])
                ratings.setdefault(params["kind"], []).append(rate_degradation(degradation, None))
            elif params["stage"] == "mnru":
                ratings.setdefault("mnru", []).append(
                    rate_degradation(Degradation("mnru", "", "grain", params["q_db"]), None)
                )
    assert ratings.keys() == {"mnru", *CONCEALMENTS}
    for kind, found in ratings.items():
        assert np.quantile(found, [0.25, 0.5, 0.75]) == pytest.approx([1.9, 2.8, 3.7], abs=0.35), kind


def test_building_goes_on_where_it_stopped(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path / "whole", "train", 12, workers=1)
    build(root, tmp_path / "parts", "train", 5, workers=1)
    build(root, tmp_path / "parts", "train", 12, workers=1)
    whole, parts = Clips.open(tmp_path / "whole" / "train"), Clips.open(tmp_path / "parts" / "train")
    assert whole.annotations == parts.annotations
    assert np.array_equal(whole.pcm, parts.pcm)
    samples, _ = make_clip(root, "train", 7, {})
    assert np.abs(whole.audio(whole.annotations[7]) - samples).max() <= 1 / 32767


def test_a_label_in_the_table_is_used_while_its_recipe_is_the_same(root: Path) -> None:
    _, row = make_clip(root, "train", 4, {})
    opinions = tuple(Opinion(None, 4.0, 4.0) for _ in row["label"]["opinions"])
    known, stale = Label(1.2, opinions), Label(4.8, opinions)
    assert make_clip(root, "train", 4, {row["seed"]: (row["recipe"], known)})[1]["label"]["distill_mos"] == 1.2
    assert make_clip(root, "train", 4, {row["seed"]: (row["recipe"] + 1, stale)})[1]["label"] == row["label"]


def test_labels_of_a_built_split_are_kept(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "TABLE", tmp_path / "labels.csv.gz")
    build(root, tmp_path / "corpus", "train", 4, workers=1)
    assert corpus.collect_labels(tmp_path / "corpus") == 4
    rows = Clips.open(tmp_path / "corpus" / "train").annotations
    kept = labels.read(tmp_path / "labels.csv.gz")
    assert {seed: label.distill_mos for seed, (_, label) in kept.items()} == {row["seed"]: 3.5 for row in rows}


def test_a_row_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    samples = 0.1 * np.ones(100, np.float32)
    with SplitWriter(tmp_path) as writer:
        writer.add(samples, {"name": "first"})
        writer.add(samples, {"name": "second"})
    with (tmp_path / "rows.jsonl").open("r+") as rows:
        rows.truncate(len(rows.read()) - 5)
    with SplitWriter(tmp_path) as writer:
        assert writer.count == 1
        writer.add(2 * samples, {"name": "third"})
    clips = Clips.open(tmp_path)
    assert [row["name"] for row in clips] == ["first", "third"]
    assert clips.audio(clips.annotations[1]) == pytest.approx(2 * samples, abs=1e-4)
