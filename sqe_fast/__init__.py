"""Speech quality, rated and explained.

    from sqe_fast import Evaluator
    evaluations = Evaluator.from_pretrained("tiny").evaluate(["call.wav"])

Public names are imported on first use, so that `import sqe_fast` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqe_fast.audio import Excerpt, Raw
    from sqe_fast.audio.timeline import Timeline
    from sqe_fast.engine.trace import Trace
    from sqe_fast.errors import BusyError, ClipError, ErrorCode, UnusableError
    from sqe_fast.evaluator import Evaluator
    from sqe_fast.live.alarms import Alerting
    from sqe_fast.live.events import CallSummary, QualityAlert, QualityRecovered, QualityUpdate
    from sqe_fast.live.signal import SignalFaults
    from sqe_fast.live.stream import AsyncStream, Stream
    from sqe_fast.options import Sandbox, Serving
    from sqe_fast.results import Cause, Comparison, Evaluation, Ranked, Ratings, WindowRating

    __version__: str

# ONNX Runtime's wheel reports its use: its import alone writes a device id under HOME and looks a collector's host up.
# It asks the environment once, when it is imported; processes that are started from here inherit the answer.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_HOMES = {
    "Evaluator": "sqe_fast.evaluator",
    "Alerting": "sqe_fast.live.alarms",
    "AsyncStream": "sqe_fast.live.stream",
    "BusyError": "sqe_fast.errors",
    "CallSummary": "sqe_fast.live.events",
    "Cause": "sqe_fast.results",
    "ClipError": "sqe_fast.errors",
    "Comparison": "sqe_fast.results",
    "ErrorCode": "sqe_fast.errors",
    "Evaluation": "sqe_fast.results",
    "Excerpt": "sqe_fast.audio",
    "QualityAlert": "sqe_fast.live.events",
    "QualityRecovered": "sqe_fast.live.events",
    "QualityUpdate": "sqe_fast.live.events",
    "Ranked": "sqe_fast.results",
    "Ratings": "sqe_fast.results",
    "Raw": "sqe_fast.audio",
    "Sandbox": "sqe_fast.options",
    "Serving": "sqe_fast.options",
    "SignalFaults": "sqe_fast.live.signal",
    "Stream": "sqe_fast.live.stream",
    "Timeline": "sqe_fast.audio.timeline",
    "Trace": "sqe_fast.engine.trace",
    "UnusableError": "sqe_fast.errors",
    "WindowRating": "sqe_fast.results",
}

__all__ = [
    "Alerting",
    "AsyncStream",
    "BusyError",
    "CallSummary",
    "Cause",
    "ClipError",
    "Comparison",
    "ErrorCode",
    "Evaluation",
    "Evaluator",
    "Excerpt",
    "QualityAlert",
    "QualityRecovered",
    "QualityUpdate",
    "Ranked",
    "Ratings",
    "Raw",
    "Sandbox",
    "Serving",
    "SignalFaults",
    "Stream",
    "Timeline",
    "Trace",
    "UnusableError",
    "WindowRating",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("sqe-fast")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
