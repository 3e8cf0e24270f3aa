"""A corpus of captions on disk: ask a writer, check what it wrote, ask again, keep what passes and count the rest.

Beside a split's rows lie `captions.jsonl` ({"seed", "texts"}), `arguments.jsonl` ({"a", "b", "verdict", "text"}; clips
by seed, the text being the reasons that follow `prompt.conclusion`) and `rejected.jsonl`: every text that was turned
down, and why.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sqe_fast.answer.scale import verdict
from sqe_fast.answer.template import conclusion
from training.language.scale import Row, shown
from training.language.validator import Problem, argument_problems, problems
from training.language.writers import Unusable, Writer
from training.progress import CONSOLE

CAPTIONS, ARGUMENTS, REJECTED = "captions.jsonl", "arguments.jsonl", "rejected.jsonl"
DESCRIBE, COMPARE, DRAW = 51, 53, 59
"""Keep the streams of chance apart."""


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
        try:
            text = write()
        except Unusable as error:
            rejected.append(Rejection("", (str(error),), ("unusable",)))
            continue
        found = check(text)
        if not found:
            return Asked(text, tuple(rejected))
        rejected.append(Rejection(text, tuple(map(str, found)), tuple(problem.kind for problem in found)))
    return Asked(None, tuple(rejected))


def description_problems(text: str, row: Row) -> list[Problem]:
    """The validator's, and those of the answer template: the MOS is the only figure, with a space before it."""
    numbers = re.findall(r"(?<![^ ])\d+\.\d(?!\d)|\d+", text)
    found = problems(text, row)
    if numbers != [f"{shown(row)['mos']:.1f}"]:
        found.append(Problem("form", "the MOS, with one decimal and a space before it, has to be the only figure"))
    return found


def reasons_problems(text: str, a: Row, b: Row) -> list[Problem]:
    """The validator's for conclusion and reasons together; reasons hold no figures."""
    one, other = shown(a), shown(b)
    opening = conclusion(verdict(one["mos"], other["mos"]), one["mos"], other["mos"])
    found = argument_problems(f"{opening} {text}", a, b)
    if re.search(r"\d", text):
        found.append(Problem("form", "the reasons must hold no figures"))
    return found


# --- writing ------------------------------------------------------------------------------------------------------


def write_captions(
    rows: Sequence[Row],
    writer: Writer,
    folder: Path,
    *,
    per_clip: int,
    pairs: int,
    seed: int,
    tries: int = 4,
    workers: int = 1,
) -> Tally:
    """Write `per_clip` descriptions of each row and `pairs` arguments into FOLDER; goes on where a run stopped.

    What is asked of a clip depends on `seed` and the clip alone, not on threads or on where a run stopped. `workers`
    requests run at once; only an endpoint can use more than one. Raises ValueError for pairs of fewer than two clips,
    WriterError where the writer fails; all that was finished is kept.
    """
    if pairs and len(rows) < 2:
        raise ValueError("pairs need at least two clips")
    folder.mkdir(parents=True, exist_ok=True)
    tally = Tally()

    def describe(row: Row) -> tuple[dict[str, Any], list[Asked]]:
        streams = [np.random.default_rng([seed, DESCRIBE, row["seed"], k]) for k in range(per_clip)]
        check = partial(description_problems, row=row)
        asked = [ask(partial(writer.describe, row, rng), check, tries) for rng in streams]
        return {"seed": row["seed"], "texts": [each.text for each in asked if each.text is not None]}, asked

    def argue(pair: tuple[int, int]) -> tuple[dict[str, Any], list[Asked]]:
        a, b = (rows[index] for index in pair)
        rng = np.random.default_rng([seed, COMPARE, a["seed"], b["seed"]])
        asked = ask(partial(writer.argue, a, b, rng), partial(reasons_problems, a=a, b=b), tries)
        outcome = verdict(a["mos"], b["mos"])
        return {"a": a["seed"], "b": b["seed"], "verdict": outcome, "text": asked.text}, [asked]

    described = {entry["seed"] for entry in _resumed(folder / CAPTIONS)}
    argued = {(entry["a"], entry["b"]) for entry in _resumed(folder / ARGUMENTS)}
    _resumed(folder / REJECTED)
    waiting = [row for row in rows if row["seed"] not in described]
    chosen = draw_pairs(len(rows), pairs, seed)
    unargued = [pair for pair in chosen if (rows[pair[0]]["seed"], rows[pair[1]]["seed"]) not in argued]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE) as progress:
        _write(folder, CAPTIONS, describe, waiting, workers, progress, tally)
        _write(folder, ARGUMENTS, argue, unargued, workers, progress, tally)
    return tally


def draw_pairs(clips: int, pairs: int, seed: int) -> list[tuple[int, int]]:
    """Different pairs of different clips, by index; fewer where there are not so many."""
    rng = np.random.default_rng([seed, DRAW])
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < min(pairs, clips * (clips - 1)):
        a, b = (int(index) for index in rng.choice(clips, 2, replace=False))
        drawn[a, b] = None
    return list(drawn)


def _write(
    folder: Path,
    name: str,
    work: Callable[[Any], tuple[dict[str, Any], list[Asked]]],
    jobs: Sequence[Any],
    workers: int,
    progress: Progress,
    tally: Tally,
) -> None:
    """Each job's entry to `name`, in the order of the jobs, and what was turned down to REJECTED."""
    task = progress.add_task(name.removesuffix(".jsonl"), total=len(jobs))
    with (
        (folder / name).open("a") as kept,
        (folder / REJECTED).open("a") as turned_down,
        ThreadPoolExecutor(workers) as pool,
    ):
        for start in range(0, len(jobs), batch := 8 * workers):
            for entry, asked in pool.map(work, jobs[start : start + batch]):
                about: dict[str, Any] = {key: entry[key] for key in ("seed", "a", "b") if key in entry}
                for one in asked:
                    tally.add(one)
                    for rejection in one.rejected:
                        line: dict[str, Any] = {**about, "text": rejection.text, "problems": rejection.problems}
                        turned_down.write(json.dumps(line) + "\n")
                kept.write(json.dumps(entry) + "\n")
                kept.flush()
                turned_down.flush()
                progress.update(task, advance=1, description=f"{name.removesuffix('.jsonl')} ({tally})")


def _resumed(path: Path) -> list[dict[str, Any]]:
    """The entries of a file, after cutting off a last line that an interrupted run did not finish."""
    if not path.exists():
        return []
    whole, newline, rest = path.read_text().rpartition("\n")
    if rest:
        path.write_text(whole + newline)
    return [json.loads(line) for line in whole.splitlines() if line]


# --- reading ------------------------------------------------------------------------------------------------------


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
