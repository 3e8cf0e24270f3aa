"""`sqe`: score, report, compare, rank, monitor, serve, info, export. Results go to standard output or -o, all else to
standard error.

Exit codes: 0 all scored; 1 some items failed (each has a row with an error); 2 usage; 3 model, device or output
unusable; 130 and 143 interrupted by SIGINT and SIGTERM.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import Annotated

import typer

from sqe_fast.cli.commands import compare, export, info, monitor, rank, report, score, serve
from sqe_fast.cli.process import EXIT_CODES, REPORT_EXIT_CODES

app = typer.Typer(
    help="Rate the quality of recorded speech, and explain the ratings in words.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The console script."""
    _speak_plainly()
    app()


_PLAIN = str.maketrans("±–…×·▁▂▃▄▅▆▇█", "~-.x.11233445")
"""What a table is drawn with → what an ASCII terminal has of the same width."""


def _speak_plainly() -> None:
    """Where the locale has no character for something, something like it is written, or a question mark."""

    def plain(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeEncodeError)
        text = error.object[error.start : error.end].translate(_PLAIN)
        return "".join(c if c.isascii() else "?" for c in text), error.end

    codecs.register_error("sqe-fast", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="sqe-fast")


def _version(wanted: bool) -> None:
    if wanted:
        from sqe_fast import __version__

        typer.echo(f"sqe-fast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Rate the quality of recorded speech, and explain the ratings in words."""


for command, epilog in (
    (score.score, EXIT_CODES),
    (report.report, REPORT_EXIT_CODES),
    (compare.compare, EXIT_CODES),
    (rank.rank, EXIT_CODES),
    (monitor.monitor, EXIT_CODES),
    (serve.serve, None),
    (info.info, None),
    (export.export, None),
):
    app.command(epilog=epilog)(command)
