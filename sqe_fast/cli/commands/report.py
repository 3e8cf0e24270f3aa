"""`sqe report`: a page of a job's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sqe_fast.cli.options import InSandbox, sandbox_of
from sqe_fast.cli.process import exit_codes
from sqe_fast.options import WORST


def report(
    rows: Annotated[
        Path, typer.Argument(metavar="ROWS", help="What sqe score wrote with -o: .jsonl, .csv or .parquet.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page. It replaces one that is there.")] = Path(
        "report.html"
    ),
    before: Annotated[
        Path | None, typer.Option(help="Rows of the same recordings before a change: what changed, with intervals.")
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Draw the waveforms and timelines of so many of the worst recordings.")
    ] = WORST,
    embed: Annotated[
        int, typer.Option(min=0, help="Carry the sound of so many of them in the page: at most 30 s each.")
    ] = 0,
    audio: Annotated[
        Path | None,
        typer.Option(help="The folder that the rows' names start from (default: this one, or that of ROWS)."),
    ] = None,
    sandbox: InSandbox = True,
) -> None:
    """Make a page of a job's rows, to be opened in a browser: how it sounds, what is wrong, and the worst recordings.

    \b
    Examples:
      sqe report rows.jsonl -o report.html
      sqe report after.jsonl --before before.jsonl --embed 20
    """
    with exit_codes():
        from sqe_fast.report import write

        made = write(rows, output, before=before, audio=audio, most=worst, embed=embed, sandbox=sandbox_of(sandbox))
    paired = "" if made.pairs is None else f", {made.pairs:,} of them paired"
    told = f"{made.recordings:,} rows, {made.failed:,} failed{paired}; {made.size / 1e6:.1f} MB"
    typer.echo(f"{output}: {told}", err=True)
