"""sqe_fast.json: a checkpoint's name, answer template and the SHA-256 of its files. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqe_fast.checkpoint.files import CARD_FILE
from sqe_fast.errors import UnusableError


def read_card(folder: Path) -> dict[str, Any]:
    """The fields of sqe_fast.json; empty where the folder has none, as Hugging Face's have not.

    Raises UnusableError where it is not a JSON object with a table of hashes.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnusableError(f"{path}: not JSON ({error})") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("sha256", {}), dict):
        raise UnusableError(f"{path}: not an object with a table 'sha256' of file names and hashes")
    return fields


def verify_hashes(folder: Path, required: Iterable[str] = ()) -> None:
    """Check every file that sqe_fast.json lists. Raises UnusableError naming the file that is missing, has changed, or
    is `required` and not listed."""
    listed: dict[str, Any] = read_card(folder).get("sha256", {})
    for name in required:
        if name not in listed:
            raise UnusableError(f"{folder / CARD_FILE}: lists no hash of {name}; run `sqe export` on the folder")
    for name, expected in listed.items():
        if Path(name).name != name:
            raise UnusableError(f"{folder / CARD_FILE}: {name!r} must be a file in the same folder")
        if not (folder / name).is_file():
            raise UnusableError(f"{folder / name}: missing, though {CARD_FILE} lists it")
        if sha256(folder / name) != expected:
            raise UnusableError(f"{folder / name}: corrupt or replaced, its SHA-256 is not the one in {CARD_FILE}")


def write_hashes(folder: Path, files: Iterable[str]) -> None:
    """Record the SHA-256 of `files` in sqe_fast.json, keeping its other fields; a new one is named after its folder."""
    fields = {"name": folder.resolve().name} | read_card(folder)
    fields["sha256"] = {name: sha256(folder / name) for name in sorted(files)}
    text = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
    (folder / CARD_FILE).write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
