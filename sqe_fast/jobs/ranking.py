"""What `sqe rank` was given → a ranking, with what lists say of the recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sqe_fast.errors import UnusableError
from sqe_fast.jobs.inputs import Item, Listed, file_of
from sqe_fast.jobs.rows import GIVEN, Given, csv_header, csv_line, jsonl_line
from sqe_fast.jobs.run import source_of
from sqe_fast.results import Evaluation, Ranked

if TYPE_CHECKING:
    from sqe_fast.audio import Channels, RawFormat, Source
    from sqe_fast.evaluator import Evaluator

COLUMNS = tuple(Ranked(None, Evaluation("")).to_row())

Placed = tuple[Given, Ranked]


def rank(
    evaluator: Evaluator,
    items: Iterable[Item],
    *,
    describe: bool,
    channels: Channels = "auto",
    raw: RawFormat | None = None,
) -> list[Placed]:
    """Each with what its list says of it; an item that is an error already stands at the end."""
    there: list[Item] = []
    failed: list[Placed] = []

    def sources() -> Iterator[Source]:
        for item in items:
            if isinstance(item, Evaluation):
                failed.append(({}, Ranked(None, replace(item, model=evaluator.model))))
            else:
                there.append(item)
                yield source_of(item, raw)

    placed = []
    for ranked in evaluator.rank(sources(), describe, channels):
        source = ranked.evaluation.source
        assert source is not None
        item = there[source]
        named = replace(ranked, evaluation=replace(ranked.evaluation, file=file_of(item)))
        placed.append((item.given or {} if isinstance(item, Listed) else {}, named))
    return placed + failed


def write(output: Path | BinaryIO, ranking: Iterable[Placed], format_name: str, given: tuple[str, ...] = ()) -> None:
    """ "jsonl" or "csv", one line each. A file that is there is replaced. Raises UnusableError where the output takes
    no more."""
    lines = [csv_header(COLUMNS, given)] if format_name == "csv" else []
    for said, ranked in ranking:
        row = ranked.to_row() | ({GIVEN: dict(said)} if said else {})
        lines.append(csv_line(row, given) if format_name == "csv" else jsonl_line(row))
    try:
        with output.open("wb") if isinstance(output, Path) else nullcontext(output) as stream:
            stream.write(b"".join(lines))
            stream.flush()
    except OSError as error:
        raise UnusableError(f"the ranking cannot be written: {error.strerror}") from error
