"""A corpus of captions on disk: ask a writer, check what it wrote, ask again, keep what passes and count the rest.

Beside a split's rows lie `captions.jsonl` ({"seed", "texts"}), `arguments.jsonl` ({"a", "b", "verdict", "text"}; clips
by seed, the text being the reasons that follow `argument.conclusion`) and `rejected.jsonl`: every text that was turned
down, and why.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sqe_fast.answer.scale import verdict
from sqe_fast.audio.features import MAX_FRAMES, frame_count
from sqe_fast.jobs.lines import JsonLines
from training.configs import Asking, Captions
from training.corpora.annotation import Annotation
from training.corpora.corpus import Clips
from training.language.causes import listed
from training.language.problems import Problem
from training.language.read_back import ReadBack
from training.language.scale import shown
from training.language.writers import Unusable, Writer, open_writer
from training.progress import CONSOLE
from training.simulation.library import SPLITS
from training.streams import Stream, stream

CAPTIONS, ARGUMENTS, REJECTED = "captions.jsonl", "arguments.jsonl", "rejected.jsonl"


@dataclass(frozen=True)
class Rejection:
    text: str
    problems: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What came of one question: a text that passed, or none; and what was turned down on the way."""

    text: str | None
    rejected: tuple[Rejection, ...]


@dataclass
class Tally:
    """How the writing went, counted up over a run."""

    written: int = 0
    given_up: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Texts turned down, by kind of problem; a text with two kinds counts under both."""

    def add(self, asked: Asked) -> None:
        self.written += asked.text is not None
        self.given_up += asked.text is None
        for rejection in asked.rejected:
            self.rejected.update(set(rejection.kinds))

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.rejected.most_common())
        return f"{self.written} written, {self.given_up} given up; turned down: {kinds or 'none'}"


def ask(write: Callable[[], str], check: Callable[[str], list[Problem]], tries: int) -> Asked:
    """Ask until a text passes, at most `tries` times. Unusable answers are turned down; other errors are raised."""
    rejected = []
    for _ in range(tries):
        text = ""
        try:
            text = write()
            found = check(text)
        except Unusable as error:
            rejected.append(Rejection(text, (str(error),), ("unusable",)))
            continue
        if not found:
            return Asked(text, tuple(rejected))
        rejected.append(Rejection(text, tuple(map(str, found)), tuple(problem.kind for problem in found)))
    return Asked(None, tuple(rejected))


class Judge(Protocol):
    """Says what is wrong with a text: `read_back.ReadBack` of any words, the module `problems` of the stock's. Raises
    Unusable where it cannot tell, WriterError where asking again is of no use."""

    def of_description(self, text: str, row: Annotation, listed: Collection[str]) -> list[Problem]: ...

    def of_argument(
        self, text: str, a: Annotation, b: Annotation, listed: tuple[Collection[str], Collection[str]]
    ) -> list[Problem]: ...


def description_problems(text: str, row: Annotation, judge: Judge) -> list[Problem]:
    """The judge's, and those of the answer template: the MOS is the only figure, with a space before it."""
    numbers = re.findall(r"(?<![^ ])\d+\.\d(?!\d)|\d+", text)
    found = judge.of_description(text, row, listed(row))
    if numbers != [f"{shown(row)['mos']:.1f}"]:
        found.append(Problem("form", "the MOS, with one decimal and a space before it, has to be the only figure"))
    return found


def reasons_problems(text: str, a: Annotation, b: Annotation, judge: Judge) -> list[Problem]:
    """The judge's for the reasons that follow the conclusion; reasons hold no figures."""
    found = judge.of_argument(text, a, b, (listed(a), listed(b)))
    if re.search(r"\d", text):
        found.append(Problem("form", "the reasons must hold no figures"))
    return found


# --- writing ------------------------------------------------------------------------------------------------------


def run(config: Captions) -> str:
    """Have the language model that `config` names write the captions of every built split; how that went."""
    writer = open_writer(config)
    tallies = []
    for split in SPLITS:
        folder = config.split(split)
        rows, judge = Clips.open(folder).annotations, ReadBack(writer.chat)
        tallies.append(f"{split}: {write_captions(rows, writer, judge, folder, config.asking)}")
    return "\n".join(tallies)


def write_captions(rows: Sequence[Annotation], writer: Writer, judge: Judge, folder: Path, plan: Asking) -> Tally:
    """Write descriptions of each row, and arguments for pairs of them, into FOLDER; what `judge` objects to is written
    again. Goes on where a run stopped.

    What is asked of a clip depends on the plan's seed and the clip alone, not on threads or on where a run stopped.
    Raises ValueError for pairs of fewer than two clips, WriterError where the writer fails; all that was finished is
    kept.
    """
    if plan.pairs and len(rows) < 2:
        raise ValueError("pairs need at least two clips")
    tally = Tally()

    def describe(row: Annotation) -> tuple[dict[str, Any], list[Asked]]:
        streams = [stream(Stream.CAPTION, plan.seed, row["seed"], k) for k in range(plan.per_clip)]
        check = partial(description_problems, row=row, judge=judge)
        asked = [ask(partial(writer.describe, row, listed(row), rng), check, plan.tries) for rng in streams]
        return {"seed": row["seed"], "texts": [each.text for each in asked if each.text is not None]}, asked

    def argue(pair: tuple[Annotation, Annotation]) -> tuple[dict[str, Any], list[Asked]]:
        a, b = pair
        rng = stream(Stream.ARGUMENT, plan.seed, a["seed"], b["seed"])
        asked = ask(partial(writer.argue, a, b, rng), partial(reasons_problems, a=a, b=b, judge=judge), plan.tries)
        outcome = verdict(a["mos"], b["mos"])
        return {"a": a["seed"], "b": b["seed"], "verdict": outcome, "text": asked.text}, [asked]

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        JsonLines(folder / CAPTIONS) as captions,
        JsonLines(folder / ARGUMENTS) as arguments,
        JsonLines(folder / REJECTED) as rejected,
        Progress(*columns, console=CONSOLE) as progress,
    ):
        described = {entry["seed"] for entry in captions.entries}
        argued = {(entry["a"], entry["b"]) for entry in arguments.entries}
        waiting = [row for row in rows if row["seed"] not in described]
        chosen = [(rows[a], rows[b]) for a, b in draw_pairs(len(rows), plan.pairs, plan.seed)]
        unargued = [(a, b) for a, b in chosen if (a["seed"], b["seed"]) not in argued]
        for name, kept, work, jobs in (
            ("captions", captions, describe, waiting),
            ("arguments", arguments, argue, unargued),
        ):
            task = progress.add_task(name, total=len(jobs))
            for entry, asked in _answered(work, jobs, plan.workers):
                _keep(entry, asked, kept, rejected)
                for one in asked:
                    tally.add(one)
                progress.update(task, advance=1, description=f"{name} ({tally})")
    return tally


def _answered(
    work: Callable[[Any], tuple[dict[str, Any], list[Asked]]], jobs: Sequence[Any], workers: int
) -> Iterator[tuple[dict[str, Any], list[Asked]]]:
    """What comes of each job, in their order; some are asked ahead, no more than are soon kept."""
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(jobs), batch := 8 * workers):
            yield from pool.map(work, jobs[start : start + batch])


def _keep(entry: dict[str, Any], asked: Sequence[Asked], kept: JsonLines, rejected: JsonLines) -> None:
    """What was turned down goes first: an entry that is there is not asked again."""
    about = {key: entry[key] for key in ("seed", "a", "b") if key in entry}
    for rejection in (rejection for one in asked for rejection in one.rejected):
        rejected.append({**about, "text": rejection.text, "problems": rejection.problems})
    kept.append(entry)


def draw_pairs(clips: int, pairs: int, seed: int) -> list[tuple[int, int]]:
    """Different pairs of different clips, by index; fewer where there are not so many."""
    rng = stream(Stream.ARGUED_PAIRS, seed)
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < min(pairs, clips * (clips - 1)):
        a, b = (int(index) for index in rng.choice(clips, 2, replace=False))
        drawn[a, b] = None
    return list(drawn)


# --- reading ------------------------------------------------------------------------------------------------------


def open_clips(folder: Path) -> Clips:
    """A built split, its rows with what was written of them. Without the few clips that are longer than what a model
    hears at once (calls with long silence around them): an evaluation cuts those into windows."""
    clips = Clips.open(folder)
    heard = [row for row in attach(clips.annotations, folder) if frame_count(row["samples"]) <= MAX_FRAMES]
    return replace(clips, annotations=tuple(heard))


def attach(rows: Sequence[Mapping[str, Any]], folder: Path) -> tuple[dict[str, Any], ...]:
    """The rows with what was written of them: `descriptions`, and `arguments` (reasons by the seed of clip B).

    The rows as they are where `write_captions` has not run on FOLDER.
    """
    if not (folder / CAPTIONS).exists():
        return tuple(dict(row) for row in rows)
    texts = {entry["seed"]: entry["texts"] for entry in _entries(folder / CAPTIONS) if entry["texts"]}
    arguments: dict[int, dict[int, str]] = {}
    for entry in _entries(folder / ARGUMENTS):
        if entry["text"]:
            arguments.setdefault(entry["a"], {})[entry["b"]] = entry["text"]
    return tuple(
        {
            **row,
            **({"descriptions": texts[row["seed"]]} if row["seed"] in texts else {}),
            "arguments": arguments.get(row["seed"], {}),
        }
        for row in rows
    )


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        yield from (json.loads(line) for line in lines)
