"""Processes in which Triton compiles: under pytest it has been imported as an interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ARCHITECTURES = (80, 90)
"""A100 and H100."""
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 900


def ask(module: str, *questions: Sequence[object]) -> list[Any]:
    """What `python -m module QUESTION …` prints as JSON, for each question: side by side.

    Raises RuntimeError, with what it wrote to stderr, where one fails.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_DEFAULT_FP_FUSION"] = "1"  # as by default, without being warned of it
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *map(str, question)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for question in questions
    ]
    answers = []
    try:
        for process in started:
            out, error = process.communicate(timeout=TIMEOUT_S)
            if process.returncode:
                raise RuntimeError(f"{' '.join(map(str, process.args))}: {error}")  # type: ignore[arg-type]
            answers.append(json.loads(out))
    finally:
        for process in started:
            process.kill()
    return answers
