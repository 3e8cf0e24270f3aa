"""A checkpoint folder: where it is, how rows name it, and its templates. The runner checks the files' hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from sqe_fast.answer.follows import load_texts
from sqe_fast.answer.stock import Stock
from sqe_fast.answer.template import CAUSES_TEMPLATE, TEMPLATE, PromptBuilder
from sqe_fast.checkpoint.files import (
    ADAPTER_WEIGHTS_FILE,
    CARD_FILE,
    DRAFTS_FILE,
    INDEX_FILE,
    STOCK_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
)
from sqe_fast.checkpoint.hashes import read_card, sha256
from sqe_fast.errors import UnusableError

FILES = {TEMPLATE: (TOKENIZER_FILE,), CAUSES_TEMPLATE: (TOKENIZER_FILE, STOCK_FILE)}
"""What each template needs beside the weights."""

BUNDLED = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class Checkpoint:
    """What `sqe_fast.json` says of a folder."""

    folder: Path
    name: str
    sha256: str
    """Of the weights."""
    template: str
    drafts: bool = False
    """It has texts to draft from."""

    @property
    def model(self) -> str:
        """How rows name the weights: name@sha256[:12]."""
        return f"{self.name}@{self.sha256[:12]}"

    def prompts(self) -> PromptBuilder:
        """Templates bound to the folder's tokenizer and stock, whose hashes have been checked. Raises UnusableError."""
        stock = Stock.load(self.folder / STOCK_FILE) if self.template == CAUSES_TEMPLATE else None
        written = load_texts(self.folder / DRAFTS_FILE) if self.drafts else ()
        try:
            return PromptBuilder(Tokenizer.from_file(str(self.folder / TOKENIZER_FILE)), stock, written)
        except ValueError as error:
            raise UnusableError(f"{self.folder / TOKENIZER_FILE}: {error}") from error


def open_checkpoint(name_or_folder: str | PathLike[str]) -> Checkpoint:
    """Find a checkpoint and read its card. Raises UnusableError where it is none of ours, or of another template."""
    folder = find(name_or_folder)
    card: dict[str, Any] = read_card(folder)
    template = card.get("template")
    if template not in FILES:
        served = " and ".join(map(repr, FILES))
        raise UnusableError(f"{folder / CARD_FILE}: template {template!r}; this version serves {served}")
    hashes: dict[str, str] = card.get("sha256", {})
    for file in (_weights(folder), *FILES[template]):
        if file not in hashes:
            raise UnusableError(f"{folder / CARD_FILE}: lists no hash of {file}; run `sqe export` on the folder")
    name = str(card.get("name", folder.name))
    return Checkpoint(folder, name, _weights_sha256(hashes), template, DRAFTS_FILE in hashes)


def adapter_name(folder: Path) -> str:
    """How rows name a LoRA adapter: folder@sha256[:12] of its weights."""
    return f"{folder.resolve().name}@{sha256(folder / ADAPTER_WEIGHTS_FILE)[:12]}"


def _weights(folder: Path) -> str:
    """The weights' one file, or the index of several."""
    return INDEX_FILE if (folder / INDEX_FILE).is_file() and not (folder / WEIGHTS_FILE).is_file() else WEIGHTS_FILE


def _weights_sha256(hashes: Mapping[str, str]) -> str:
    """Of the weights' one file; of several, of their names and hashes."""
    if WEIGHTS_FILE in hashes:
        return hashes[WEIGHTS_FILE]
    listed = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes) if name.endswith(".safetensors"))
    return hashlib.sha256(listed.encode()).hexdigest()


def find(name_or_folder: str | PathLike[str]) -> Path:
    """A folder, or the bundled model of that name; a folder of the same name comes first. Raises UnusableError."""
    path = Path(name_or_folder)
    if path.is_dir():
        if not (path / CARD_FILE).is_file() and not any(path.glob("*.safetensors")):
            raise UnusableError(f"{path}: no checkpoint: it holds neither {CARD_FILE} nor weights in safetensors")
        return path
    bundled = _bundled()
    if str(name_or_folder) in bundled:
        return bundled[str(name_or_folder)]
    raise UnusableError(
        f"no model {str(name_or_folder)!r}: give a checkpoint folder or one of the bundled names "
        f"({', '.join(bundled) or 'none is installed'})"
    )


def _bundled() -> dict[str, Path]:
    return {card.parent.name: card.parent for card in sorted(BUNDLED.glob(f"*/{CARD_FILE}"))}
