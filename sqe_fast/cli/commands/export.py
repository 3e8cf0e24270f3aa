"""`sqe export`: a checkpoint's ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sqe_fast.cli.process import UNUSABLE, exit_codes, stop


def export(folder: Annotated[Path, typer.Argument(help="A checkpoint folder.", exists=True, file_okay=False)]) -> None:
    """Write a checkpoint's ONNX graphs and check them against the torch model."""
    with exit_codes():
        try:
            from sqe_fast.export import ParityError
            from sqe_fast.export import export as write_graphs
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] == "sqe_fast":
                raise
            stop(UNUSABLE, f'export needs {error.name}: pip install "sqe-fast[train]"')
        try:
            report = write_graphs(folder)
        except ParityError as error:
            stop(UNUSABLE, str(error))
    typer.echo(str(report))
