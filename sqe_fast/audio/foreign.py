"""Objects of callers: files that may be closed or raise, arrays of other libraries. What one of them raises costs its
own row, so everything that they do is done here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from sqe_fast.errors import ClipError, ErrorCode, UnusableError

Value = TypeVar("Value")
_ARRAY_KEYS, _RATE_KEYS = ("array", "raw"), ("sampling_rate", "sample_rate")


@contextmanager
def costs_one_row(code: ErrorCode, what: str) -> Iterator[None]:
    """Raises ClipError for whatever is raised within: a caller's object may raise anything."""
    try:
        yield
    except (ClipError, UnusableError):
        raise
    except Exception as error:
        raise ClipError(code, f"{what} ({type(error).__name__}: {error})") from error


class Guarded:
    """A caller's file, which ends where it raises: an exception could not leave libsndfile's callbacks. `check` then
    raises it, as ClipError. Several may read one file by turns: each keeps its own position, at first the beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._position = 0
        self._error: ClipError | None = None

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def read(self, size: int = -1) -> bytes:
        data = self._safe(lambda: self._read(size), b"")
        self._position += len(data)
        return data

    def _read(self, size: int) -> bytes:
        self.file.seek(self._position)
        return _bytes(self.file.read(size))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset, whence = self._position + offset, os.SEEK_SET
        self._position = self._safe(lambda: int(self.file.seek(offset, whence)), 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def _safe(self, call: Callable[[], Value], otherwise: Value) -> Value:
        if self._error is not None:
            return otherwise
        try:
            with costs_one_row(ErrorCode.UNREADABLE, "the file object cannot be read, open it again"):
                return call()
        except ClipError as error:
            self._error = error
            return otherwise


def _bytes(data: Any) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"read() gave {type(data).__name__}, not bytes")
    return bytes(data)


def path_of(source: str | os.PathLike[str]) -> str:
    """Raises ClipError where the object gives no path."""
    with costs_one_row(ErrorCode.BAD_INPUT, "the path cannot be taken"):
        return os.fsdecode(source)


def in_memory(source: Any) -> Any:
    """What a dataset's row or decoder stands for: (samples, rate), bytes or a path. Anything else as it is.

    A row of Hugging Face's `datasets` is {"array", "sampling_rate"} or, not decoded, {"bytes", "path"}; their decoders,
    torchcodec's, give all samples at once.
    """
    if isinstance(source, Mapping):
        samples = next((source[key] for key in _ARRAY_KEYS if key in source), None)
        rate = next((source[key] for key in _RATE_KEYS if key in source), None)
        if samples is not None and rate is not None:
            return samples, rate
        held = source.get("bytes") or source.get("path")
        if held is not None:
            return held
        raise ClipError(ErrorCode.BAD_INPUT, 'a mapping needs "array" and "sampling_rate", or "bytes" or "path"')
    if hasattr(source, "get_all_samples"):
        with costs_one_row(ErrorCode.UNREADABLE, "the decoder gives no samples"):
            decoded = source.get_all_samples()
            return decoded.data, decoded.sample_rate
    return source


def array_of(samples: Any) -> npt.NDArray[Any]:
    """NumPy's view of samples: of a torch tensor whether or not it has a gradient, and wherever it lies."""
    with costs_one_row(ErrorCode.BAD_INPUT, "samples must be an array"):
        if hasattr(samples, "detach"):
            samples = samples.detach().cpu()
            if str(samples.dtype) == "torch.bfloat16":  # NumPy has none
                samples = samples.float()
        array = np.asarray(samples)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
