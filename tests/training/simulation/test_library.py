"""Which source lies on which side, and what a draw depends on."""

import csv
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_library import write_library, write_table
from training.language.causes import KINDS
from training.simulation.library import SPLITS, Library, choose, open_library
from training.simulation.sources import CATEGORIES, HELD, LABELS, UNCLEAR

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the source audio is not beside the repository")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(params=["made", pytest.param("real", marks=needs_data)])
def libraries(request: pytest.FixtureRequest, root: Path) -> dict[str, Library]:
    folder = root if request.param == "made" else DATA
    return {split: open_library(folder, split) for split in SPLITS}


def test_no_talker_recording_or_room_is_on_two_sides(libraries: dict[str, Library]) -> None:
    """A talker of two corpora, or two pieces of one recording, in training and in the test."""
    kinds = {
        "talkers": [{speech.speaker for speech in lib.speech} for lib in libraries.values()],
        "recordings": [{noise.recording for noise in lib.noises} for lib in libraries.values()],
        "rooms": [{response.room for response in lib.rooms} for lib in libraries.values()],
    }
    for kind, sides in kinds.items():
        assert all(sides), kind
        assert not any(one & other for one, other in combinations(sides, 2)), kind


def test_every_file_is_on_one_side_but_for_what_is_named_as_unused(root: Path) -> None:
    """Files that no split has, or that two have."""
    for kind, of in (("clean", "speech"), ("noise", "noises"), ("rir", "rooms")):
        with (root / kind / "sources.csv").open() as handle:
            listed = Counter(row["file"] for row in csv.DictReader(handle))
        assert listed == Counter(source.file for split in SPLITS for source in getattr(open_library(root, split), of))


@needs_data
def test_pieces_of_one_recording_and_talkers_of_two_corpora_are_known_as_one() -> None:
    """By file name alone, Freesound's recordings in two collections and LibriSpeech's talkers in three would differ."""
    lib = {split: open_library(DATA, split) for split in SPLITS}
    files = {noise.file: noise.recording for split in SPLITS for noise in lib[split].noises}
    assert files["esc10/dog_1-100032-A.flac"] == "freesound 100032"
    assert len({files[f"picovoice_kitchen/kitchen_{piece:02}.flac"] for piece in range(8)}) == 1
    sources: dict[str, set[str]] = {}
    for split in SPLITS:
        for speech in lib[split].speech:
            sources.setdefault(speech.speaker, set()).add(speech.file.split("/")[0])
    assert {"librispeech_long", "librispeech_train_clean"} in sources.values()


@needs_data
def test_each_split_has_arabic_talkers_and_each_frequent_noise() -> None:
    """A category that training never had, or that the test never asks for."""
    every = {split: open_library(DATA, split) for split in SPLITS}
    recordings = {
        category: [{n.recording for n in lib.noises if n.category == category} for lib in every.values()]
        for category in CATEGORIES
    }
    for category, sides in recordings.items():
        assert any(sides), category
        assert all(sides) or sum(map(len, sides)) < 3, category
    for lib in every.values():
        assert len({speech.speaker for speech in lib.speech if speech.language == "ar"}) >= 2


@needs_data
def test_nameless_talkers_and_coded_speech_only_train() -> None:
    for split in ("validation", "test"):
        files = [speech.file for speech in open_library(DATA, split).speech]
        assert not [file for file in files if file.startswith(("picovoice", "asterisk"))]
    coded = [s for s in open_library(DATA, "train").speech if s.file.startswith("asterisk")]
    assert {speech.bandwidth_hz for speech in coded} == {7000.0}


@needs_data
def test_what_is_told_of_single_recordings_is_of_recordings_that_are_there() -> None:
    """A typing mistake in a table of names leaves a recording as it was."""
    known = set()
    for kind in ("noise", "rir"):
        with (DATA / kind / "sources.csv").open() as handle:
            files = [row["file"] for row in csv.DictReader(handle)]
        known |= {*files, *(re.sub(r"_\d+$", "", file.removesuffix(".flac")) for file in files)}
    assert LABELS.keys() | UNCLEAR.keys() <= known
    drawn = {n.recording for split in SPLITS for n in open_library(DATA, split).noises}
    drawn |= {r.room for split in SPLITS for r in open_library(DATA, split).rooms}
    assert HELD.keys() <= drawn


def test_each_category_is_called_by_a_cause_of_noise() -> None:
    assert {KINDS[category.cause].dimension for category in CATEGORIES.values()} == {"noisiness"}


def test_a_new_talker_moves_only_the_draws_that_go_there(root: Path, tmp_path: Path) -> None:
    """Draws by place in a list: one more file, and every seed means another clip."""
    with (root / "clean" / "sources.csv").open() as handle:
        rows: list[dict[str, object]] = list(csv.DictReader(handle))
    new = [{**rows[0], "file": f"new/{i}.flac", "speaker": f"NEW{i}", "source": "new"} for i in range(8)]
    for kind in ("noise", "rir"):
        (tmp_path / kind).symlink_to(root / kind)
    (tmp_path / "clean").mkdir()
    write_table(tmp_path / "clean", [*new, *reversed(rows)])
    before, after = open_library(root, "train"), open_library(tmp_path, "train")
    moved = 0
    for seed in range(400):
        was, now = (lib.draw_speech(np.random.default_rng(seed)).file for lib in (before, after))
        moved += was != now
        assert now in (was, *(row["file"] for row in new))
    share = 1 - len(before.talkers) / len(after.talkers)
    assert moved / 400 == pytest.approx(share, abs=0.06)
    assert moved


def test_names_are_drawn_as_often_as_they_weigh() -> None:
    weights = {"often": 3.0, "seldom": 1.0}
    drawn = Counter(choose(weights, np.random.default_rng(seed), weights) for seed in range(2_000))
    assert drawn["often"] / 2_000 == pytest.approx(0.75, abs=0.03)
    even = Counter(choose(weights, np.random.default_rng(seed)) for seed in range(2_000))
    assert even["often"] / 2_000 == pytest.approx(0.5, abs=0.035)


def test_a_talker_is_drawn_by_person_and_not_by_file(libraries: dict[str, Library]) -> None:
    """A corpus with many files of few people outweighs all others; and nobody babbles behind himself."""
    lib = libraries["test"]
    rng = np.random.default_rng(0)
    drawn = Counter(lib.draw_speech(rng).speaker for _ in range(1_500))
    assert set(drawn) == set(lib.talkers)
    assert max(drawn.values()) < 2.5 * 1_500 / len(lib.talkers)
    name = next(iter(lib.talkers))
    assert name not in {lib.draw_speech(rng, besides=(name,)).speaker for _ in range(300)}
    assert set(lib.without(name).talkers) == set(lib.talkers) - {name}


def test_a_noise_is_drawn_by_its_cause(libraries: dict[str, Library]) -> None:
    rng = np.random.default_rng(0)
    for lib in libraries.values():
        for cause in lib.causes:
            assert {lib.draw_noise(cause, rng).cause for _ in range(20)} == {cause}
        assert lib.draw_room(rng) in lib.rooms
        assert lib.draw_room(rng, at_least_s=60.0) is None
    with pytest.raises(ValueError, match="'echo'"):
        libraries["test"].draw_noise("echo", rng)
