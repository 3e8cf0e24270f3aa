"""One HTML file that asks nobody for anything: its data are compressed text in it, its scripts are known by their
hashes, and its own policy (Content-Security-Policy) forbids to load or run whatever else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from sqe_fast import __version__
from sqe_fast.errors import UnusableError
from sqe_fast.report.data import Block

SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "page.js")
"""In the order in which they run."""


def write(output: Path, title: str, facts: Mapping[str, Any], blocks: Iterable[Block]) -> int:
    """Its size in bytes. A page that is there is replaced once the new one is whole. Raises UnusableError."""
    beside = output if output.exists() and not output.is_file() else output.with_name(f"{output.name}.new")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_parts(title, facts, blocks))
            file.flush()
            size = os.fstat(file.fileno()).st_size
        if beside != output:
            os.replace(beside, output)
    except OSError as error:
        raise UnusableError(f"{output}: cannot be written: {error.strerror}") from error
    return size


def _parts(title: str, facts: Mapping[str, Any], blocks: Iterable[Block]) -> Iterator[str]:
    scripts = [_source(name) for name in SCRIPTS]
    head, foot = _source("page.html").split("<!-- data -->\n")
    yield Template(head).substitute(
        policy=_policy(scripts), title=html.escape(_printable(title)), styles=_source("page.css"), version=__version__
    )
    yield _element("facts", "application/json", json.dumps(facts, allow_nan=False).replace("<", "\\u003c"))
    yield _element("licences", "text/plain", _source("vendor/LICENSES.txt"))
    for name, text in blocks:
        yield _element(name, "text/plain", text)
    for script in scripts:
        yield f"<script>{script}</script>\n"
    yield foot


def _source(name: str) -> str:
    return (resources.files("sqe_fast.report") / "page" / name).read_text("utf-8")


def _policy(scripts: Iterable[str]) -> str:
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hashes}",
            "style-src 'unsafe-inline'",  # those of the plots, which are made as they are drawn
            "media-src 'self' file: data:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _element(name: str, kind: str, text: str) -> str:
    return f'<script type="{kind}" id="{name}">{text}</script>\n'


def _printable(text: str) -> str:
    """A file's name, where it is not UTF-8."""
    return text.encode("utf-8", "replace").decode()
