"""A part of a source: the same samples that the whole has there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sqe_fast import Excerpt
from sqe_fast.audio import Raw, load, name_of
from sqe_fast.audio.decoders import BLOCK
from sqe_fast.audio.sources import open_source
from sqe_fast.errors import ClipError, ErrorCode
from tests.support.speech import talk

RATE = 16_000
WHOLE = np.round(talk(12.0) * 20_000).astype(np.int16)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("excerpt") / "call.flac"
    soundfile.write(file, WHOLE, RATE)
    return file


@pytest.mark.parametrize("start", [0.0, 1.0, BLOCK / RATE, 7.30004])
@pytest.mark.parametrize("duration", [0.5, 2.0, None])
def test_an_excerpt_is_what_the_whole_has_there(path: Path, start: float, duration: float | None) -> None:
    first = round(start * RATE)
    expected = WHOLE[first : None if duration is None else round((start + duration) * RATE)]
    for source in (path, path.read_bytes(), (WHOLE, RATE), Raw(WHOLE.tobytes(), RATE)):
        pcm = open_source(Excerpt(source, start, duration), 8)
        for _ in range(2):  # it is read once to be measured, and once to be heard
            blocks = np.concatenate(list(pcm.blocks()))[:, 0]
            np.testing.assert_array_equal(np.round(blocks * 32_768).astype(np.int16), expected)
        assert not pcm.cut


def test_it_is_a_recording_like_any_other(path: Path) -> None:
    part = load(Excerpt(path, 3.0, 4.0))
    alone = load((WHOLE[3 * RATE : 7 * RATE], RATE))
    assert (part.name, part.duration, part.flags) == (str(path), 4.0, alone.flags)
    assert [clip.digest for clip in part.windows()] == [clip.digest for clip in alone.windows()]
    assert name_of(Excerpt(io.BytesIO(), 0.0)) == "<BytesIO>"


def test_what_is_missing_is_said(path: Path) -> None:
    """Manifests round; beyond that, a part that its recording does not hold to the end is cut."""
    assert "truncated" not in load(Excerpt(path, 10.0, 2.05)).flags
    assert "truncated" in load(Excerpt(path, 10.0, 3.0)).flags


def test_damage_behind_an_excerpt_is_not_its_own(tmp_path: Path) -> None:
    file = tmp_path / "cut.flac"
    soundfile.write(file, WHOLE, RATE)
    file.write_bytes(file.read_bytes()[:-20_000])
    assert "truncated" in load(file).flags
    assert "truncated" not in load(Excerpt(file, 1.0, 2.0)).flags
    assert "truncated" in load(Excerpt(file, 1.0)).flags


@pytest.mark.parametrize(
    ("start", "duration"),
    [(-1.0, 2.0), (1.0, 0.0), (1.0, -2.0), (float("nan"), 1.0), (1.0, float("nan")), (13.0, 2.0), ("1", 2.0)],
)
def test_a_part_that_no_recording_has(path: Path, start: Any, duration: Any) -> None:
    with pytest.raises(ClipError) as caught:
        load(Excerpt(path, start, duration))
    assert caught.value.code is ErrorCode.BAD_INPUT
