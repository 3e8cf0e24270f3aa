"""Sound that comes out of archives and tables: held in memory while it is small, else in a temporary file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from typing import IO, Any, BinaryIO, cast

from sqe_fast.errors import ClipError, ErrorCode
from sqe_fast.jobs.rows import HASHED

Content = bytes | BinaryIO | Mapping[str, Any]
"""A file's bytes, a file that is open, or samples with their rate as a dataset has them."""
IN_MEMORY = 16 << 20
"""Bytes up to which a recording is held in memory; the engine has some twenty under way."""
MOST = 8 << 30
"""Bytes of one recording: 12 h of 16-bit stereo at 48 kHz."""
_PIECE = 1 << 20


def held(file: IO[bytes], size: int) -> tuple[Content, str]:
    """What a file of so many bytes holds, and its fingerprint. Raises ClipError above MOST."""
    if size <= IN_MEMORY:
        data = file.read()
        return data, fingerprint(data)
    if size > MOST:
        raise ClipError(ErrorCode.TOO_LONG, f"more than {MOST >> 30} GiB: unpack it and score the file")
    kept, digest = tempfile.TemporaryFile(prefix="sqe-fast-"), hashlib.sha256()  # noqa: SIM115 (while it is scored)
    while piece := file.read(_PIECE):
        kept.write(piece)
        digest.update(piece)
    kept.seek(0)
    return cast(BinaryIO, kept), HASHED + digest.hexdigest()


def fingerprint(data: bytes | memoryview) -> str:
    return HASHED + hashlib.sha256(data).hexdigest()
