"""Windows that follow one another: where they begin and end, whatever the pieces that the audio comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.audio.features import log_mel
from sqe_fast.audio.timeline import Cut, Cutter, Timeline
from tests.support.audio_samples import noise, speech

RATE = 16_000


def cuts(samples: np.ndarray, timeline: Timeline, pieces: list[int], position: int = 0) -> list[Cut]:
    """Pushed in pieces of these sizes, over and over."""
    cutter = Cutter(timeline, 80, position)
    found: list[Cut] = []
    start = turn = 0
    while start < len(samples):
        size = pieces[turn % len(pieces)]
        found += cutter.push(samples[start : start + size])
        start, turn = start + size, turn + 1
    return [*found, *cutter.finish()]


def spans(found: list[Cut]) -> list[tuple[float, float]]:
    return [(cut.start / RATE, cut.end / RATE) for cut in found]


def test_windows_end_at_multiples_of_the_hop_and_the_last_with_the_audio() -> None:
    """A beginning that nobody hears for 5 s, an end that nobody hears at all."""
    found = cuts(noise(7.3), Timeline(5.0, 1.0), [1_000])
    assert spans(found) == [(0, 2), (0, 3), (0, 4), (0, 5), (1, 6), (2, 7), (2.3, 7.3)]


@pytest.mark.parametrize(
    ("window", "hop", "seconds", "expected"),
    [
        (1.0, 1.0, 2.5, [(0, 1), (1, 2), (1.5, 2.5)]),
        (3.0, 1.5, 5.0, [(0, 3), (1.5, 4.5), (2, 5)]),
        (5.0, 5.0, 11.0, [(0, 5), (5, 10), (6, 11)]),
        (5.0, 1.0, 1.2, [(0, 1.2)]),
        (5.0, 1.0, 2.0, [(0, 2)]),
        (5.0, 1.0, 0.39, []),
    ],
)
def test_every_second_is_in_a_window(
    window: float, hop: float, seconds: float, expected: list[tuple[float, float]]
) -> None:
    """Hops that leave the beginning out, a whole last window rated twice, a call shorter than its first window."""
    assert spans(cuts(noise(seconds), Timeline(window, hop), [777])) == expected


@settings(max_examples=30, deadline=None)
@given(
    pieces=st.lists(st.integers(1, 100_000), min_size=1, max_size=8),
    length=st.integers(6_400, 160_000),
    cut=st.sampled_from([(0.4, 0.4), (0.4, 0.1), (1.0, 0.25), (1.11, 0.37), (2.0, 2.0), (5.0, 1.0), (30.0, 0.5)]),
)
def test_the_pieces_change_nothing(pieces: list[int], length: int, cut: tuple[float, float]) -> None:
    """A window cut one sample early, audio kept too short, a frame computed from what was dropped."""
    timeline = Timeline(*cut)
    samples = noise(length / RATE)
    if pieces[0] < 50:
        pieces = [pieces[0] * 50, *pieces[1:]]  # single samples over 10 s would test the loop's patience
    found, whole = (cuts(samples, timeline, each) for each in (pieces, [length]))
    assert spans(found) == spans(whole)
    assert whole[-1].end == length
    for one, other in zip(found, whole, strict=True):
        assert (one.samples == samples[one.start : one.end]).all()
        assert (one.log_mel.data == other.log_mel.data).all()


def test_log_mels_are_those_of_the_windows_alone() -> None:
    """The same frames, bit for bit, as a recording's."""
    for cut in cuts(speech()[:70_123], Timeline(2.5, 0.5), [401]):
        alone = log_mel(np.ascontiguousarray(cut.samples))
        assert cut.log_mel.frames == alone.frames
        assert (cut.log_mel.data == alone.data).all()


def test_behind_a_gap_windows_stand_where_they_would_have() -> None:
    """A grid that moves with the gap; a window of audio from before it."""
    found = cuts(noise(6.0), Timeline(5.0, 1.0), [1_000], position=12_345)  # 0.77 s
    assert [cut.end for cut in found] == [RATE * second for second in (3, 4, 5, 6)] + [12_345 + 6 * RATE]
    assert found[0].start == 12_480  # the next frame: 78 hops
    assert all(cut.start % 160 == 0 for cut in found)


@pytest.mark.parametrize(
    ("window", "hop"),
    [
        (0.3, 0.1),
        (31, 1),
        (5, 0),
        (5, -1),
        (5, 6),
        (5, 0.005),
        (2.505, 1),
        (5, 2),
        (float("nan"), 1),
        (float("inf"), 1),
        (1e308, 1),
        (5, 1e308),
    ],
)
def test_a_timeline_that_cannot_be_is_refused(window: float, hop: float) -> None:
    with pytest.raises(ValueError, match="window"):
        Timeline(window, hop)


def test_what_holds_no_speech_says_so() -> None:
    """The model asked about silence, or about noise alone."""
    assert cuts(np.zeros(4 * RATE, np.float32), Timeline(4.0, 4.0), [RATE])[0].flags == ("silent",)
    assert cuts(noise(4.0), Timeline(4.0, 4.0), [RATE])[0].flags == ("no_speech",)
    assert cuts(speech()[: 4 * RATE], Timeline(4.0, 4.0), [RATE])[0].flags == ()
