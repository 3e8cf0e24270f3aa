"""What an installation brings, as the installed distributions declare it, and what constraints pin."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
NAME = "sqe-fast"


def brought(*extras: str) -> set[str]:
    """Every distribution that installing us with `extras` brings, as the installed ones declare it."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(f"{NAME}[{','.join(extras)}]")]
    while waiting:
        requirement = waiting.pop()
        wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if wanted in seen:
            continue
        seen.add(wanted)
        for text in metadata.requires(requirement.name) or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *wanted[1]}):
                waiting.append(needed)
    return {name for name, _ in seen} - {NAME}


def pins(file: str) -> dict[str, str]:
    """Name → version of a constraints file."""
    lines = (ROOT / file).read_text("utf-8").splitlines()
    found = [line.split("#")[0].strip() for line in lines]
    return {canonicalize_name(name): version for name, version in (pin.split("==") for pin in found if pin)}
