"""Progress bars on standard error: standard output is for results."""

from __future__ import annotations

from functools import partial

from rich.console import Console
from rich.progress import track as _track

CONSOLE = Console(stderr=True)
track = partial(_track, console=CONSOLE)
"""rich's `track`: goes through a sequence and shows how far it is."""
