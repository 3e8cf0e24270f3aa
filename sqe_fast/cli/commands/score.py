"""`sqe score`: a row for each recording."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sqe_fast.cli.options import (
    ChannelChoice,
    Column,
    Describe,
    FormatName,
    InSandbox,
    Opening,
    OutputFormat,
    Raw,
    chosen_format,
    heard_channels,
    raw_format,
    recordings,
    windows_of,
    with_model,
)
from sqe_fast.cli.process import FAILED, USAGE, console, exit_codes, stdin, stdout, stop
from sqe_fast.options import HOP_SECONDS, WINDOW_SECONDS

if TYPE_CHECKING:
    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.jobs.inputs import Look
    from sqe_fast.jobs.outputs import RowWriter


@with_model
def score(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Sound files, folders, lists of files (.txt, .csv, .tsv, .jsonl, .parquet, .scp, .m3u), archives "
            "(.tar, .tar.gz), folders of datasets, or - for standard input: a recording, or a list of names.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the rows to this file: .jsonl, .csv or .parquet.")
    ] = None,
    format_: OutputFormat = None,
    describe: Describe = True,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="A row for each window of a recording, too, with its start and end.")
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(help=f"With --timeline: seconds of a window, 0.4–30 (default: {WINDOW_SECONDS:g})."),
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help=f"With --timeline: seconds from window to window (default: {HOP_SECONDS:g}).")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted run: what is already in -o is skipped, unless its file has changed.",
        ),
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="With --resume: try again what failed, in place of its row.")
    ] = False,
    column: Column = None,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    *,
    opening: Opening,
    sandbox: InSandbox = True,
) -> None:
    """Rate recordings: five ratings and a description each.

    \b
    Examples:
      sqe score call.wav recordings/
      sqe score recordings/ -o rows.jsonl --resume --no-describe
      sqe score call.wav --channels 1 --timeline --window 5 --hop 1
    """
    from sqe_fast.jobs import run

    chosen = chosen_format(format_, output)
    if resume and output is None:
        stop(USAGE, "--resume needs -o: there are no rows to go on with")
    if retry_errors and not resume:
        stop(USAGE, "--retry-errors is a way to --resume: without it every file is tried")
    if output is not None and chosen is FormatName.TABLE:
        stop(USAGE, "a table is for reading: choose --format jsonl, csv or parquet for -o")
    if output is None and chosen is FormatName.PARQUET:
        stop(USAGE, "rows in Parquet are a folder: name it with -o")
    windows = windows_of(window, hop, wanted=timeline)
    with exit_codes():
        named = recordings(paths, column, chosen, raw)
        asked = run.Choices(describe, windows, heard_channels(channels), raw_format(raw))
        rows = _Rows(output, chosen, named.given, resume, retry_errors, timeline)
        with run.Interruption() as interruption, _writer(rows) as writer:
            progress = run.run(
                opening.open(sandbox=sandbox),
                named.items,
                writer,
                asked,
                interruption=interruption,
                display=_progress_line(paths, named.look) if sys.stderr and sys.stderr.isatty() else None,
            )
    if output is not None and sys.stderr is not None:
        from sqe_fast.cli.terminal import print_summary

        print_summary(sys.stderr, progress)
    if progress.failed:
        total = progress.written + progress.skipped
        stop(FAILED, f"{progress.failed} of {total} items failed; their rows say why")


@dataclass(frozen=True)
class _Rows:
    """Where the rows of a job go, and how."""

    output: Path | None
    format: FormatName
    given: tuple[str, ...]
    resume: bool
    retry_errors: bool
    timeline: bool


@contextmanager
def _writer(wanted: _Rows) -> Iterator[RowWriter]:
    from sqe_fast.jobs import outputs

    if wanted.output is not None:
        with outputs.open_rows(
            wanted.output,
            wanted.format.value,
            wanted.given,
            resume=wanted.resume,
            retry_errors=wanted.retry_errors,
            timeline=wanted.timeline,
        ) as store:
            yield store
    elif wanted.format is FormatName.TABLE:
        from sqe_fast.cli.terminal import TableRows

        stdout()
        yield TableRows(console())
    else:
        yield outputs.PipeRows(stdout().buffer, wanted.format.value, wanted.given, timeline=wanted.timeline)


def _progress_line(paths: list[str], look: Look) -> ProgressLine:
    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.jobs import inputs

    # What comes from standard input can be read but once, so it is not counted.
    counted = inputs.STDIN not in paths
    total = sum(1 for _ in inputs.expand(paths, stdin(paths), replace(look, read=False))) if counted else None
    return ProgressLine(sys.stderr, total)
