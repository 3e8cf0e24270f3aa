"""Noise: how loud it arrives, how loops and pauses are made, and what is told of it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.small_library import write_library
from tests.support.speech import SAMPLE_RATE, talk
from training.language.causes import KINDS
from training.rating.curves import CURVES
from training.simulation.acoustics import FAMILIES, LOUDEST_DB, NOISES, loop, noise, place, sounding
from training.simulation.library import SPLITS, open_library
from training.simulation.made_noises import MADE
from training.simulation.measures import active_level
from training.simulation.stage import Materials

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the source audio is not beside the repository")
FAMILY = {family.name: family for family in FAMILIES}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library"))


def made(kind: str, snr_db: float, speech: np.ndarray, seed: int = 0) -> tuple[np.ndarray, dict[str, float]]:
    params = {"family": "steady", "kind": kind, "snr_db": snr_db}
    noisy, (degradation,) = noise(speech, params, Materials(Path()), np.random.default_rng(seed))
    return noisy - speech, dict(degradation.measures)


@pytest.mark.parametrize("kind", sorted(MADE))
@pytest.mark.parametrize("snr", [10.0, 40.0])
def test_noise_arrives_at_the_snr_that_was_asked(kind: str, snr: float) -> None:
    """Levels over all of the time: a loud knock now and then, scaled until its mean is that of a hiss."""
    added, measures = made(kind, snr, talk(6.0))
    assert measures["snr_db"] == pytest.approx(snr, abs=1.0)
    assert 0 < measures["share"] <= 1
    assert np.isfinite(added).all()


@pytest.mark.parametrize("kind", sorted(MADE))
def test_something_sounds_in_the_shortest_clip_and_differs_from_clip_to_clip(kind: str) -> None:
    """A pause between two keys may be longer than the clip."""
    sounds = [MADE[kind].make(SAMPLE_RATE // 2, np.random.default_rng(seed)) for seed in range(8)]
    assert all(sound.shape == (SAMPLE_RATE // 2,) and sound.any() for sound in sounds)
    assert len({sound.tobytes() for sound in sounds}) == 8


def test_what_sounds_now_and_then_is_measured_while_it_sounds() -> None:
    """A bark a minute brought to the level of rain."""
    sound = np.zeros(10 * SAMPLE_RATE)
    sound[:SAMPLE_RATE] = np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    level, heard = sounding(sound)
    assert level == pytest.approx(sounding(sound[:SAMPLE_RATE])[0], abs=0.2)
    assert np.mean(heard) == pytest.approx(0.1, abs=0.005)
    assert not sounding(np.zeros(SAMPLE_RATE))[1].any()


def test_a_faint_floor_between_two_barks_is_no_part_of_the_barks() -> None:
    barks = 0.001 * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)
    barks[:SAMPLE_RATE] *= 100
    assert np.mean(sounding(barks)[1]) == pytest.approx(0.25, abs=0.01)


def test_pauses_have_a_figure_of_their_own() -> None:
    """Steady noise in pauses lies as far under the speech as anywhere."""
    _, measures = made("white", 20.0, talk(6.0))
    assert measures["share"] == 1
    assert measures["snr_in_pauses_db"] == pytest.approx(20, abs=1)
    knocks = [made("knocks", 20.0, talk(6.0), seed)[1] for seed in range(10)]
    assert all(measures["snr_in_pauses_db"] > measures["snr_db"] + 3 for measures in knocks)


def test_rumble_overloads_nothing_and_says_how_faint_it_stayed() -> None:
    """Wind that must be louder than the voice to the ear is louder by 30 dB at the microphone."""
    speech = talk(6.0)
    for seed in range(12):
        added, measures = made("gusts", -15.0, speech, seed)
        assert 10 * np.log10(np.mean(added**2)) <= active_level(speech) + LOUDEST_DB + 0.5
        assert measures["snr_db"] >= -15.5


def test_nothing_is_added_to_silence() -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    params = {"family": "steady", "kind": "white", "snr_db": 10.0}
    after, done = noise(silence, params, Materials(Path()), np.random.default_rng(0))
    assert not after.any()
    assert done == ()


def test_a_loop_has_no_click_at_its_seam() -> None:
    """The end of a recording against its beginning: a jump as large as the signal."""
    time = np.arange(int(1.03 * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 97.3 * time + 1.0)
    for seed in range(20):
        looped = loop(tone, 5 * SAMPLE_RATE, np.random.default_rng(seed))
        assert np.abs(np.diff(looped)).max() < 2 * np.abs(np.diff(tone)).max()
        rough = np.abs(np.diff(looped, 2)).max()
        assert rough < 5 * np.abs(np.diff(tone, 2)).max(), "the slope jumps"


def test_a_loop_keeps_its_level_at_the_seam() -> None:
    """Two strangers that fade in proportion leave a hole of 3 dB."""
    recording = np.random.default_rng(0).standard_normal(SAMPLE_RATE // 4)
    power = np.mean([loop(recording, 20 * SAMPLE_RATE, np.random.default_rng(seed)) ** 2 for seed in range(4)], axis=0)
    assert 10 * np.log10(power.mean()) == pytest.approx(10 * np.log10(np.mean(recording**2)), abs=0.3)


def test_a_loop_of_rare_snaps_has_one() -> None:
    """A fire's hush between two snaps, brought to the level of a snap and called a crackle."""
    fire = 1e-4 * np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE)
    fire[7 * SAMPLE_RATE : 7 * SAMPLE_RATE + 200] = 0.5
    assert all(loop(fire, SAMPLE_RATE, np.random.default_rng(seed)).max() > 0.4 for seed in range(20))


def test_a_placed_recording_is_heard_wherever_its_sound_lies() -> None:
    """A bark at the end of a long recording, and a clip of two seconds from its beginning."""
    recording = np.zeros(20 * SAMPLE_RATE)
    recording[15 * SAMPLE_RATE : 16 * SAMPLE_RATE] = 0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    starts = []
    for seed in range(30):
        placed = place(recording, 2 * SAMPLE_RATE, np.random.default_rng(seed))
        assert placed.any()
        starts.append(int(np.flatnonzero(placed)[0]) % 320)
    assert len(set(starts)) > 3, "always at one phase of the frames"
    twice = place(recording[14 * SAMPLE_RATE : 17 * SAMPLE_RATE], 30 * SAMPLE_RATE, np.random.default_rng(0))
    assert np.diff((np.abs(twice) > 0).reshape(-1, 800).any(axis=1).astype(int)).clip(0).sum() >= 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("where", ["made", pytest.param("real", marks=needs_data)])
def test_every_cause_of_noise_is_drawn_in_every_split(where: str, split: str, root: Path) -> None:
    """A cause that the test asks for and training never had."""
    lib = open_library(root if where == "made" else DATA, split)
    materials = Materials(lib.root)
    kinds, names = set(), set()
    speech = talk(1.5)
    for family in FAMILIES:
        for seed in range(30):
            params = {"family": family.name, **family.draw(0.5, lib, np.random.default_rng(seed))}
            if params["kind"] in kinds:
                continue
            kinds.add(params["kind"])
            _, (degradation,) = family.apply(speech, params, materials, np.random.default_rng(seed))
            assert degradation.family == family.name
            assert family.name == "voices" or degradation.name in NOISES[family.name].causes
            names.add(degradation.name)
    noisy = {name for name, kind in KINDS.items() if kind.dimension == "noisiness"}
    known = lib.causes | {one.cause for one in MADE.values()} | {"voices"}
    assert names == (noisy if where == "real" else noisy & known)


def test_equal_steps_of_severity_are_equal_steps_of_what_is_rated(root: Path) -> None:
    """Half of all clips so noisy that nobody tells them apart, or so faint that nobody hears it."""
    lib = open_library(root, "train")
    speech = talk(4.0)
    for family in FAMILIES:
        ratings = []
        for severity in np.linspace(0, 1, 5):
            found = []
            for seed in range(4):
                params = {"family": family.name, **family.draw(severity, lib, np.random.default_rng(seed))}
                _, (done,) = family.apply(speech, params, Materials(lib.root), np.random.default_rng(seed))
                found.append(CURVES[done.name](done.measures))
            ratings.append(np.mean(found))
        assert 3.9 < ratings[0] < 4.45, family.name
        assert ratings[-1] < 1.6, family.name
        assert np.all(np.diff(ratings) < 0), family.name
        assert np.abs(np.diff(ratings)[:3] + 0.75).max() < 0.3, family.name


def test_a_babble_has_as_many_different_talkers_as_it_says(root: Path) -> None:
    """One voice twice, or the talker's own behind him."""
    lib = open_library(root, "test")
    name = next(iter(lib.talkers))
    counts = set()
    for seed in range(200):
        drawn = FAMILY["voices"].draw(0.5, lib.without(name), np.random.default_rng(seed))
        if "talkers" not in drawn:
            continue
        speakers = [next(s.speaker for s in lib.speech if s.file == file) for file in drawn["talkers"]]
        assert len(set(speakers)) == len(speakers)
        assert name not in speakers
        assert (drawn["kind"] == "other talker") == (len(speakers) == 1)
        counts.add(len(speakers))
    assert {1, 2, 3} <= counts
    assert max(counts) >= min(10, len(lib.talkers) - 1)


DIGEST = """
import hashlib, sys
from pathlib import Path
import numpy as np
from training.simulation import acoustics, rooms
from training.simulation.library import open_library
from training.simulation.stage import Materials
lib = open_library(Path(sys.argv[1]), "train")
speech = 0.1 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
digest = hashlib.sha256()
for family in (*acoustics.FAMILIES, *rooms.FAMILIES):
    for seed in range(3):
        params = {"family": family.name, **family.draw(0.6, lib, np.random.default_rng(seed))}
        signal, done = family.apply(speech, params, Materials(lib.root), np.random.default_rng(seed))
        digest.update(signal.tobytes() + repr((params, done)).encode())
print(digest.hexdigest())
"""


def test_a_fresh_process_with_other_threads_gives_the_same_samples(root: Path) -> None:
    """Sums in an order that a count of threads decides, or a hash that the process salts."""
    made_by = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(root)],
            env={"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads, "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert made_by[0] == made_by[1]
    assert len(made_by[0].strip()) == hashlib.sha256().digest_size * 2
