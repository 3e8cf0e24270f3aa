"""What several commands take alike: the options of a model and of recordings, and what is made of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sqe_fast.cli.process import USAGE, stdin, stop
from sqe_fast.options import DEVICES, HOP_SECONDS, PRECISIONS, WINDOW_SECONDS, Sandbox, Serving

if TYPE_CHECKING:
    from sqe_fast.audio import Channels, Limits, RawFormat
    from sqe_fast.audio.timeline import Timeline
    from sqe_fast.evaluator import Evaluator
    from sqe_fast.jobs.inputs import Item, Look


# --- recordings ------------------------------------------------------------------------------------------------------


class FormatName(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Describe = Annotated[bool, typer.Option("--describe/--no-describe", help="Explain the ratings in words, or only rate.")]
Raw = Annotated[
    str | None, typer.Option(help="The files are PCM without a header: rate=8000,encoding=mulaw,channels=2.")
]
ChannelChoice = Annotated[
    str,
    typer.Option(
        "--channels",
        help="Of several channels: auto (one sound where they carry the same, else each), mix (their mean), each, or a "
        "number; the first is 0.",
    ),
]
InSandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox/--no-sandbox",
        help="Decode in child processes with limits on memory and time and without a network, so that a file that "
        "breaks a codec costs one row; on Linux only.",
    ),
]
OutputFormat = Annotated[
    FormatName | None,
    typer.Option("--format", help="Default: a table on a terminal, otherwise by -o's suffix, otherwise jsonl."),
]
Column = Annotated[str | None, typer.Option(help="The column or key of a list that names the recordings.")]


@dataclass(frozen=True)
class Recordings:
    """What a command line names."""

    items: Iterator[Item]
    look: Look
    given: tuple[str, ...]
    """What lists say beside the names; known where rows are CSV, whose head comes first."""


def recordings(paths: list[str], column: str | None, chosen: FormatName, raw: str | None) -> Recordings:
    """Raises InputError for what makes no sense as a whole."""
    from sqe_fast.jobs import inputs

    inputs.check(paths, column)
    look = inputs.Look(column, raw is not None)
    given = inputs.given_names(paths, column) if chosen is FormatName.CSV else ()
    return Recordings(inputs.expand(paths, stdin(paths), look), look, given)


def chosen_format(wanted: FormatName | None, output: Path | None) -> FormatName:
    if wanted is not None:
        return wanted
    if output is not None:
        suffix = output.suffix.lower()
        if suffix not in _SUFFIXES:
            stop(USAGE, f"{output}: rows are .jsonl, .csv or .parquet: name them so, or say --format")
        return _SUFFIXES[suffix]
    return FormatName.TABLE if sys.stdout and sys.stdout.isatty() else FormatName.JSONL


_SUFFIXES = dict.fromkeys((".jsonl", ".ndjson", ""), FormatName.JSONL) | {
    ".csv": FormatName.CSV,
    ".parquet": FormatName.PARQUET,
}


def windows_of(window: float | None, hop: float | None, *, wanted: bool) -> Timeline | None:
    if not wanted:
        if window is not None or hop is not None:
            stop(USAGE, "--window and --hop are choices of --timeline: without it a recording has one row")
        return None
    from sqe_fast.audio.timeline import Timeline

    try:
        return Timeline(WINDOW_SECONDS if window is None else window, HOP_SECONDS if hop is None else hop)
    except ValueError as error:
        stop(USAGE, str(error))


def raw_format(text: str | None) -> RawFormat | None:
    if text is None:
        return None
    from sqe_fast.audio import RawFormat

    try:
        return RawFormat.parse(text)
    except ValueError as error:
        stop(USAGE, f"--raw: {error}")


def heard_channels(text: str) -> Channels:
    from sqe_fast.audio.channels import checked

    try:
        return checked(int(text) if text.isdecimal() else text)
    except ValueError as error:
        stop(USAGE, f"--{error}")


def refuse_each(heard: Channels, what: str) -> None:
    """Where one sound stands beside one, there is no row a channel."""
    if heard == "each":
        stop(USAGE, f"--channels each: a {what} is of one sound with one: choose auto, mix or a number")


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """The model that a command is to open, and how."""

    model: Annotated[str, typer.Option(help="A bundled model's name, or a checkpoint folder.")] = "tiny"
    device: Annotated[
        str, typer.Option(help=f"One of {', '.join(DEVICES)}. It is an error where the device is not available.")
    ] = Serving.device
    adapter: Annotated[
        Path | None, typer.Option(help="Folder of a LoRA adapter to merge when the model is loaded (torch-cpu, cuda).")
    ] = Serving.adapter
    encoder: Annotated[
        str, typer.Option(help="operators, or onnx to run the exported encoder instead (cuda only).")
    ] = Serving.encoder
    precision: Annotated[
        str, typer.Option(help=f"One of {', '.join(PRECISIONS)}; auto is what the device does best.")
    ] = Serving.precision
    slots: Annotated[
        int | None, typer.Option(min=1, help="Sequences decoded together (default: what fits the device).")
    ] = Serving.slots
    max_length: Annotated[int, typer.Option(min=1, help="Tokens that a prompt and its answer may take.")] = (
        Serving.max_length
    )
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all available).")] = Serving.threads

    def open(self, *, sandbox: bool = False, limits: Limits | None = None) -> Evaluator:
        """Raises UnusableError."""
        choices = asdict(self)
        return open_evaluator(choices.pop("model"), Serving(**choices, sandbox=sandbox_of(sandbox)), limits)


def open_evaluator(model: str, serving: Serving, limits: Limits | None = None) -> Evaluator:
    from sqe_fast.evaluator import Evaluator

    return Evaluator.open(model, serving, limits)


def sandbox_of(wanted: bool) -> Sandbox | None:
    return Sandbox() if wanted else None


def with_model(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the fields of Opening as options, in the place of its parameter `opening`."""
    own = inspect.signature(Opening, eval_str=True).parameters
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        taken = own.values() if parameter.name == "opening" else (parameter,)
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in taken]

    @wraps(command)
    def opened(**given: Any) -> None:
        opening = Opening(**{name: given.pop(name) for name in own})
        command(**given, opening=opening)

    # What typer makes options of.
    opened.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    opened.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del opened.__wrapped__
    return opened
