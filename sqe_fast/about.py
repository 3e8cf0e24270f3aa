"""What is installed and loaded: the facts of `sqe info`."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from sqe_fast.checkpoint import open_checkpoint
from sqe_fast.manifest import read_manifest

if TYPE_CHECKING:
    from sqe_fast.evaluator import Evaluator

LICENCE = "Apache-2.0; third-party notices and the model's licence stand beside the weights"
PACKAGES = ("sqe-fast", "numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr", "tokenizers", "torch")


def about(evaluator: Evaluator, model: str) -> dict[str, str]:
    """Names and values, in the order in which they are printed. `model` is the name or folder that was opened."""
    checkpoint = open_checkpoint(model)
    card = read_manifest(checkpoint.folder)
    size = sum(path.stat().st_size for path in checkpoint.folder.iterdir() if path.is_file())
    facts = {
        **{name: str(value) for name, value in evaluator.info().items()},
        "sha256": checkpoint.sha256,
        "template": str(card["template"]),
        "folder": str(checkpoint.folder),
        "size": f"{size / 1e6:.1f} MB",
        "licence": str(card.get("licence", LICENCE)),
    }
    return facts | {name: version for name in PACKAGES if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
