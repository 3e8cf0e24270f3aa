"""What the work has cost, stage by stage."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass
class Trace:
    """Costs of a call. Times are in milliseconds; those of stages that run on several threads at once overlap."""

    clips: int = 0
    audio_seconds: float = 0.0
    load_ms: float = 0.0
    """Decoding, resampling and signal flags."""
    mel_ms: float = 0.0
    encode_ms: float = 0.0
    """On a GPU this counts the launches; `prefill_ms` waits for what they compute."""
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    encoded_clips: int = 0
    encoder_cache_hits: int = 0
    prefill_tokens: int = 0
    decode_steps: int = 0
    """Forward passes of the decoder after prefill; one pass may serve many sequences."""
    decode_tokens: int = 0
    """Tokens that stood, those that were forced or drafted rightly among them."""
    decode_rows: int = 0
    """What was computed for them: more by the drafts that were wrong."""
    kv_bytes: int = 0
    """Most KV memory held at once."""

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Activity:
    """How busy an engine is, and has been since it was opened: what is watched of a service."""

    waiting: Mapping[str, int]
    """Requests that wait for a slot, by the name of their priority."""
    calls: int
    """Live calls in the air."""
    passes: Mapping[int, int]
    """Decode passes, by how many sequences shared them."""
    stopped: bool = False
    """Nothing is served any more."""


class Meter:
    """Counts up one `Trace`, whichever threads the work is done on. Fields are named as they are there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trace = Trace()
        self._passes: Counter[int] = Counter()

    def restart(self) -> None:
        with self._lock:
            self._trace = Trace()

    @property
    def passes(self) -> dict[int, int]:
        """As in `Activity`; `restart` leaves it as it is."""
        with self._lock:
            return dict(self._passes)

    def passed(self, sequences: int) -> None:
        """One decode pass was done for so many."""
        with self._lock:
            self._passes[sequences] += 1

    def read(self) -> Trace:
        with self._lock:
            return replace(self._trace)

    def add(self, field: str, amount: float) -> None:
        with self._lock:
            setattr(self._trace, field, getattr(self._trace, field) + amount)

    def highest(self, field: str, amount: int) -> None:
        """Keep the highest of what was given."""
        with self._lock:
            setattr(self._trace, field, max(getattr(self._trace, field), amount))

    @contextmanager
    def timed(self, field: str) -> Iterator[None]:
        """Add the time spent inside, also where it ends in an exception."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(field, (time.perf_counter() - start) * 1e3)
