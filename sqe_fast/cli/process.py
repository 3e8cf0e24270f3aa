"""What a command shares with the process it runs in: exit codes, standard streams, signals."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

FAILED, USAGE, UNUSABLE = 1, 2, 3

EXIT_CODES = """\b
Exit codes:
  0    everything was scored
  1    some items failed; each has a row that says why
  2    wrong usage
  3    model, device or output unusable
  130  interrupted by SIGINT (143: by SIGTERM)"""

REPORT_EXIT_CODES = """\b
Exit codes:
  0    the page was written
  2    wrong usage, or no rows
  3    the page cannot be written"""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Exceptions that end a command → a line on standard error and the exit code."""
    from sqe_fast.errors import UnusableError
    from sqe_fast.jobs.lists import InputError
    from sqe_fast.jobs.run import Interrupted

    try:
        yield
    except InputError as error:
        stop(USAGE, str(error))
    except UnusableError as error:
        stop(UNUSABLE, str(error))
    except Interrupted as interrupted:
        stop(interrupted.exit_code, f"{interrupted}: rows written so far are complete")
    except BrokenPipeError:
        stop(UNUSABLE, "standard output was closed")


@contextmanager
def installed(command: str, extra: str) -> Iterator[None]:
    """Around imports that an extra brings: where it is missing, that ends the command."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing == "sqe_fast":
            raise
        stop(UNUSABLE, f'{command} needs {missing}: pip install "sqe-fast[{extra}]"')


def stop(code: int, message: str) -> NoReturn:
    typer.echo(f"sqe: {message}", err=True)
    if code == UNUSABLE:
        _detach_broken_stdout()
    raise typer.Exit(code)


def _detach_broken_stdout() -> None:
    """Where standard output cannot be written, the interpreter's own flush at exit would fail and change the code."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout() -> TextIO:
    if sys.stdout is None:
        stop(UNUSABLE, "standard output is closed: write rows to a file, with -o")
    return sys.stdout


def stdin(paths: list[str]) -> BinaryIO:
    if sys.stdin is not None:
        return sys.stdin.buffer
    if "-" in paths:
        stop(USAGE, "standard input is closed: nothing can be read from -")
    return io.BytesIO()


def console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
