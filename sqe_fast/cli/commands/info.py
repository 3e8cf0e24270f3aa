"""`sqe info`: the model, the device, versions and licences."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import typer

from sqe_fast.cli.options import Opening, with_model
from sqe_fast.cli.process import exit_codes, stdout

if TYPE_CHECKING:
    from sqe_fast.evaluator import Evaluator

LICENCE = "Apache-2.0; third-party notices and the model's licence stand beside the weights"
PACKAGES = ("sqe-fast", "numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr", "tokenizers", "torch")


@with_model
def info(
    *,
    opening: Opening,
) -> None:
    """Show the model, the device, package versions and licences."""
    stdout()
    with exit_codes():
        facts = about(opening.open(), opening.model)
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        typer.echo(f"{name:{width}}{value}")


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
