"""`sqe compare`: which of two recordings sounds better."""

from __future__ import annotations

from typing import Annotated

import typer

from sqe_fast.cli.options import (
    ChannelChoice,
    Describe,
    FormatName,
    Opening,
    OutputFormat,
    Raw,
    chosen_format,
    heard_channels,
    raw_format,
    refuse_each,
    with_model,
)
from sqe_fast.cli.process import FAILED, USAGE, console, exit_codes, stdout, stop


@with_model
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A sound file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The sound file to compare with A.")],
    format_: OutputFormat = None,
    describe: Describe = True,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    *,
    opening: Opening,
) -> None:
    """Say which of two recordings sounds better, and why.

    \b
    Examples:
      sqe compare before.wav after.wav
      sqe compare a.wav b.wav --format jsonl
    """
    chosen = chosen_format(format_, None)
    stdout()
    if chosen in (FormatName.CSV, FormatName.PARQUET):
        stop(USAGE, "a comparison is not a row: choose --format table or jsonl")
    with exit_codes():
        from sqe_fast.jobs import run

        form, heard = raw_format(raw), heard_channels(channels)
        refuse_each(heard, "comparison")
        with run.Interruption():
            comparison = opening.open().compare(
                run.source_of(a, form), run.source_of(b, form), describe=describe, channels=heard
            )
        if chosen is FormatName.TABLE:
            from sqe_fast.cli.terminal import print_comparison

            print_comparison(console(), comparison)
        else:
            import json

            typer.echo(json.dumps(comparison.to_row()))
    if comparison.winner is None or comparison.error:
        raise typer.Exit(FAILED)
