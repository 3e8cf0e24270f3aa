"""What can be wrong: with one input (a value with a code), or with everything (an exception that ends the run)."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable codes of everything that can be wrong with one input; the message says what to do about it."""

    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    DECODER_MEMORY = "decoder_memory"
    EMPTY_AUDIO = "empty_audio"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NON_FINITE = "non_finite"
    OUT_OF_RANGE = "out_of_range"
    BAD_SAMPLE_RATE = "bad_sample_rate"
    TOO_MANY_CHANNELS = "too_many_channels"
    NO_SUCH_CHANNEL = "no_such_channel"
    CHANNELS_DIFFER = "channels_differ"
    BAD_INPUT = "bad_input"
    GENERATION_FAILED = "generation_failed"
    TOO_LATE = "too_late"
    STREAM_FAILED = "stream_failed"


class ClipError(Exception):
    """One input cannot be scored. Costs its own row and nothing else."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)  # both, so that it can be pickled
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.value}: {self.message}"


class UnusableError(Exception):
    """A model, device or output cannot be used at all: nothing can be scored (exit code 3)."""


class BusyError(Exception):
    """More requests wait than the queue of their priority holds: try again later."""
