"""A simulated corpus: clean speech, noise and rooms in; degraded clips with ratings and causes out.

A clip follows from (split, index) alone; its seed names it in the table of labels. Samples lie in one flat int16 file
beside `rows.jsonl`. Captions are written when they are used, so that no clip is described twice in the same words, or
lie in `captions.jsonl` where a language model wrote them (writers.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from sqe_fast.jobs.lines import JsonLines
from training.configs import Corpus
from training.corpora.annotation import Annotation
from training.progress import track
from training.rating import labels, raters
from training.simulation.library import SPLITS, Library, Speech, Split, open_library, read
from training.simulation.measures import SAMPLE_RATE, Signal, a_weighted_gap, active_level
from training.simulation.recipes import draw_recipe
from training.simulation.simulate import run_stages
from training.simulation.stage import Materials, Params

ROWS, AUDIO = "rows.jsonl", "audio.i16"
QUIETEST_DB = -50.0
"""An excerpt whose active level lies below is nothing but a pause."""


@dataclass(frozen=True)
class Excerpt:
    speech: Speech
    start: int
    samples: Signal
    gap_db: float


def _draw_excerpt(lib: Library, rng: np.random.Generator) -> Excerpt:
    """One utterance cut to 1.2–6 s; sometimes the same speaker's (or the same clip's) joined to up to 29 s."""
    speech = lib.speech[int(rng.integers(len(lib.speech)))]
    samples = read(lib.root / "clean" / speech.file)
    gap = a_weighted_gap(samples)
    lot = rng.random()
    seconds = rng.uniform(1.2, 6) if lot < 0.84 else rng.uniform(6, 12) if lot < 0.97 else rng.uniform(12, 29)
    wanted = int(seconds * SAMPLE_RATE)
    if lot >= 0.84:
        same = [other for other in lib.speech if other.speaker == speech.speaker]
        while samples.size < wanted:
            samples = np.concatenate([samples, read(lib.root / "clean" / same[int(rng.integers(len(same)))].file)])
    start = int(rng.integers(max(1, samples.size - wanted + 1)))
    return Excerpt(speech, start, samples[start : start + wanted], gap)


def _materials(lib: Library, recipe: Sequence[Params]) -> Materials:
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


def make_clip(root: Path, split: Split, index: int, table: labels.Table) -> tuple[Signal, dict[str, Any]]:
    """Clip `index` of `split`: float32 samples [n] and its row. What `table` does not hold is judged (judges.py)."""
    lib = open_library(root, split)
    seed = SPLITS.index(split) * 10_000_000 + index
    rng = np.random.default_rng(seed)
    excerpt = _draw_excerpt(lib, rng)
    if active_level(excerpt.samples) < QUIETEST_DB:
        return make_clip(root, split, index + 5_000_000, table)
    recipe = draw_recipe(lib, rng)
    steps = run_stages(excerpt.samples, recipe, _materials(lib, recipe), seed)
    recorded = labels.checksum(recipe, excerpt.speech.file, excerpt.start, excerpt.samples.size)
    known, label = table.get(seed, (None, None))
    if label is None or known != recorded:
        label = labels.judge(steps)
    degradations = [step.degradation for step in steps]
    defects = raters.Defects(excerpt.gap_db, excerpt.speech.bandwidth_hz)
    ratings, alone = raters.rate(defects, degradations, label)
    row = {
        "split": split,
        "seed": seed,
        "speaker": excerpt.speech.speaker,
        "rated_by": "simulated",
        "condition": None,
        **ratings,
        "causes": [{**one.to_row(), "rating": rating} for one, rating in zip(degradations, alone, strict=True)],
        "recipe": recorded,
        "label": asdict(label),
    }
    return steps[-1].after, row


@cache
def _table() -> labels.Table:
    return labels.read(labels.TABLE)


def _make(job: tuple[Path, Split, int]) -> tuple[Signal, dict[str, Any]]:
    return make_clip(*job, _table())


def run(config: Corpus) -> str:
    """Build all splits from the folder to `simulate`; the name of the corpus's folder."""
    assert config.simulate
    folder, counts = config.run / "corpus", (config.train, config.validation, config.test)
    for split, count in zip(SPLITS, counts, strict=True):
        build(config.simulate, folder, split, count, config.workers)
    return str(folder)


def build(root: Path, output: Path, split: Split, count: int, workers: int) -> None:
    """Write `count` clips of `split` to OUTPUT/<split>/; goes on where an earlier run stopped."""
    with SplitWriter(output / split) as writer, ProcessPoolExecutor(workers, initializer=_one_thread) as pool:
        jobs = [(root, split, index) for index in range(writer.count, count)]
        for samples, row in track(pool.map(_make, jobs, chunksize=8), split, len(jobs)):
            writer.add(samples, row)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def collect_labels(corpus: Path) -> int:
    """Keep the labels of all built splits in the table, beside those it has; returns how many it holds then."""
    table = dict(labels.read(labels.TABLE))
    folders = [folder for folder in sorted(corpus.iterdir()) if folder.is_dir()]
    for row in (row for folder in folders for row in Clips.open(folder) if "label" in row):
        opinions = tuple(raters.Opinion(**opinion) for opinion in row["label"]["opinions"])
        table[row["seed"]] = (row["recipe"], raters.Label(row["label"]["distill_mos"], opinions))
    labels.write(((seed, recipe, label) for seed, (recipe, label) in table.items()), labels.TABLE)
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
        self._audio.write(np.round(samples * 32767).astype(np.int16).tobytes())
        self._audio.flush()
        self.rows.append({**row, **place})

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.rows.close()
        self._audio.close()


@dataclass(frozen=True)
class Clips:
    """One built split: annotations in memory, audio on demand from the mapped file."""

    annotations: tuple[Annotation, ...]
    pcm: np.memmap[Any, np.dtype[np.int16]]

    @classmethod
    def open(cls, folder: Path) -> Clips:
        annotations = tuple(json.loads(line) for line in (folder / ROWS).open())
        return cls(annotations, np.memmap(folder / AUDIO, np.int16, "r"))

    def audio(self, clip: Annotation) -> Signal:
        """Float32 [samples] at 16 kHz, within ±1."""
        return self.pcm[clip["offset"] : clip["offset"] + clip["samples"]].astype(np.float32) / 32767

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.annotations)

    def __len__(self) -> int:
        return len(self.annotations)
