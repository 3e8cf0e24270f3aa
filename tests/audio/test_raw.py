"""PCM without a header, as live calls bring it: the short ways give what libsndfile gives."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import soundfile

from sqe_fast.audio.raw import ENCODINGS, SAMPLE_ENCODINGS, RawFormat, frame_bytes, samples_of


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("encoding", SAMPLE_ENCODINGS)
def test_samples_are_libsndfiles(encoding: str, channels: int) -> None:
    raw = RawFormat(8_000, encoding, channels)
    rng = np.random.default_rng(0)
    data = rng.bytes(512 * frame_bytes(raw))
    if encoding.startswith("f"):
        order = "<" if encoding.endswith("le") else ">"
        data = rng.uniform(-1, 1, 512 * channels).astype(f"{order}f{frame_bytes(raw) // channels}").tobytes()
    subtype, endian = ENCODINGS[encoding]
    wanted, _ = soundfile.read(BytesIO(data), dtype="float32", always_2d=True, samplerate=8_000, channels=channels,
                               format="RAW", subtype=subtype, endian=endian)  # fmt: skip
    found = samples_of(data, raw)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


def test_no_frames_are_no_samples() -> None:
    assert samples_of(b"", RawFormat(8_000, "mulaw", 2)).shape == (0, 2)
