"""`sqe rank`: recordings, sorted by how they sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sqe_fast.cli.options import (
    ChannelChoice,
    Column,
    FormatName,
    InSandbox,
    Opening,
    OutputFormat,
    Raw,
    chosen_format,
    heard_channels,
    raw_format,
    recordings,
    refuse_each,
    with_model,
)
from sqe_fast.cli.process import FAILED, USAGE, console, exit_codes, stdout, stop


@with_model
def rank(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Sound files, folders, lists of files, or -, as `sqe score` takes them."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the ranking to this file: .jsonl or .csv.")
    ] = None,
    format_: OutputFormat = None,
    describe: Annotated[
        bool, typer.Option("--describe/--no-describe", help="Argue for each against the next, or only rank.")
    ] = False,
    column: Column = None,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    *,
    opening: Opening,
    sandbox: InSandbox = True,
) -> None:
    """Sort recordings by how they sound, the best first, with the probability that each is better than the next.

    \b
    Examples:
      sqe rank codec_a.wav codec_b.wav codec_c.wav --describe
      sqe rank recordings/ -o ranking.csv
    """
    chosen = chosen_format(format_, output)
    if output is None:
        stdout()
    elif chosen is FormatName.TABLE:
        stop(USAGE, "a table is for reading: choose --format jsonl or csv for -o")
    elif not output.parent.is_dir():
        stop(USAGE, f"{output.parent}: no such folder for -o")
    if chosen is FormatName.PARQUET:
        stop(USAGE, "rows in Parquet are a job's: choose --format table, jsonl or csv")
    with exit_codes():
        from sqe_fast.jobs import ranking, run

        named = recordings(paths, column, chosen, raw)
        form, heard = raw_format(raw), heard_channels(channels)
        refuse_each(heard, "ranking")
        with run.Interruption():
            evaluator = opening.open(sandbox=sandbox)
            placed = ranking.rank(evaluator, named.items, describe=describe, channels=heard, raw=form)
        if chosen is FormatName.TABLE:
            from sqe_fast.cli.terminal import print_ranking

            print_ranking(console(), [ranked for _, ranked in placed])
        else:
            ranking.write(output or stdout().buffer, placed, chosen.value, named.given)
    failed = sum(ranked.to_row()["error"] is not None for _, ranked in placed)
    if failed:
        stop(FAILED, f"{failed} of {len(placed)} items failed; their rows say why")
