"""What a call cost, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Trace:
    """What a call cost, stage by stage; counted up while it runs. Times are in milliseconds."""

    clips: int = 0
    audio_seconds: float = 0.0
    load_ms: float = 0.0
    mel_ms: float = 0.0
    encode_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    encoded_clips: int = 0
    encoder_cache_hits: int = 0
    prefill_tokens: int = 0
    decode_steps: int = 0
    """Forward passes of the decoder after prefill; one pass may serve many sequences."""
    decode_tokens: int = 0
    kv_bytes: int = 0
    """Most KV memory held at once."""

    @contextmanager
    def timed(self, field: str) -> Iterator[None]:
        """Add the time spent inside to one of the `_ms` fields, also where it ends in an exception."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, field, getattr(self, field) + (time.perf_counter() - start) * 1e3)

    def to_row(self) -> dict[str, Any]:
        return asdict(self)
