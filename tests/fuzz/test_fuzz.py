"""A minute of fuzzing: mutated files of every container, bytes of any kind, and the parsers of headers by themselves.

A campaign of its own (`campaign.py`) runs for hours; what it found stands here, file by file.
"""

from __future__ import annotations

import io
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.audio.containers import MAX_STREAMS, begins_like_sound, inspect
from sqe_fast.audio.formats.view import BLOCK, Spliced, View
from sqe_fast.audio.raw import ENCODINGS, RawFormat
from sqe_fast.audio.sources import FileSource
from sqe_fast.errors import ClipError
from tests.fuzz.families import FAMILIES, seeds
from tests.fuzz.mutation import mutated, rechecked
from tests.fuzz.target import Reached, hear
from tests.support.audio_samples import speech
from tests.support.codecs import by_ffmpeg

INPUTS = 250
"""Of each family."""


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_reach_the_end(family: str) -> None:
    """A seed that is not decoded would leave its codec untried."""
    assert [hear(data) for data in seeds(family)] == [Reached.SAMPLES] * len(seeds(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_mutated_files(family: str) -> None:
    random, files = Random(17), seeds(family)
    reached = [hear(mutated(random.choice(files), files, random)) for _ in range(INPUTS)]
    assert sum(each >= Reached.DECODER for each in reached) > INPUTS / 5, "mutations that no decoder sees try nothing"


BEGINNINGS = [
    b"", b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0", b"OggS\0\2", b"fLaC\0\0\0\x22", b"ID3\3\0",
    b"\xff\xfb\x90\0", b".snd", b"NIST_1A\n   1024\n", b"Creative Voice File\x1a", b"\xf0\x7e\0\1", b"2BIT",
    b"MATLAB 5.0 MAT-", b"\x1a\x45\xdf\xa3", b"\0\0\0\x20ftypM4A ",
]  # fmt: skip


@settings(max_examples=300)
@given(st.binary(max_size=600), st.sampled_from(BEGINNINGS))
def test_any_bytes_behind_any_beginning(data: bytes, head: bytes) -> None:
    hear(head + data)
    begins_like_sound(head + data)


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(sorted(ENCODINGS)), st.integers(1, (1 << 31) - 1), st.integers(1, 40))
def test_any_bytes_as_pcm(data: bytes, encoding: str, rate: int, channels: int) -> None:
    """Bytes without a header are samples of whatever they are said to be, or refused."""
    try:
        pcm = FileSource("", io.BytesIO(data), RawFormat(rate, encoding, channels))
    except ClipError:
        return
    assert (pcm.rate, pcm.channels) == (rate, channels)
    assert all(block.shape[1] == channels for block in pcm.blocks())


@settings(max_examples=200)
@given(
    st.binary(max_size=80),
    st.integers(0, 1 << 70),
    st.integers(0, 100),
    st.integers(0, 100),
    st.binary(min_size=1, max_size=4),
)
def test_views_of_any_place(data: bytes, far: int, start: int, count: int, pattern: bytes) -> None:
    """What a header states may lie anywhere."""
    view = View(io.BytesIO(data))
    assert view.at(far, min(count, BLOCK)) == data[far : far + count]
    assert view.at(start, count) == data[start : start + count]
    assert view.number(far, 8) == int.from_bytes(data[far : far + 8].ljust(8, b"\0"), "little")
    assert view.find(pattern, start, start + count) == data.find(pattern, start, start + count)


@settings(max_examples=200)
@given(
    st.binary(max_size=60),
    st.lists(st.one_of(st.binary(max_size=9), st.tuples(st.integers(0, 70), st.integers(0, 70)))),
    st.integers(0, 99),
)
def test_spliced_files(data: bytes, pieces: list[bytes | tuple[int, int]], position: int) -> None:
    """Pieces of a file that is shorter than they say, too."""
    given_pieces = tuple(piece if isinstance(piece, bytes) else range(*sorted(piece)) for piece in pieces)
    whole = b"".join(p if isinstance(p, bytes) else data[p.start : p.stop].ljust(len(p), b"?") for p in given_pieces)
    short = any(isinstance(piece, range) and piece.stop > len(data) for piece in given_pieces)
    spliced = Spliced(io.BytesIO(data), given_pieces)
    assert spliced.seek(0, 2) == len(whole)
    spliced.seek(position)
    read = spliced.read()
    assert read == whole[position:] or (short and len(read) < len(whole))


def test_many_streams_in_one_file_are_bounded() -> None:
    [page] = [each for each in seeds("ogg") if b"\x01vorbis" in each]
    contents = inspect(io.BytesIO(page[:58] * (MAX_STREAMS + 50)))
    assert len(contents.parts) <= MAX_STREAMS + 50
    assert contents.cut


# --- what the campaign found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "aac"), ("matroska", "flac"), ("ac3", "ac3"), ("wv", "wavpack")]
)
def test_eight_channels_by_ffmpeg(container: str, codec: str) -> None:
    """PyAV read beyond the planes of a frame of eight channels: a film's sound track ended the process."""
    layout, channels = ("5.1", 6) if codec == "ac3" else ("7.1", 8)
    samples = np.stack([np.roll(speech()[:48_000], 5_000 * i) for i in range(channels)], 1)
    data = by_ffmpeg(samples, container, codec, 48_000, layout=layout)
    pcm = FileSource("", io.BytesIO(data))
    assert pcm.channels == channels
    heard = np.concatenate(list(pcm.blocks()))
    assert len(heard) == pytest.approx(48_000, rel=0.1)
    if codec in ("flac", "wavpack"):
        assert np.abs(heard - samples).max() < 0.005


def test_channels_and_rate_that_fall_on_the_way() -> None:
    """Blocks of one recording had different widths."""
    mono = by_ffmpeg(speech(), "adts", "aac", 16_000)
    stereo = by_ffmpeg(speech()[:, np.newaxis].repeat(2, 1), "adts", "aac", 22_050)
    pcm = FileSource("", io.BytesIO(stereo + mono))
    blocks = list(pcm.blocks())
    assert {block.shape[1] for block in blocks} == {2}
    length = sum(map(len, blocks)) / pcm.rate
    assert length == pytest.approx(len(speech()) / 16_000 + len(speech()) / 22_050, abs=0.3)


@pytest.mark.parametrize(
    "data",
    [
        b"riff" + bytes(12) + b"wave" * 5 + b"data".ljust(16, b"\0") + b"\xf0" + b"\xff" * 6 + b"\x7f" + bytes(40),
        b"caff\0\1\0\0data\x7f" + b"\xff" * 7 + bytes(40),
        b"\xf0\x7e\0\1" + b"\0\0\x10\0\0\0\x7f\x7f\x7f",
        b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + b"\xff" * 28 + b"data\xff\xff\xff\xff" + bytes(20),
    ],
)
def test_places_that_no_number_holds(data: bytes) -> None:
    hear(data)


def test_checksums_are_right_after_a_mutation() -> None:
    """Else nothing behind the first page of an Ogg file would be tried."""
    for data in seeds("ogg"):
        assert rechecked(data) == data
        broken = bytearray(data)
        broken[-1] ^= 1
        assert rechecked(bytes(broken)) != bytes(broken)
