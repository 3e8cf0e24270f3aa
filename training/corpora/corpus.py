"""A simulated corpus: clean speech, noise and rooms in; degraded clips with their causes and other evidence out.

A clip follows from (split, index) alone; its seed names it in the table of labels. Samples lie in one flat int16 file
beside `rows.jsonl`, what the judges say of them in `witness.jsonl`. Ratings are computed from this evidence when a
split is opened. Captions are written when they are used, so that no clip is described twice in the same words, or lie
in `captions.jsonl` where a language model wrote them (writers.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sqe_fast.jobs.lines import JsonLines
from training.configs import Corpus
from training.corpora.annotation import Annotation
from training.language.causes import dimension_of
from training.progress import track
from training.rating import labels, listener
from training.simulation.calls import around
from training.simulation.library import SPLITS, Library, Split, choose, open_library
from training.simulation.measures import (
    SAMPLE_RATE,
    Signal,
    a_weighted_gap,
    active_level,
    clip_measures,
    spectral_distance,
)
from training.simulation.recipes import draw_recipe
from training.simulation.simulate import apply
from training.simulation.stage import Materials, Params, to_level
from training.streams import Stream, stream

ROWS, AUDIO, WITNESS = "rows.jsonl", "audio.i16", "witness.jsonl"
HUMAN = "human"
"""Beside SPLITS, clips that people's panels rated: to train on, not simulated, of no split."""
CLIPS_OF_A_SPLIT = 10_000_000
"""Seeds of the next split begin so much higher."""
QUIETEST_DB = -50.0
"""An excerpt whose active level lies below is nothing but a pause."""
FAINTEST_DB = -75.0
"""A clip below holds nothing any more (a voice detector that never opened): other degradations are drawn."""
LENGTHS = {(1.0, 2.0): 0.15, (2.0, 6.0): 0.58, (6.0, 12.0): 0.23, (12.0, 29.0): 0.04}
"""Seconds of speech in a clip, and how often: streams are rated in short windows."""
_CROSSFADE = 320  # samples, 20 ms: where two recordings of a talker are joined


# --- one clip ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Excerpt:
    """Clean speech of one talker."""

    files: tuple[str, ...]
    """Recordings, joined in this order."""
    start: int
    speaker: str
    samples: Signal
    defects: Mapping[str, float]
    """Of the first recording: `floor_db`, dB from its speech to its own floor (A-weighted), and `high_hz`, where its
    band ends."""


def draw_excerpt(lib: Library, rng: np.random.Generator) -> Excerpt:
    """Of one talker 1 to 12 s, sometimes up to 29 s; a recording that is shorter is the whole clip, or goes on with
    another of the same talker's."""
    while True:
        excerpt = _draw_excerpt(lib, rng)
        if active_level(excerpt.samples) >= QUIETEST_DB:
            return excerpt


def _draw_excerpt(lib: Library, rng: np.random.Generator) -> Excerpt:
    materials, first = Materials(lib.root), lib.draw_speech(rng)
    shortest, longest = list(LENGTHS)[int(rng.choice(len(LENGTHS), p=list(LENGTHS.values())))]
    wanted = int(rng.uniform(shortest, longest) * SAMPLE_RATE)
    files, samples = [first.file], materials.speech(first.file)
    floor_db = a_weighted_gap(samples)
    joined = wanted > 6 * SAMPLE_RATE or rng.random() < 0.3
    while joined and samples.size < wanted:
        files.append(choose([speech.file for speech in lib.talkers[first.speaker]], rng))
        samples = _join(samples, materials.speech(files[-1]))
    start = int(rng.integers(max(1, samples.size - wanted + 1)))
    defects = {"floor_db": round(floor_db, 2), "high_hz": first.bandwidth_hz}
    return Excerpt(tuple(files), start, first.speaker, samples[start : start + wanted], defects)


def _join(first: Signal, second: Signal) -> Signal:
    """As loud as the first, one fading into the other."""
    second = to_level(second, active_level(first))
    fade = np.linspace(0, 1, _CROSSFADE, dtype=np.float32)
    seam = first[-_CROSSFADE:] * (1 - fade) + second[:_CROSSFADE] * fade
    return np.concatenate([first[:-_CROSSFADE], seam, second[_CROSSFADE:]])


def make_clip(root: Path, split: Split, index: int) -> tuple[Signal, dict[str, Any]]:
    """Clip `index` of `split`: float32 samples [n] in steps of 16 bits, and its row: no ratings, no witness."""
    if not 0 <= index < CLIPS_OF_A_SPLIT:
        raise ValueError(f"a split holds clips 0 to {CLIPS_OF_A_SPLIT - 1}, not {index}")
    lib = open_library(root, split)
    seed = SPLITS.index(split) * CLIPS_OF_A_SPLIT + index
    excerpt, drawn = draw_excerpt(lib, stream(Stream.CLIP_EXCERPT, seed)), stream(Stream.CLIP_RECIPE, seed)
    others = lib.without(excerpt.speaker)
    while True:
        recipe = draw_recipe(others, drawn)
        degraded, degradations = apply(excerpt.samples, recipe, Materials(root), seed)
        if active_level(degraded) >= FAINTEST_DB:
            break
    stored = _to_float(_to_pcm(degraded))
    row = {
        "split": split,
        "seed": seed,
        "speaker": excerpt.speaker,
        "rated_by": "simulated",
        "condition": None,
        "causes": [_rounded(degradation.to_row()) for degradation in degradations],
        "defects": excerpt.defects,
        "measures": _rounded(_measures(excerpt.samples, stored, recipe)),
        "recipe": recipe,
        "checksum": labels.checksum(recipe, excerpt.files, excerpt.start, excerpt.samples.size),
    }
    return stored, row


def _measures(clean: Signal, degraded: Signal, recipe: Sequence[Params]) -> dict[str, float]:
    """Those of the whole clip, and where it is as long as the clean one `spectral_db`, their spectral distance."""
    handled = next((stage for stage in recipe if stage["family"] == "handling"), None)
    before, after = around(handled, clean.size) if handled else (0, 0)
    spoken = degraded[before : degraded.size - after]
    found = clip_measures(degraded)
    if spoken.size == clean.size:
        found["spectral_db"] = spectral_distance(clean, spoken)
    return found


def _rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    """Figures to four decimals, at any depth: more is not known, and takes room."""
    return {
        name: _rounded(value) if isinstance(value, Mapping) else round(value, 4) if isinstance(value, float) else value
        for name, value in found.items()
    }


# --- building ---------------------------------------------------------------------------------------------------------


def run(config: Corpus) -> str:
    """Build all splits from the folder to `simulate`, and judge them unless told not to; the corpus's folder."""
    assert config.simulate
    folder, counts = config.run / "corpus", (config.train, config.validation, config.test)
    for split, count in zip(SPLITS, counts, strict=True):
        build(config.simulate, folder, split, count, config.workers)
    for split in SPLITS if config.judge else ():
        judge(folder / split, config.workers)
    return str(folder)


def build(root: Path, output: Path, split: Split, count: int, workers: int) -> None:
    """Write `count` clips of `split` to OUTPUT/<split>/; goes on where an earlier run stopped."""
    with SplitWriter(output / split) as writer, ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
        jobs = [(root, split, index) for index in range(writer.count, count)]
        for samples, row in track(pool.map(_make, jobs, chunksize=8), split, len(jobs)):
            writer.add(samples, row)


def _make(job: tuple[Path, Split, int]) -> tuple[Signal, dict[str, Any]]:
    return make_clip(*job)


def judge(folder: Path, workers: int) -> None:
    """Ask the judges about each clip of a built split; goes on where an earlier run stopped. Clips that the table holds
    with the same checksum are not judged again."""
    table = labels.read(labels.TABLE)
    with JsonLines(folder / WITNESS) as said, ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
        known = {(entry["seed"], entry["checksum"]) for entry in said.entries}
        rows = [row for row in _lines(folder / ROWS) if (row["seed"], row["checksum"]) not in known]
        jobs = [(folder, row, table.get(row["seed"])) for row in rows]
        for entry in track(pool.map(_judge, jobs, chunksize=8), f"{folder.name}, judged", len(jobs)):
            said.append(entry)


def _judge(job: tuple[Path, Annotation, tuple[int, labels.Opinions] | None]) -> dict[str, Any]:
    folder, row, (checksum, opinions) = job[0], job[1], job[2] or (None, {})
    if checksum != row["checksum"]:
        opinions = _opinions(folder, row)
    return {"seed": row["seed"], "checksum": row["checksum"], "witness": opinions}


def _opinions(folder: Path, row: Annotation) -> labels.Opinions:
    from training.rating import judges

    pcm = np.memmap(folder / AUDIO, np.int16, "r", 2 * row["offset"], (row["samples"],))
    torn = any(dimension_of(cause) == "discontinuity" for cause in row["causes"])
    return judges.witness(_to_float(pcm), discontinuous=torn)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def collect_labels(corpus: Path) -> int:
    """Keep what the judges said of all built splits in the table, beside what it has; how many clips it holds then."""
    table = dict(labels.read(labels.TABLE))
    for folder in sorted(folder for folder in corpus.iterdir() if (folder / WITNESS).is_file()):
        for entry in _lines(folder / WITNESS):
            table[entry["seed"]] = (entry["checksum"], entry["witness"])
    labels.write(table, labels.TABLE)
    return len(table)


class SplitWriter:
    """Appends clips to FOLDER/audio.i16 and FOLDER/rows.jsonl. A run that was cut off goes on after the last whole
    row. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.rows = JsonLines(folder / ROWS)
        self._audio: IO[bytes] = (folder / AUDIO).open("ab")
        last = self.rows.entries[-1] if self.rows.entries else {"offset": 0, "samples": 0}
        self._audio.truncate(2 * (last["offset"] + last["samples"]))  # int16; what lies beyond has no row
        self._audio.seek(0, 2)

    @property
    def count(self) -> int:
        return len(self.rows.entries)

    def add(self, samples: Signal, row: Annotation) -> None:
        """`samples`: float32 [n] within ±1, 16 kHz. The row gains `offset` and `samples`."""
        place = {"offset": self._audio.tell() // 2, "samples": samples.size}
        self._audio.write(_to_pcm(samples).tobytes())
        self._audio.flush()
        self.rows.append({**row, **place})

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.rows.close()
        self._audio.close()


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clips:
    """One built split: annotations in memory, audio on demand from the mapped file."""

    annotations: tuple[Annotation, ...]
    pcm: np.memmap[Any, np.dtype[np.int16]]

    @classmethod
    def open(cls, folder: Path) -> Clips:
        """Rates the simulated clips by what is recorded of them. Raises ValueError where the judges were not asked."""
        return cls(tuple(_rated(row) for row in witnessed(folder)), np.memmap(folder / AUDIO, np.int16, "r"))

    def audio(self, clip: Annotation) -> Signal:
        """Float32 [samples] at 16 kHz, within ±1."""
        return _to_float(self.pcm[clip["offset"] : clip["offset"] + clip["samples"]])

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.annotations)

    def __len__(self) -> int:
        return len(self.annotations)


@dataclass(frozen=True)
class Both:
    """Simulated clips, and beside them those that people rated (human.py): a row's audio is found in either."""

    clips: Clips
    human: Clips

    def audio(self, clip: Annotation) -> Signal:
        """Float32 [samples] at 16 kHz, within ±1."""
        return (self.human if clip.get("split") == HUMAN else self.clips).audio(clip)


def witnessed(folder: Path) -> Iterator[Annotation]:
    """The rows of a built split, the simulated ones with what the judges said. ValueError where they were not asked."""
    path = folder / WITNESS
    said = {(entry["seed"], entry["checksum"]): entry["witness"] for entry in _lines(path)} if path.is_file() else {}
    for row in _lines(folder / ROWS):
        if row["rated_by"] != "simulated":
            yield row
        elif (row["seed"], row["checksum"]) in said:
            yield {**row, "witness": said[row["seed"], row["checksum"]]}
        else:
            raise ValueError(f"{folder}: clip {row['seed']} was not judged: run `python -m training corpus` to its end")


def _rated(row: Annotation) -> Annotation:
    if row["rated_by"] != "simulated":
        return row
    causes = [{**cause, "rating": rating} for cause, rating in zip(row["causes"], listener.alone(row), strict=True)]
    return {**row, **listener.rate(row), "causes": causes}


def _lines(path: Path) -> Iterator[Any]:
    with path.open() as lines:
        yield from map(json.loads, lines)


def _to_pcm(samples: Signal) -> npt.NDArray[np.int16]:
    return np.round(samples * 32767).astype(np.int16)


def _to_float(pcm: npt.NDArray[np.int16]) -> Signal:
    return pcm.astype(np.float32) / 32767
