"""Clean speech, noises and rooms, split so that validation and test share no speaker, noise or room with training."""

from __future__ import annotations

import csv
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf

from training.simulation.measures import SAMPLE_RATE, Signal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

TEST_SOURCES = ("librispeech_test_other",)
HELD_OUT_NOISES = {
    "test": ("9a12b4b8", "dishes_04", "dishes_05", "kitchen_06", "bg_noise8", "bike_03"),
    "validation": ("a7b4879b", "dishes_03", "kitchen_07", "bg_noise9", "bike_02"),
}
CATEGORIES = {"street/urban": "street", "room/microphone background": "room"}


@dataclass(frozen=True)
class Speech:
    file: str
    speaker: str
    bandwidth_hz: float


@dataclass(frozen=True)
class Library:
    """All sources of one split."""

    root: Path
    speech: tuple[Speech, ...]
    noises: tuple[tuple[str, str], ...]  # (file, category)
    rooms: tuple[str, ...]


@cache
def open_library(root: Path, split: Split) -> Library:
    """Sources of `split` from the folder's three sources.csv."""
    speech = tuple(
        Speech(
            row["file"],
            row["speaker"] if row["speaker"].startswith("LS") else row["file"],
            _bandwidth(row),
        )
        for row in _table(root / "clean")
        if _speech_split(row) == split
    )
    noises = tuple(
        (row["file"], CATEGORIES.get(row["category"].split(":")[0], row["category"].split(":")[0]))
        for row in _table(root / "noise")
        if _noise_split(row["file"]) == split
    )
    rooms = tuple(row["file"] for row in _table(root / "rir") if _room_split(row["file"]) == split)
    return Library(root, speech, noises, rooms)


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sources.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def _bandwidth(row: dict[str, str]) -> float:
    return 7000.0 if "G.722" in row["note"] else float(row["bw_hz"])


def _speech_split(row: dict[str, str]) -> Split:
    if row["source"] in TEST_SOURCES:
        return "test"
    held_out = row["speaker"].startswith("LS") and zlib.crc32(row["speaker"].encode()) % 10 == 0
    return "validation" if held_out else "train"


def _noise_split(file: str) -> Split:
    for split, names in HELD_OUT_NOISES.items():
        if any(name in file for name in names):
            return split  # type: ignore[return-value]
    return "train"


def _room_split(file: str) -> Split:
    if "seminar" in file:
        return "test"
    return "validation" if zlib.crc32(file.encode()) % 6 == 0 else "train"


def choose(names: Sequence[str], rng: np.random.Generator) -> str:
    """One of `names`, each as likely. Of what is added to a library, a draw moves to the new name or stays: every name
    is weighed by a hash of itself and of one number drawn, and the heaviest is taken."""
    key = rng.bytes(8)
    return max(names, key=lambda name: hashlib.blake2b(name.encode(), key=key, digest_size=8).digest())


def read(path: Path) -> Signal:
    samples, rate = sf.read(path, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError(f"{path} must be 16 kHz mono")
    return np.asarray(samples, np.float32)
