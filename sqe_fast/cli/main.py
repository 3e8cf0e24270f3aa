"""`sqe`: score, compare, info, export. Results go to standard output or -o, all else to standard error.

Exit codes: 0 all scored; 1 some items failed (each has a row with an error); 2 usage; 3 model, device or output
unusable; 130 and 143 interrupted by SIGINT and SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.evaluator import Evaluator
    from sqe_fast.jobs.rows import RowWriter

FAILED, USAGE, UNUSABLE = 1, 2, 3
LICENCE = "Apache-2.0; third-party notices and the model's licence stand beside the weights"
PACKAGES = ("sqe-fast", "numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr", "tokenizers", "torch")

app = typer.Typer(
    help="Rate and describe the quality of recorded speech.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


Model = Annotated[str, typer.Option(help="A bundled model's name, or a checkpoint folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, torch-cpu or cuda. What is not there is an error.")]
Adapter = Annotated[Path | None, typer.Option(help="Folder of a LoRA adapter, merged at load (torch-cpu, cuda).")]
Encoder = Annotated[str, typer.Option(help="operators, or onnx: the exported encoder instead of the kernels (cuda).")]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; without it, the runner decides.")]
Describe = Annotated[bool, typer.Option("--describe/--no-describe", help="Say in words what is wrong, or only rate.")]
OutputFormat = Annotated[
    Format | None, typer.Option("--format", help="Default: a table on a terminal, else what -o is called, else jsonl.")
]


def open_evaluator(model: str, device: str, adapter: Path | None, encoder: str, threads: int | None) -> Evaluator:
    from sqe_fast.evaluator import Evaluator

    return Evaluator.from_pretrained(model, device=device, adapter=adapter, encoder=encoder, threads=threads)


def main() -> None:
    """The console script."""
    app()


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
    """Rate and describe the quality of recorded speech."""


@app.command()
def score(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Sound files, folders, manifests (.txt, .csv, .jsonl), or - for paths from stdin."
        ),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the rows to this file.")] = None,
    format_: OutputFormat = None,
    describe: Describe = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the rows that -o already holds.")] = False,
    model: Model = "tiny",
    device: Device = "auto",
    adapter: Adapter = None,
    encoder: Encoder = "operators",
    threads: Threads = None,
) -> None:
    """Rate recordings: five ratings and a description each."""
    from sqe_fast.jobs import inputs, run

    chosen = _chosen_format(format_, output)
    if resume and output is None:
        _stop(USAGE, "--resume needs -o: there are no rows to go on with")
    if output is not None and chosen is Format.TABLE:
        _stop(USAGE, "a table is for reading: choose --format jsonl or csv for -o")
    with _exit_codes():
        inputs.check(paths)
        with run.Interruption() as interruption, _writer(output, chosen, resume) as writer:
            evaluator = open_evaluator(model, device, adapter, encoder, threads)
            line = _progress_line(paths)
            try:
                progress = run.run(
                    evaluator,
                    inputs.expand(paths, sys.stdin.buffer),
                    writer,
                    describe=describe,
                    interruption=interruption,
                    before_row=line.clear,
                    after_row=line.update,
                )
            finally:
                line.clear()
    if progress.failed:
        total = progress.written + progress.skipped
        _stop(FAILED, f"{progress.failed} of {total} items failed; their rows say why")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A sound file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    format_: OutputFormat = None,
    describe: Describe = True,
    model: Model = "tiny",
    device: Device = "auto",
    adapter: Adapter = None,
    encoder: Encoder = "operators",
    threads: Threads = None,
) -> None:
    """Say which of two recordings sounds better, and why."""
    chosen = _chosen_format(format_, None)
    if chosen is Format.CSV:
        _stop(USAGE, "a comparison is not a row: choose --format table or jsonl")
    with _exit_codes():
        from sqe_fast.jobs import run

        with run.Interruption():
            comparison = open_evaluator(model, device, adapter, encoder, threads).compare(a, b, describe=describe)
        if chosen is Format.TABLE:
            from sqe_fast.cli.terminal import print_comparison

            print_comparison(_console(), comparison)
        else:
            import json

            typer.echo(json.dumps(comparison.to_row()))
    if comparison.a.error or comparison.b.error or comparison.error:
        raise typer.Exit(FAILED)


@app.command()
def info(
    model: Model = "tiny",
    device: Device = "auto",
    adapter: Adapter = None,
    encoder: Encoder = "operators",
    threads: Threads = None,
) -> None:
    """Say which model, device and versions are at work, and under which licences."""
    with _exit_codes():
        facts = about(open_evaluator(model, device, adapter, encoder, threads), model)
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        typer.echo(f"{name:{width}}{value}")


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="A checkpoint folder.", exists=True, file_okay=False)]) -> None:
    """Write a checkpoint's ONNX graphs, and compare them with the torch model."""
    with _exit_codes():
        try:
            from sqe_fast.export import ParityError
            from sqe_fast.export import export as write_graphs
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "sqe_fast":
                raise
            _stop(UNUSABLE, f'export needs {error.name}: pip install "sqe-fast[train]"')
        try:
            report = write_graphs(folder)
        except ParityError as error:
            _stop(UNUSABLE, str(error))
    typer.echo(str(report))


# --- inside ----------------------------------------------------------------------------------------------------------


def _chosen_format(wanted: Format | None, output: Path | None) -> Format:
    if wanted is not None:
        return wanted
    if output is not None:
        return Format.CSV if output.suffix.lower() == ".csv" else Format.JSONL
    return Format.TABLE if sys.stdout.isatty() else Format.JSONL


@contextmanager
def _writer(output: Path | None, chosen: Format, resume: bool) -> Iterator[RowWriter]:
    from sqe_fast.jobs import rows

    if output is not None:
        with rows.RowFile(str(output), chosen.value, resume=resume) as file:
            yield file
    elif chosen is Format.TABLE:
        from sqe_fast.cli.terminal import TableRows

        yield TableRows(_console())
    else:
        yield rows.PipeRows(sys.stdout.buffer, chosen.value)


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _progress_line(paths: list[str]) -> ProgressLine:
    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.jobs import inputs

    if not sys.stderr.isatty():
        return ProgressLine(None, None)

    # What comes from standard input can be read but once, so it is not counted.
    total = None if inputs.STDIN in paths else sum(1 for _ in inputs.expand(paths, sys.stdin.buffer))
    return ProgressLine(sys.stderr, total)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Exceptions that end a command → a line on standard error and the exit code."""
    from sqe_fast.errors import UnusableError
    from sqe_fast.jobs.inputs import InputError
    from sqe_fast.jobs.run import Interrupted

    try:
        yield
    except InputError as error:
        _stop(USAGE, str(error))
    except UnusableError as error:
        _stop(UNUSABLE, str(error))
    except Interrupted as interrupted:
        _stop(interrupted.exit_code, f"{interrupted}: the rows so far are whole")
    except BrokenPipeError:
        _stop(UNUSABLE, "nobody reads standard output any more")


def _stop(code: int, message: str) -> NoReturn:
    typer.echo(f"sqe: {message}", err=True)
    if code == UNUSABLE:
        _detach_broken_stdout()
    raise typer.Exit(code)


def _detach_broken_stdout() -> None:
    """Where standard output cannot be written, the interpreter's own flush at exit would fail and change the code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def about(evaluator: Evaluator, model: str) -> dict[str, str]:
    """Names and values, in the order in which they are printed. `model` is the name or folder that was opened."""
    from sqe_fast.checkpoint.folder import open_checkpoint
    from sqe_fast.checkpoint.hashes import read_card

    checkpoint = open_checkpoint(model)
    card = read_card(checkpoint.folder)
    size = sum(path.stat().st_size for path in checkpoint.folder.iterdir() if path.is_file())
    facts = {
        **{name: str(value) for name, value in evaluator.info().items()},
        "sha256": checkpoint.sha256,
        "template": str(card["template"]),
        "folder": str(checkpoint.folder),
        "size": f"{size / 1e6:.1f} MB",
        "licence": str(card.get("licence", LICENCE)),
    }
    return facts | {name: version for name in PACKAGES if (version := _installed(name))}


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
