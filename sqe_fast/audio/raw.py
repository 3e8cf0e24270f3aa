"""PCM without a header: what it is made of has to be said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np

from sqe_fast.audio.features import FloatArray
from sqe_fast.errors import ClipError, ErrorCode

ENCODINGS: dict[str, tuple[str, str]] = {
    "mulaw": ("ULAW", "FILE"),
    "alaw": ("ALAW", "FILE"),
    "u8": ("PCM_U8", "FILE"),
    "s8": ("PCM_S8", "FILE"),
    "s16le": ("PCM_16", "LITTLE"),
    "s16be": ("PCM_16", "BIG"),
    "s24le": ("PCM_24", "LITTLE"),
    "s24be": ("PCM_24", "BIG"),
    "s32le": ("PCM_32", "LITTLE"),
    "s32be": ("PCM_32", "BIG"),
    "f32le": ("FLOAT", "LITTLE"),
    "f32be": ("FLOAT", "BIG"),
    "f64le": ("DOUBLE", "LITTLE"),
    "f64be": ("DOUBLE", "BIG"),
    "gsm": ("GSM610", "FILE"),
    "vox": ("VOX_ADPCM", "FILE"),
}
"""Names, and libsndfile's subtype and byte order."""
_SAMPLE_BYTES = {"ULAW": 1, "ALAW": 1, "PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4,
                 "DOUBLE": 8}  # fmt: skip
SAMPLE_ENCODINGS = tuple(name for name, (subtype, _) in ENCODINGS.items() if subtype in _SAMPLE_BYTES)
"""Those in which every sample stands by itself: they can be heard as they come."""


@dataclass(frozen=True)
class RawFormat:
    """Raises ValueError for what cannot be."""

    rate: int
    """Hz."""
    encoding: str = "s16le"
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding {self.encoding!r} is unknown; choose one of {', '.join(ENCODINGS)}")
        if not 0 < self.rate < 1 << 31:
            raise ValueError(f"rate {self.rate} is no sample rate in hertz")
        if not 0 < self.channels <= 1_024:
            raise ValueError(f"{self.channels} is no number of channels")

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """ "rate=8000,encoding=mulaw,channels=2"; only the rate has no default."""
        given = dict(part.partition("=")[::2] for part in text.replace(" ", "").split(","))
        if unknown := set(given) - {"rate", "encoding", "channels"}:
            raise ValueError(f"{', '.join(sorted(unknown))}: give rate=, encoding= and channels=")
        if not given.get("rate", "").isdigit() or not given.get("channels", "1").isdigit():
            raise ValueError("give rate=HERTZ, as in rate=8000,encoding=mulaw,channels=2")
        return cls(int(given["rate"]), given.get("encoding", cls.encoding), int(given.get("channels", cls.channels)))


def arriving(pipe: BinaryIO, raw: RawFormat) -> Iterator[FloatArray]:
    """Samples [frames, channels], full scale ±1, of a pipe as they come, a tenth of a second at once. What ends in the
    middle of a frame ends before it. `raw.encoding` is one of SAMPLE_ENCODINGS."""
    frame = frame_bytes(raw)
    while piece := pipe.read(max(1, raw.rate // 10) * frame):
        yield samples_of(piece[: len(piece) // frame * frame], raw)


def frame_bytes(raw: RawFormat) -> int:
    """Of a sample of each channel. `raw.encoding` is one of SAMPLE_ENCODINGS."""
    return _SAMPLE_BYTES[ENCODINGS[raw.encoding][0]] * raw.channels


def samples_of(frames: bytes, raw: RawFormat) -> FloatArray:
    """[frames, channels], full scale ±1, of whole frames. `raw.encoding` is one of SAMPLE_ENCODINGS.

    Live calls bring 20 ms at once, where opening a file costs more than what is in it: what most of them send is taken
    without libsndfile.
    """
    samples: FloatArray
    if raw.encoding == "s16le":
        samples = np.frombuffer(frames, "<i2").astype(np.float32) * np.float32(1 / 32_768)
    elif raw.encoding == "f32le":
        samples = np.frombuffer(frames, "<f4").astype(np.float32)
    elif _SAMPLE_BYTES[ENCODINGS[raw.encoding][0]] == 1:
        samples = _byte_values(raw.encoding)[np.frombuffer(frames, np.uint8)]
    else:
        samples = _by_libsndfile(frames, raw.encoding)
    return samples.reshape(-1, raw.channels)


@cache
def _byte_values(encoding: str) -> FloatArray:
    """[256]: what each byte stands for."""
    return _by_libsndfile(bytes(range(256)), encoding)


def _by_libsndfile(data: bytes, encoding: str) -> FloatArray:
    """[n]"""
    import soundfile

    subtype, endian = ENCODINGS[encoding]
    samples: FloatArray
    samples, _ = soundfile.read(
        BytesIO(data), dtype="float32", samplerate=16_000, channels=1, format="RAW", subtype=subtype, endian=endian
    )
    return samples


@dataclass(frozen=True)
class Raw:
    """A source of PCM without a header, for the evaluator: a path, bytes or an open file, and what it is made of."""

    source: Any
    rate: int
    """Hz."""
    encoding: str = RawFormat.encoding
    """A name of ENCODINGS."""
    channels: int = RawFormat.channels

    @property
    def format(self) -> RawFormat:
        """Raises ClipError for what cannot be."""
        try:
            return RawFormat(self.rate, self.encoding, self.channels)
        except (ValueError, TypeError) as error:
            raise ClipError(ErrorCode.BAD_INPUT, str(error)) from error
