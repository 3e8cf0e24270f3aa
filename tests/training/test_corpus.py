"""The simulated corpus, on a small tree of the same layout as the real one."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from sqe_fast.results import RATINGS
from tests.training.speech import SAMPLE_RATE, talk
from training.corpus import SPLITS, Clips, build, draw_recipe, library, make_clip
from training.simulate import STAGES


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
        defects = {"level_db": -20.0, "gap_db": 50.0, "bw_hz": 8000, "note": ""}
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
    libraries = [library(root, split) for split in SPLITS]
    for kind in ("speech", "noises", "rooms"):
        seen = [{getattr(x, "speaker", x) for x in getattr(lib, kind)} for lib in libraries]
        assert all(seen), kind
        assert not (seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]), kind
    seeds = [make_clip(root, split, 3)[1]["seed"] for split in SPLITS]
    assert len(set(seeds)) == 3


def test_a_clip_follows_from_split_and_index_alone(root: Path) -> None:
    for index in range(12):
        first, second = make_clip(root, "train", index), make_clip(root, "train", index)
        assert np.array_equal(first[0], second[0])
        assert first[1] == second[1]


def test_rows_say_that_nobody_listened_and_hold_ratings_in_range(root: Path) -> None:
    for index in range(30):
        samples, row = make_clip(root, "train", index)
        assert row["rated_by"] == "simulated"
        assert all(1 <= row[name] <= 5 for name in RATINGS)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1


def test_recipes_reach_every_stage_in_the_order_of_a_call(root: Path) -> None:
    lib = library(root, "train")
    order = list(STAGES)
    seen = set()
    for seed in range(300):
        stages = [params["stage"] for params in draw_recipe(lib, np.random.default_rng(seed))]
        assert stages == sorted(stages, key=order.index)
        seen |= set(stages)
    assert seen == set(STAGES)


def test_building_goes_on_where_it_stopped(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path / "whole", "train", 12, workers=1)
    build(root, tmp_path / "parts", "train", 5, workers=1)
    build(root, tmp_path / "parts", "train", 12, workers=1)
    whole, parts = Clips.open(tmp_path / "whole" / "train"), Clips.open(tmp_path / "parts" / "train")
    assert whole.rows == parts.rows
    assert np.array_equal(whole.audio, parts.audio)
    samples, _ = make_clip(root, "train", 7)
    assert np.abs(whole.samples(whole.rows[7]) - samples).max() <= 1 / 32767
