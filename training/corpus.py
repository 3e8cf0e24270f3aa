"""A simulated corpus: clean speech, noise and rooms in; degraded clips with ratings and causes out.

A clip follows from (split, index) alone. Speakers, noises, rooms and seeds of validation and test occur in no other
split. Samples lie in one flat int16 file beside `rows.jsonl`; captions are written when they are used, so that no clip
is described twice in the same words.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile as sf
from rich.progress import track

from training import raters
from training.measures import SAMPLE_RATE, Signal, active_level
from training.simulate import CODECS, STAGES, Materials, Params, apply

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

TEST_SOURCES = ("librispeech_test_other",)
HELD_OUT_NOISES = {
    "test": ("9a12b4b8", "dishes_04", "dishes_05", "kitchen_06", "bg_noise8", "bike_03"),
    "validation": ("a7b4879b", "dishes_03", "kitchen_07", "bg_noise9", "bike_02"),
}
CATEGORIES = {"street/urban": "street", "room/microphone background": "room"}

CODEC_RATES: dict[str, tuple[int | None, ...]] = {
    "opus": (6_000, 8_000, 10_000, 12_000, 16_000, 24_000),
    "mp3": (8_000, 16_000, 24_000, 32_000),
    "aac": (8_000, 12_000, 16_000, 24_000),
    "amr-nb": (4_750, 5_900, 7_950, 12_200),
    "g722": (64_000,),
    "g711": (None,),
}
assert CODEC_RATES.keys() == CODECS.keys()


@dataclass(frozen=True)
class Speech:
    file: str
    speaker: str
    source: raters.Source


@dataclass(frozen=True)
class Library:
    """All sources of one split."""

    root: Path
    speech: tuple[Speech, ...]
    noises: tuple[tuple[str, str], ...]  # (file, category)
    rooms: tuple[str, ...]


@cache
def library(root: Path, split: Split) -> Library:
    """Sources of `split` from the folder's three sources.csv."""
    speech = tuple(
        Speech(
            row["file"],
            row["speaker"] if row["speaker"].startswith("LS") else row["file"],
            raters.Source(float(row["level_db"]), float(row["gap_db"]), _bandwidth(row)),
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


# --- recipes ------------------------------------------------------------------------------------------

NOISINESS, COLORATION, DISCONTINUITY, LOUDNESS = 0.38, 0.4, 0.33, 0.3
"""How often each dimension is degraded; independently, so that every mixture occurs, and clips without any fault."""


def draw_recipe(lib: Library, rng: np.random.Generator) -> tuple[Params, ...]:
    """Stages in the order of a call. Severities are drawn evenly over the *rating* they cause."""
    stages: list[Params] = []
    if rng.random() < COLORATION:
        stages += [_draw_coloration(lib, rng) for _ in range(2 if rng.random() < 0.25 else 1)]
    if rng.random() < NOISINESS:
        stages.append(_draw_noise(lib, rng))
    if rng.random() < DISCONTINUITY:
        stages.append(_draw_discontinuity(rng))
    stages.append({"stage": "level", "level_dbov": _draw_level(rng)})
    order = list(STAGES)
    return tuple(sorted(stages, key=lambda stage: order.index(stage["stage"])))


def _severity(knots: Sequence[tuple[float, float]], rng: np.random.Generator, best: float = 4.7) -> float:
    """The measure at which a curve takes a rating drawn evenly from 1 to `best`."""
    ascending = sorted((rating, measure) for measure, rating in knots)
    return float(np.interp(rng.uniform(1.0, best), [r for r, _ in ascending], [m for _, m in ascending]))


def _draw_noise(lib: Library, rng: np.random.Generator) -> Params:
    snr = _severity(raters.NOISE, rng)
    lot = rng.random()
    if lot < 0.4:
        return {"stage": "noise", "kind": str(rng.choice(["white", "pink", "hum", "hiss"])), "snr_db": snr}
    if lot < 0.55:
        talkers = [int(i) for i in rng.integers(len(lib.speech), size=int(rng.integers(4, 9)))]
        return {"stage": "noise", "kind": "babble", "source": "babble", "talkers": talkers, "snr_db": snr}
    category = str(rng.choice(sorted({category for _, category in lib.noises})))
    file = str(rng.choice([file for file, kind in lib.noises if kind == category]))
    return {"stage": "noise", "kind": category, "source": file, "snr_db": snr}


def _draw_coloration(lib: Library, rng: np.random.Generator) -> Params:
    stage = str(rng.choice(["reverb", "mnru", "clip", "band", "codec"], p=[0.18, 0.15, 0.22, 0.27, 0.18]))
    match stage:
        case "reverb" if rng.random() < 0.35:
            return {"stage": stage, "kind": "real", "source": str(rng.choice(lib.rooms))}
        case "reverb":
            direct = float(rng.uniform(-6, 12))
            return {"stage": stage, "kind": "simulated", "rt60_s": float(rng.uniform(0.2, 1.5)), "direct_db": direct}
        case "mnru":
            return {"stage": stage, "q_db": _severity(raters.DISTORTION, rng)}
        case "clip":
            return {"stage": stage, "headroom_db": float(rng.uniform(-12, 11))}
        case "band":
            lot = rng.random()
            low = 300.0 if lot < 0.2 else _severity(raters.HIGH_PASS, rng) if lot > 0.85 else 0.0
            high = 3400.0 if lot < 0.2 else 8000.0 if lot > 0.85 else _severity(raters.LOW_PASS, rng)
            return {"stage": stage, "low_hz": low, "high_hz": high}
    kind = str(rng.choice(list(CODEC_RATES)))
    rate = CODEC_RATES[kind][int(rng.integers(len(CODEC_RATES[kind])))]
    return {"stage": "codec", "kind": kind, "bit_rate": rate}


def _draw_discontinuity(rng: np.random.Generator) -> Params:
    share = _severity(raters.LOST_SHARE, rng, best=4.5)
    if rng.random() < 0.2:
        return {"stage": "stutter", "piece_s": float(rng.uniform(0.04, 0.12)), "per_second": min(share * 12, 5.0)}
    kind = str(rng.choice(["silence", "repeat"], p=[0.7, 0.3]))
    return {"stage": "loss", "kind": kind, "rate": min(share, 0.5), "burst": float(rng.uniform(1.2, 5))}


def _draw_level(rng: np.random.Generator) -> float:
    if rng.random() < LOUDNESS:
        falling = [knot for knot in raters.LEVEL if knot[0] <= -20]
        return _severity(falling, rng)
    return float(rng.uniform(-29, -16))


# --- clips ------------------------------------------------------------------------------------------


def read(path: Path) -> Signal:
    samples, rate = sf.read(path, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise ValueError(f"{path} must be 16 kHz mono")
    return np.asarray(samples, np.float32)


def _draw_speech(lib: Library, rng: np.random.Generator) -> tuple[Signal, raters.Source, str]:
    """One utterance cut to 1.2–6 s; sometimes the same speaker's (or the same clip's) joined to up to 29 s."""
    speech = lib.speech[int(rng.integers(len(lib.speech)))]
    samples = read(lib.root / "clean" / speech.file)
    lot = rng.random()
    seconds = rng.uniform(1.2, 6) if lot < 0.84 else rng.uniform(6, 12) if lot < 0.97 else rng.uniform(12, 29)
    wanted = int(seconds * SAMPLE_RATE)
    if lot >= 0.84:
        same = [other for other in lib.speech if other.speaker == speech.speaker]
        while samples.size < wanted:
            samples = np.concatenate([samples, read(lib.root / "clean" / same[int(rng.integers(len(same)))].file)])
    start = int(rng.integers(max(1, samples.size - wanted + 1)))
    return samples[start : start + wanted], speech.source, speech.speaker


def _materials(lib: Library, recipe: Sequence[Params], rng: np.random.Generator) -> Materials:
    noises, rooms = {}, {}
    for params in recipe:
        if params["stage"] == "noise" and "talkers" in params:
            noises["babble"] = _babble(lib, params["talkers"])
        elif params["stage"] == "noise" and "source" in params:
            noises[params["source"]] = read(lib.root / "noise" / params["source"])
        elif params["stage"] == "reverb" and "source" in params:
            rooms[params["source"]] = read(lib.root / "rir" / params["source"])
    return Materials(noises, rooms)


def _babble(lib: Library, talkers: Sequence[int]) -> Signal:
    voices = [read(lib.root / "clean" / lib.speech[index].file) for index in talkers]
    size = max(voice.size for voice in voices)
    mixed = sum(np.resize(voice, size) / (np.sqrt(np.mean(voice**2)) + 1e-6) for voice in voices)
    return np.asarray(mixed, np.float32) * 0.05


def make_clip(root: Path, split: Split, index: int) -> tuple[Signal, dict[str, Any]]:
    """Clip `index` of `split`: samples and its row. Raises nothing for a valid source folder."""
    lib = library(root, split)
    seed = SPLITS.index(split) * 10_000_000 + index
    rng = np.random.default_rng(seed)
    clean, source, speaker = _draw_speech(lib, rng)
    if active_level(clean) < -50:  # an excerpt of nothing but a pause
        return make_clip(root, split, index + 5_000_000)
    recipe = draw_recipe(lib, rng)
    degraded, causes = apply(clean, recipe, _materials(lib, recipe, rng), seed)
    row = {
        "split": split,
        "seed": seed,
        "speaker": speaker,
        "rated_by": "simulated",
        **raters.rate(source, causes),
        "causes": [{**cause.to_row(), "rating": round(raters.rate_cause(cause), 2)} for cause in causes],
    }
    return degraded, row


def _make_int16(job: tuple[Path, Split, int]) -> tuple[bytes, dict[str, Any]]:
    samples, row = make_clip(*job)
    return np.round(samples * 32767).astype(np.int16).tobytes(), row


def build(root: Path, output: Path, split: Split, count: int, workers: int = 2) -> None:
    """Write `count` clips of `split` to OUTPUT/<split>/; goes on where an earlier run stopped."""
    folder = output / split
    folder.mkdir(parents=True, exist_ok=True)
    done = sum(1 for _ in (folder / "rows.jsonl").open()) if (folder / "rows.jsonl").exists() else 0
    jobs = [(root, split, index) for index in range(done, count)]
    with (
        (folder / "audio.i16").open("ab") as audio,
        (folder / "rows.jsonl").open("a") as rows,
        ProcessPoolExecutor(workers) as pool,
    ):
        for samples, row in track(pool.map(_make_int16, jobs, chunksize=16), split, len(jobs)):
            offset = audio.tell() // 2
            audio.write(samples)
            rows.write(json.dumps({**row, "offset": offset, "samples": len(samples) // 2}) + "\n")


@dataclass(frozen=True)
class Clips:
    """One built split in memory: rows, and samples on demand from the mapped file."""

    rows: tuple[dict[str, Any], ...]
    audio: np.memmap[Any, np.dtype[np.int16]]

    @classmethod
    def open(cls, folder: Path) -> Clips:
        rows = tuple(json.loads(line) for line in (folder / "rows.jsonl").open())
        return cls(rows, np.memmap(folder / "audio.i16", np.int16, "r"))

    def samples(self, row: dict[str, Any]) -> Signal:
        return self.audio[row["offset"] : row["offset"] + row["samples"]].astype(np.float32) / 32767

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
