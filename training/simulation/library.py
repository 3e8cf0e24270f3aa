"""Clean speech, noises and rooms, split so that validation and test share no talker, recording or room with training.

What belongs where follows from a name alone, never from a place in a list: a library may grow, and whatever was there
stays on its side.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import soundfile as sf

from training.simulation.measures import SAMPLE_RATE, Signal
from training.simulation.sources import CATEGORIES, HELD, LABELS, ROOMS, UNCLEAR, UNUSED_ROOMS

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

TEST_SOURCES = ("librispeech_test_other",)
"""Corpora whose own authors kept these talkers for testing."""
TRAINING_SOURCES = ("picovoice_intent", "asterisk_g722_it", "asterisk_g722_ru")
"""Talkers who cannot be told from one another, so that no held-out talker is surely new (picovoice_intent: over 50
talkers, no names), and speech that was coded before (asterisk)."""
HELD_OUT_TALKERS = {"test": 0.08, "validation": 0.07}
HELD_OUT_RECORDINGS = {"test": 0.2, "validation": 0.15}
NAMELESS_WEIGHT = 1 / 8
"""A file of picovoice_intent is one of about eight of its talker."""
_G722_HZ = 7000.0
_DEAL = (661).to_bytes(2, "big")
"""Salt of the hash: the first number with which each split has Arabic talkers and two recordings of each category that
has many."""
_Source = TypeVar("_Source")


@dataclass(frozen=True)
class Speech:
    """One file of clean speech."""

    file: str
    speaker: str
    """The same name is the same person, whatever the source."""
    bandwidth_hz: float
    language: str


@dataclass(frozen=True)
class Noise:
    """One file of noise."""

    file: str
    recording: str
    """Files of one recording share it."""
    category: str
    """What sounds: a key of sources.CATEGORIES."""
    cause: str
    """What a listener calls it: a key of causes.KINDS."""


@dataclass(frozen=True)
class Room:
    """One response, of one channel, of a room."""

    file: str
    room: str
    rt60_s: float


@dataclass(frozen=True)
class Library:
    """All sources of one split."""

    root: Path
    speech: tuple[Speech, ...]
    noises: tuple[Noise, ...]
    rooms: tuple[Room, ...]

    @cached_property
    def talkers(self) -> Mapping[str, tuple[Speech, ...]]:
        return _grouped(self.speech, lambda speech: speech.speaker)

    @cached_property
    def causes(self) -> frozenset[str]:
        """What the noises here are called."""
        return frozenset(noise.cause for noise in self.noises)

    def without(self, speaker: str) -> Library:
        """The same but for one talker: what may sound behind him or her."""
        return replace(self, speech=tuple(speech for speech in self.speech if speech.speaker != speaker))

    def draw_speech(self, rng: np.random.Generator, besides: Sequence[str] = ()) -> Speech:
        """A talker who is none of `besides`, each as likely; then one of his or her files."""
        weights = {
            name: NAMELESS_WEIGHT if name == files[0].file else 1.0
            for name, files in self.talkers.items()
            if name not in besides
        }
        files = {speech.file: speech for speech in self.talkers[choose(weights, rng, weights)]}
        return files[choose(files, rng)]

    def draw_noise(self, cause: str, rng: np.random.Generator) -> Noise:
        """A category of `cause`, as often as calls have it; then one of its recordings; then one of its files.
        ValueError where there is none."""
        fitting = [noise for noise in self.noises if noise.cause == cause]
        if not fitting:
            raise ValueError(f"no noise here is called {cause!r}; there are {', '.join(sorted(self.causes))}")
        categories = _grouped(fitting, lambda noise: noise.category)
        category = choose(categories, rng, {name: CATEGORIES[name].weight for name in categories})
        recordings = _grouped(categories[category], lambda noise: noise.recording)
        files = {noise.file: noise for noise in recordings[choose(recordings, rng)]}
        return files[choose(files, rng)]

    def draw_room(self, rng: np.random.Generator, at_least_s: float = 0.0) -> Room | None:
        """A room; then one of its responses, among those that ring for `at_least_s`. None where none does."""
        rooms = _grouped((response for response in self.rooms if response.rt60_s >= at_least_s), lambda r: r.room)
        if not rooms:
            return None
        files = {response.file: response for response in rooms[choose(rooms, rng)]}
        return files[choose(files, rng)]


def _grouped(sources: Iterable[_Source], name: Callable[[_Source], str]) -> dict[str, tuple[_Source, ...]]:
    groups: dict[str, list[_Source]] = {}
    for source in sources:
        groups.setdefault(name(source), []).append(source)
    return {key: tuple(group) for key, group in groups.items()}


@cache
def open_library(root: Path, split: Split) -> Library:
    """Sources of `split` from the folder's three sources.csv. ValueError for a noise whose category has no name."""
    tested = {row["speaker"] for row in _table(root / "clean") if row["source"] in TEST_SOURCES}
    speech = tuple(_speech(row) for row in _table(root / "clean") if _speech_split(row, tested) == split)
    noises = tuple(
        _noise(row)
        for row in _table(root / "noise")
        if not {row["file"], _stem(row["file"])} & UNCLEAR.keys()
        and _side(_recording(row), HELD_OUT_RECORDINGS) == split
    )
    responses = (Room(row["file"], _room(row["file"]), float(row["rt60_s"])) for row in _table(root / "rir"))
    rooms = tuple(
        response
        for response in responses
        if response.room not in UNUSED_ROOMS and _side(response.room, HELD_OUT_RECORDINGS) == split
    )
    return Library(root, speech, noises, rooms)


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sources.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def _speech(row: dict[str, str]) -> Speech:
    coded = "G.722" in row["note"]
    return Speech(row["file"], _talker(row), _G722_HZ if coded else float(row["bw_hz"]), row["language"])


def _talker(row: dict[str, str]) -> str:
    return row["file"] if row["speaker"].startswith("unknown") else row["speaker"]


def _speech_split(row: dict[str, str], tested: set[str]) -> Split:
    if row["speaker"] in tested:
        return "test"
    if row["source"] in TRAINING_SOURCES:
        return "train"
    return _side(row["speaker"], HELD_OUT_TALKERS)


def _side(name: str, held_out: Mapping[str, float]) -> Split:
    """Where it was put by hand, or else by a hash of the name: what is added moves nothing."""
    if name in HELD:
        return HELD[name]
    digest = hashlib.blake2b(name.encode(), salt=_DEAL, digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < held_out["test"]:
        return "test"
    return "validation" if place < held_out["test"] + held_out["validation"] else "train"


def _noise(row: dict[str, str]) -> Noise:
    named = LABELS.get(row["file"]) or LABELS.get(_stem(row["file"])) or row["category"].split(":")[-1].strip()
    if named not in CATEGORIES:
        raise ValueError(f"{row['file']}: no listener's name for {named!r}; add it to sources.CATEGORIES")
    return Noise(row["file"], _recording(row), named, CATEGORIES[named].cause)


def _recording(row: dict[str, str]) -> str:
    """Freesound's number where the licence tells it, in whatever collection; else the name without the piece's."""
    number = re.search(r"Freesound (\d+)", row["licence"])
    return f"freesound {number[1]}" if number else _stem(row["file"])


def _stem(file: str) -> str:
    return re.sub(r"_\d+$", "", file.removesuffix(".flac"))


def _room(file: str) -> str:
    return next((room for start, room in ROOMS.items() if file.startswith(start)), file)


def choose(names: Iterable[str], rng: np.random.Generator, weights: Mapping[str, float] | None = None) -> str:
    """One of `names`, each as likely, or as `weights` say. Of what is added to a library, a draw moves to the new name
    or stays: every name races with a time drawn from a hash of itself and of one number (exponential, its rate the
    weight), and the first is taken (rendezvous hashing)."""
    key = rng.bytes(8)
    return min(names, key=lambda name: _arrival(name, key) / (weights[name] if weights else 1.0))


def _arrival(name: str, key: bytes) -> float:
    digest = hashlib.blake2b(name.encode(), key=key, digest_size=8).digest()
    return -float(np.log((int.from_bytes(digest, "big") + 1) / (2**64 + 1)))


def read(path: Path) -> Signal:
    samples, rate = sf.read(path, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError(f"{path} must be 16 kHz mono")
    return np.asarray(samples, np.float32)
