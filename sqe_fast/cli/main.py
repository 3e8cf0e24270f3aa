"""`sqe`: score, report, compare, rank, monitor, serve, info, export. Results go to standard output or -o, all else to
standard error.

Exit codes: 0 all scored; 1 some items failed (each has a row with an error); 2 usage; 3 model, device or output
unusable; 130 and 143 interrupted by SIGINT and SIGTERM.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn, TextIO

import typer

from sqe_fast.options import DEVICES, HOP_SECONDS, PRECISIONS, WINDOW_SECONDS, WORST, Sandbox, Serving

if TYPE_CHECKING:
    from rich.console import Console

    from sqe_fast.audio import Channels, Limits, RawFormat
    from sqe_fast.audio.timeline import Timeline
    from sqe_fast.cli.monitor import Display
    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.evaluator import Evaluator
    from sqe_fast.jobs.inputs import Look
    from sqe_fast.jobs.outputs import RowWriter
    from sqe_fast.live.stream import Stream

FAILED, USAGE, UNUSABLE = 1, 2, 3
LICENCE = "Apache-2.0; third-party notices and the model's licence stand beside the weights"
PACKAGES = ("sqe-fast", "numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr", "tokenizers", "torch")

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

app = typer.Typer(
    help="Rate the quality of recorded speech, and explain the ratings in words.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class FormatName(StrEnum):
    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Model = Annotated[str, typer.Option(help="A bundled model's name, or a checkpoint folder.")]
Device = Annotated[
    str, typer.Option(help=f"One of {', '.join(DEVICES)}. It is an error where the device is not available.")
]
Adapter = Annotated[
    Path | None, typer.Option(help="Folder of a LoRA adapter to merge when the model is loaded (torch-cpu, cuda).")
]
Encoder = Annotated[str, typer.Option(help="operators, or onnx to run the exported encoder instead (cuda only).")]
Precision = Annotated[str, typer.Option(help=f"One of {', '.join(PRECISIONS)}; auto is what the device does best.")]
Slots = Annotated[int | None, typer.Option(min=1, help="Sequences decoded together (default: what fits the device).")]
MaxLength = Annotated[int, typer.Option(min=1, help="Tokens that a prompt and its answer may take.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads (default: all available).")]
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


def open_evaluator(model: str, serving: Serving, limits: Limits | None = None) -> Evaluator:
    from sqe_fast.evaluator import Evaluator

    return Evaluator.open(model, serving, limits)


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


@app.command(epilog=EXIT_CODES)
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
    column: Annotated[str | None, typer.Option(help="The column or key of a list that names the recordings.")] = None,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
    sandbox: InSandbox = True,
) -> None:
    """Rate recordings: five ratings and a description each.

    \b
    Examples:
      sqe score call.wav recordings/
      sqe score recordings/ -o rows.jsonl --resume --no-describe
      sqe score call.wav --channels 1 --timeline --window 5 --hop 1
    """
    from sqe_fast.jobs import inputs, run

    chosen = _chosen_format(format_, output)
    if resume and output is None:
        _stop(USAGE, "--resume needs -o: there are no rows to go on with")
    if retry_errors and not resume:
        _stop(USAGE, "--retry-errors is a way to --resume: without it every file is tried")
    if output is not None and chosen is FormatName.TABLE:
        _stop(USAGE, "a table is for reading: choose --format jsonl, csv or parquet for -o")
    if output is None and chosen is FormatName.PARQUET:
        _stop(USAGE, "rows in Parquet are a folder: name it with -o")
    windows = _timeline(window, hop, wanted=timeline)
    with _exit_codes():
        inputs.check(paths, column)
        given = inputs.given_names(paths, column) if chosen is FormatName.CSV else ()
        asked = run.Choices(describe, windows, _channels(channels), _raw_format(raw))
        look = inputs.Look(column, raw is not None)
        items = inputs.expand(paths, _stdin(paths), look)
        rows = _Rows(output, chosen, given, resume, retry_errors, timeline)
        with run.Interruption() as interruption, _writer(rows) as writer:
            choices = device, slots, threads, adapter, encoder, precision, max_length
            evaluator = open_evaluator(model, Serving(*choices, sandbox=_sandbox(sandbox)))
            progress = run.run(
                evaluator,
                items,
                writer,
                asked,
                interruption=interruption,
                display=_progress_line(paths, look) if sys.stderr and sys.stderr.isatty() else None,
            )
    if output is not None and sys.stderr is not None:
        from sqe_fast.cli.terminal import print_summary

        print_summary(sys.stderr, progress)
    if progress.failed:
        total = progress.written + progress.skipped
        _stop(FAILED, f"{progress.failed} of {total} items failed; their rows say why")


@app.command(epilog=REPORT_EXIT_CODES)
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
    with _exit_codes():
        from sqe_fast.report import write

        made = write(rows, output, before=before, audio=audio, most=worst, embed=embed, sandbox=_sandbox(sandbox))
    paired = "" if made.pairs is None else f", {made.pairs:,} of them paired"
    told = f"{made.recordings:,} rows, {made.failed:,} failed{paired}; {made.size / 1e6:.1f} MB"
    typer.echo(f"{output}: {told}", err=True)


@app.command(epilog=EXIT_CODES)
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A sound file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The sound file to compare with A.")],
    format_: OutputFormat = None,
    describe: Describe = True,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
) -> None:
    """Say which of two recordings sounds better, and why.

    \b
    Examples:
      sqe compare before.wav after.wav
      sqe compare a.wav b.wav --format jsonl
    """
    chosen = _chosen_format(format_, None)
    _stdout()
    if chosen in (FormatName.CSV, FormatName.PARQUET):
        _stop(USAGE, "a comparison is not a row: choose --format table or jsonl")
    with _exit_codes():
        from sqe_fast.jobs import run

        raw_format, heard = _raw_format(raw), _channels(channels)
        if heard == "each":
            _stop(USAGE, "--channels each: a comparison is of one sound with one: choose auto, mix or a number")
        with run.Interruption():
            evaluator = open_evaluator(model, Serving(device, slots, threads, adapter, encoder, precision, max_length))
            comparison = evaluator.compare(
                run.source_of(a, raw_format), run.source_of(b, raw_format), describe=describe, channels=heard
            )
        if chosen is FormatName.TABLE:
            from sqe_fast.cli.terminal import print_comparison

            print_comparison(_console(), comparison)
        else:
            import json

            typer.echo(json.dumps(comparison.to_row()))
    if comparison.winner is None or comparison.error:
        raise typer.Exit(FAILED)


@app.command(epilog=EXIT_CODES)
def rank(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Sound files, folders, lists of files, or -, as `sqe score` takes them."),
    ],
    format_: OutputFormat = None,
    describe: Annotated[
        bool, typer.Option("--describe/--no-describe", help="Argue for each against the next, or only rank.")
    ] = False,
    column: Annotated[str | None, typer.Option(help="The column or key of a list that names the recordings.")] = None,
    channels: ChannelChoice = "auto",
    raw: Raw = None,
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
    sandbox: InSandbox = True,
) -> None:
    """Sort recordings by how they sound, the best first, with the probability that each is better than the next.

    \b
    Examples:
      sqe rank codec_a.wav codec_b.wav codec_c.wav --describe
      sqe rank recordings/ --format csv > ranking.csv
    """
    chosen = _chosen_format(format_, None)
    _stdout()
    with _exit_codes():
        from sqe_fast.jobs import inputs, ranking, run

        inputs.check(paths, column)
        given = inputs.given_names(paths, column) if chosen is FormatName.CSV else ()
        raw_format, heard = _raw_format(raw), _channels(channels)
        if chosen is FormatName.PARQUET:
            _stop(USAGE, "rows in Parquet are a job's: choose --format table, jsonl or csv")
        if heard == "each":
            _stop(USAGE, "--channels each: a ranking is of one sound with one: choose auto, mix or a number")
        items = inputs.expand(paths, _stdin(paths), inputs.Look(column, raw is not None))
        with run.Interruption():
            choices = device, slots, threads, adapter, encoder, precision, max_length
            evaluator = open_evaluator(model, Serving(*choices, sandbox=_sandbox(sandbox)))
            placed = ranking.rank(evaluator, items, describe=describe, channels=heard, raw=raw_format)
        if chosen is FormatName.TABLE:
            from sqe_fast.cli.terminal import print_ranking

            print_ranking(_console(), [ranked for _, ranked in placed])
        else:
            ranking.write(_stdout().buffer, placed, chosen.value, given)
    failed = sum(ranked.to_row()["error"] is not None for _, ranked in placed)
    if failed:
        _stop(FAILED, f"{failed} of {len(placed)} items failed; their rows say why")


@app.command(epilog=EXIT_CODES)
def monitor(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Sound files, each a call; or - for PCM from standard input as it comes."),
    ],
    speed: Annotated[
        float, typer.Option(min=0.01, help="Seconds of audio that are played a second; too many drop windows.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line for each event.")] = False,
    raw: Annotated[
        str | None, typer.Option(help="What is played is PCM without a header: rate=8000,encoding=mulaw,channels=2.")
    ] = None,
    channels: ChannelChoice = "auto",
    window: Annotated[float, typer.Option(help="Seconds of a window, 0.4–30.")] = WINDOW_SECONDS,
    hop: Annotated[float, typer.Option(help="Seconds from window to window.")] = HOP_SECONDS,
    describe: Describe = True,
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
) -> None:
    """Play recordings, or standard input, as live calls, and show how they sound. A channel that is heard by itself is
    a call by itself; of standard input auto hears each.

    \b
    Examples:
      sqe monitor call.wav other.wav --speed 4
      sqe monitor call.wav --channels 1
      arecord -f S16_LE -r 16000 | sqe monitor - --raw rate=16000
    """
    _stdout()
    raw_format, heard = _raw_format(raw), _channels(channels)
    timeline = _timeline(window, hop, wanted=True)
    assert timeline is not None
    with _exit_codes():
        from sqe_fast.cli import monitor as monitoring
        from sqe_fast.jobs import run

        sources = monitoring.sources(paths, raw_format, _stdin(paths), heard)
        with run.Interruption(), _display(as_json) as display:
            evaluator = open_evaluator(model, Serving(device, slots, threads, adapter, encoder, precision, max_length))

            def opens(rate: int) -> Stream:
                return evaluator.stream(rate, window=timeline.window, hop=timeline.hop, describe=describe)

            calls = monitoring.monitor(sources, opens, display, speed)
    if failed := sum(call.error is not None for call in calls):
        _stop(FAILED, f"{failed} of {len(calls)} calls failed; each says why")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. Others than loopback need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: one that is free.")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="SQE_TOKEN", help="What clients show as Authorization: Bearer TOKEN.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file that holds it: other users cannot see it.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder whose files clients may name by path.")
    ] = None,
    cors: Annotated[list[str] | None, typer.Option(help="Origin of other pages that may ask: https://HOST.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file, with --key: listen to https and wss.")
    ] = None,
    key: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of the key.")] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Megabytes of one request.")] = 128,
    max_held: Annotated[int, typer.Option(min=1, help="Megabytes of all requests that are under way.")] = 1_024,
    max_files: Annotated[int, typer.Option(min=1, help="Recordings of one request.")] = 256,
    max_seconds: Annotated[float, typer.Option(min=1, help="Of one recording, and of one live call.")] = 3_600.0,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 128,
    max_sessions: Annotated[int, typer.Option(min=1, help="Live calls at once.")] = 64,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a request may take.")] = 600.0,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds that a client may say, or take, nothing.")] = 30.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds to end what has begun, once told to stop.")] = 60.0,
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
    sandbox: InSandbox = True,
) -> None:
    """Serve the evaluator over HTTP and WebSocket, with a page to look at it with. SIGTERM ends it when what has begun
    is done.

    \b
    Examples:
      sqe serve
      sqe serve --host 0.0.0.0 --token-file token.txt --certificate cert.pem --key key.pem
    """
    with _exit_codes():
        try:
            from sqe_fast.server import app as server
            from sqe_fast.server.settings import MEGABYTE, Settings
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "sqe_fast":
                raise
            _stop(UNUSABLE, f'serve needs {error.name}: pip install "sqe-fast[serve]"')
        from sqe_fast.audio import Limits

        if token_file is not None:
            if token is not None:
                _stop(USAGE, "--token and --token-file: give one of them")
            token = token_file.read_text("utf-8").strip()
        try:
            settings = Settings(
                host=host,
                port=port,
                token=token,
                root=root,
                origins=tuple(cors or ()),
                certificate=certificate,
                key=key,
                max_body=max_body * MEGABYTE,
                max_held=max_held * MEGABYTE,
                max_files=max_files,
                max_seconds=max_seconds,
                max_requests=max_requests,
                max_sessions=max_sessions,
                timeout=timeout,
                patience=patience,
                drain=drain,
            )
        except ValueError as error:
            _stop(USAGE, str(error))
        choices = device, slots, threads, adapter, encoder, precision, max_length
        serving = Serving(*choices, sandbox=_sandbox(sandbox))
        with open_evaluator(model, serving, Limits(max_seconds=max_seconds)) as evaluator:
            taken, answered = server.run(
                evaluator, settings, lambda url: typer.echo(f"sqe: {evaluator.model} at {url}", err=True)
            )
    typer.echo(f"sqe: {taken} requests were taken and {answered} answered", err=True)


@app.command()
def info(
    model: Model = "tiny",
    device: Device = Serving.device,
    adapter: Adapter = Serving.adapter,
    encoder: Encoder = Serving.encoder,
    precision: Precision = Serving.precision,
    slots: Slots = Serving.slots,
    max_length: MaxLength = Serving.max_length,
    threads: Threads = Serving.threads,
) -> None:
    """Show the model, the device, package versions and licences."""
    _stdout()
    with _exit_codes():
        facts = about(
            open_evaluator(model, Serving(device, slots, threads, adapter, encoder, precision, max_length)), model
        )
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        typer.echo(f"{name:{width}}{value}")


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="A checkpoint folder.", exists=True, file_okay=False)]) -> None:
    """Write a checkpoint's ONNX graphs and check them against the torch model."""
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


def _chosen_format(wanted: FormatName | None, output: Path | None) -> FormatName:
    if wanted is not None:
        return wanted
    if output is not None:
        suffix = output.suffix.lower()
        if suffix not in _SUFFIXES:
            _stop(USAGE, f"{output}: rows are .jsonl, .csv or .parquet: name them so, or say --format")
        return _SUFFIXES[suffix]
    return FormatName.TABLE if sys.stdout and sys.stdout.isatty() else FormatName.JSONL


_SUFFIXES = dict.fromkeys((".jsonl", ".ndjson", ""), FormatName.JSONL) | {
    ".csv": FormatName.CSV,
    ".parquet": FormatName.PARQUET,
}


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

        _stdout()
        yield TableRows(_console())
    else:
        yield outputs.PipeRows(_stdout().buffer, wanted.format.value, wanted.given, timeline=wanted.timeline)


@contextmanager
def _display(as_json: bool) -> Iterator[Display]:
    from sqe_fast.cli import board, monitor

    if as_json or not _stdout().isatty():
        yield monitor.JsonDisplay(_stdout())
    else:
        with board.Screen(_console()) as screen:
            yield screen


def _stdout() -> TextIO:
    if sys.stdout is None:
        _stop(UNUSABLE, "standard output is closed: write rows to a file, with -o")
    return sys.stdout


def _stdin(paths: list[str]) -> BinaryIO:
    if sys.stdin is not None:
        return sys.stdin.buffer
    if "-" in paths:
        _stop(USAGE, "standard input is closed: nothing can be read from -")
    return io.BytesIO()


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _timeline(window: float | None, hop: float | None, *, wanted: bool) -> Timeline | None:
    if not wanted:
        if window is not None or hop is not None:
            _stop(USAGE, "--window and --hop are choices of --timeline: without it a recording has one row")
        return None
    from sqe_fast.audio.timeline import Timeline

    try:
        return Timeline(WINDOW_SECONDS if window is None else window, HOP_SECONDS if hop is None else hop)
    except ValueError as error:
        _stop(USAGE, str(error))


def _sandbox(wanted: bool) -> Sandbox | None:
    return Sandbox() if wanted else None


def _raw_format(text: str | None) -> RawFormat | None:
    if text is None:
        return None
    from sqe_fast.audio import RawFormat

    try:
        return RawFormat.parse(text)
    except ValueError as error:
        _stop(USAGE, f"--raw: {error}")


def _channels(text: str) -> Channels:
    from sqe_fast.audio.channels import checked

    try:
        return checked(int(text) if text.isdecimal() else text)
    except ValueError as error:
        _stop(USAGE, f"--{error}")


def _progress_line(paths: list[str], look: Look) -> ProgressLine:
    from sqe_fast.cli.terminal import ProgressLine
    from sqe_fast.jobs import inputs

    # What comes from standard input can be read but once, so it is not counted.
    counted = inputs.STDIN not in paths
    total = sum(1 for _ in inputs.expand(paths, _stdin(paths), replace(look, read=False))) if counted else None
    return ProgressLine(sys.stderr, total)


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Exceptions that end a command → a line on standard error and the exit code."""
    from sqe_fast.errors import UnusableError
    from sqe_fast.jobs.lists import InputError
    from sqe_fast.jobs.run import Interrupted

    try:
        yield
    except InputError as error:
        _stop(USAGE, str(error))
    except UnusableError as error:
        _stop(UNUSABLE, str(error))
    except Interrupted as interrupted:
        _stop(interrupted.exit_code, f"{interrupted}: rows written so far are complete")
    except BrokenPipeError:
        _stop(UNUSABLE, "standard output was closed")


def _stop(code: int, message: str) -> NoReturn:
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
