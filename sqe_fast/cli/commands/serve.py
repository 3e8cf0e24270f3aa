"""`sqe serve`: the evaluator over HTTP and WebSocket."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sqe_fast.cli.options import InSandbox, Opening, with_model
from sqe_fast.cli.process import USAGE, exit_codes, installed, stop


@with_model
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
    *,
    opening: Opening,
    sandbox: InSandbox = True,
) -> None:
    """Serve the evaluator over HTTP and WebSocket, with a page to look at it with. SIGTERM ends it when what has begun
    is done.

    \b
    Examples:
      sqe serve
      sqe serve --host 0.0.0.0 --token-file token.txt --certificate cert.pem --key key.pem
    """
    with exit_codes():
        with installed("serve", "serve"):
            from sqe_fast.server import app as server
            from sqe_fast.server.settings import MEGABYTE, Settings
        from sqe_fast.audio import Limits

        if token_file is not None:
            if token is not None:
                stop(USAGE, "--token and --token-file: give one of them")
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
            stop(USAGE, str(error))
        with opening.open(sandbox=sandbox, limits=Limits(max_seconds=max_seconds)) as evaluator:
            taken, answered = server.run(
                evaluator, settings, lambda url: typer.echo(f"sqe: {evaluator.model} at {url}", err=True)
            )
    typer.echo(f"sqe: {taken} requests were taken and {answered} answered", err=True)
