"""`sqe export`: a checkpoint's ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sqe_fast.cli.process import UNUSABLE, exit_codes, installed, stop


def export(folder: Annotated[Path, typer.Argument(help="A checkpoint folder.", exists=True, file_okay=False)]) -> None:
    """Write a checkpoint's ONNX graphs and check them against the torch model."""
    with exit_codes():
        with installed("export", "train"):
            from sqe_fast.export import ParityError
            from sqe_fast.export import export as write_graphs
        try:
            report = write_graphs(folder)
        except ParityError as error:
            stop(UNUSABLE, str(error))
    typer.echo(str(report))
