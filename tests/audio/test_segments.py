"""What of a recording is heard, and what is passed over, from the steps in which somebody speaks."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sqe_fast.audio import segments as module
from sqe_fast.audio.segments import MARGIN, NOTHING, PAUSE, Segments, SegmentScan, Span
from sqe_fast.audio.speech import STEP, ActivityScan, Steps
from tests.support import not_speech
from tests.support.audio_samples import RATE, FloatArray, long_speech, noise, speech

LONGEST = 30 * RATE
A_SECOND = RATE // STEP


def segments(pieces: list[FloatArray], longest: int) -> Segments:
    scan = SegmentScan()
    for piece in pieces:
        scan.add(piece)
    return scan.finish(longest)


def says(steps: Steps) -> type[ActivityScan]:
    class Detector(ActivityScan):
        def add(self, samples: FloatArray) -> None:
            pass

        def finish(self) -> Steps:
            return steps

    return Detector


def told(monkeypatch: pytest.MonkeyPatch, *turns: tuple[float, bool]) -> Segments:
    """Of a recording of which a detector says so many seconds of speech, or none, one after another."""
    steps = np.concatenate([np.full(round(seconds * A_SECOND), speaks) for seconds, speaks in turns])
    monkeypatch.setattr(module, "ActivityScan", says(steps))
    samples = np.repeat(np.where(steps, 1.0, 0.5), STEP) * noise(len(steps) * STEP / RATE, 0.1)
    return segments([samples.astype(np.float32)], LONGEST)


def seconds(spans: tuple[Span, ...]) -> list[tuple[float, float]]:
    return [(span.start / RATE, span.end / RATE) for span in spans]


@pytest.mark.parametrize("pause", [0.4, 1.0, 2.9])
def test_a_pause_is_heard_with_what_is_said(monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    """A recording cut to pieces where somebody breathes; its beginning left out."""
    found = told(monkeypatch, (pause, False), (4, True), (pause, False), (2, True), (pause, False))
    assert seconds(found.windows) == [(0.0, pytest.approx(6 + 3 * pause, abs=0.1))]
    assert found.no_speech == ()
    assert found.hold_speech


def test_a_long_pause_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, (5, False), (4, True), (3.2, False), (2, True), (9, False))
    assert seconds(found.windows) == [(5 - MARGIN, 9 + MARGIN), (pytest.approx(11.9), pytest.approx(14.5))]
    assert [(stretch.start, stretch.end) for stretch in found.no_speech] == [
        (0.0, 4.7),
        (9.3, pytest.approx(11.9)),
        (pytest.approx(14.5), pytest.approx(23.2)),
    ]
    assert [found.weight(window) for window in found.windows] == [4.0, 2.0]


def test_margins_need_no_window_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute of speech heard in two halves, because of what is beside it."""
    found = told(monkeypatch, (10, False), (30, True), (10, False))
    assert seconds(found.windows) == [(10.0, 40.0)]
    found = told(monkeypatch, (10, False), (29.6, True), (10, False))
    assert seconds(found.windows) == [(pytest.approx(9.8), pytest.approx(39.8))]


def test_less_than_a_word_is_no_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cough that makes a recording of street noise one of speech."""
    found = told(monkeypatch, (10, False), (0.2, True), (10, False))
    assert not found.hold_speech
    assert seconds(found.windows) == [(0.0, 20.2)]
    assert [(stretch.start, stretch.end) for stretch in found.no_speech] == [(0.0, 20.2)]


def test_a_short_recording_is_heard_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that the detector does not know as one."""
    found = told(monkeypatch, (1.8, False))
    assert found.hold_speech
    assert seconds(found.windows) == [(0.0, pytest.approx(1.8))]
    assert found.no_speech == ()


@settings(max_examples=50, deadline=None)
@given(
    turns=st.lists(st.tuples(st.floats(0.04, 50), st.booleans()), min_size=1, max_size=12),
    longest=st.sampled_from([2 * RATE, LONGEST]),
)
def test_every_second_is_heard_or_named(turns: list[tuple[float, bool]], longest: int) -> None:
    """A second in two windows, or in none and not told."""
    with pytest.MonkeyPatch.context() as patch:
        steps = np.concatenate([np.full(max(1, round(length * A_SECOND)), speaks) for length, speaks in turns])
        patch.setattr(module, "ActivityScan", says(steps))
        found = segments([np.full(len(steps) * STEP, 1e-3, np.float32)], longest)
    passed = [(round(stretch.start * RATE), round(stretch.end * RATE)) for stretch in found.no_speech]
    spans = sorted(chain(found.windows, passed if found.hold_speech else ()))
    assert spans[0][0] == 0
    assert spans[-1][1] == len(steps) * STEP
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(0 < end - start <= longest for start, end in found.windows)
    if not found.hold_speech:
        assert passed == [(0, len(steps) * STEP)]
    assert all(end - start > (PAUSE - 2 * MARGIN) * RATE for start, end in passed)


@pytest.mark.parametrize("between", [1, 999, 64_000])
@pytest.mark.parametrize(("before", "after"), [(0, 2 * RATE), (RATE // 3, 0), (40_001, 17)])
def test_nothing_around_is_not_heard(before: int, after: int, between: int) -> None:
    """A rating that hangs on how early a recorder was started; one sample more or less, in blocks of any size."""
    said = speech()
    sounds = np.flatnonzero(np.abs(said) >= NOTHING)
    said = said[sounds[0] : sounds[-1] + 1]
    around = np.pad(said, (before, after))
    around[[place for place in (before // 2, -1 - after // 2) if around[place] == 0]] = NOTHING / 2  # dither
    found = segments(np.split(around, range(between, len(around), between)), LONGEST)
    assert found.windows == (Span(before, before + len(said)),)
    assert found.no_speech == ()
    assert found.weight(found.windows[0]) == pytest.approx(
        segments([said], LONGEST).weight(Span(0, len(said))), abs=0.1
    )


def test_nothing_around_a_word_is_not_heard() -> None:
    said = speech()[RATE : 2 * RATE]
    word = said[np.flatnonzero(np.abs(said) >= NOTHING)[0] : np.flatnonzero(np.abs(said) >= NOTHING)[-1] + 1]
    around = segments([np.pad(word, (RATE, RATE // 2))], LONGEST)
    assert around.windows == (Span(RATE, RATE + len(word)),)


def test_silence_within_is_heard() -> None:
    """A mute is a fault: it must not be cut out with what is around."""
    said = speech()
    muted = joined(said, np.zeros(RATE, np.float32), said)
    [window] = segments([muted], LONGEST).windows
    assert window.end - window.start > 2 * len(said) + RATE - 0.2 * RATE


def test_what_little_there_is_is_heard_with_the_silence_around_it() -> None:
    """A window of a few samples, of which a model makes nothing."""
    click = joined(np.zeros(RATE, np.float32), [0.5], np.zeros(RATE // 2, np.float32))
    assert segments([click], LONGEST).windows == (Span(0, len(click)),)


def joined(*parts: FloatArray) -> FloatArray:
    return np.concatenate(parts).astype(np.float32)


ROOM = noise(8, 3e-4)
"""What a microphone hears of an empty room."""


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        (np.zeros(8 * RATE, np.float32), "pause"),
        (ROOM, "pause"),
        (ROOM + np.float32(0.2), "pause"),
        (noise(8, 0.05), "sound"),
        (not_speech.tune(8, np.random.default_rng(1)) * np.float32(0.1), "sound"),
        (not_speech.cadence("ringback, US", 8, np.random.default_rng(1)) * np.float32(0.05), "sound"),
        (not_speech.cadence("busy, Europe", 8, np.random.default_rng(1)) * np.float32(0.05), "sound"),
    ],
    ids=["silence", "room", "room with an offset", "noise", "music", "ringback", "busy"],
)
def test_real_speech_around_what_is_none(between: FloatArray, kind: str) -> None:
    """A stretch whose bounds are off by a word; hold music taken for a pause."""
    said = speech()
    samples = joined(said, between, said)
    found = segments([samples], LONGEST)
    [stretch] = found.no_speech
    assert stretch.kind == kind
    assert stretch.start == pytest.approx(len(said) / RATE, abs=0.7)
    assert stretch.end == pytest.approx(len(said) / RATE + 8, abs=0.7)
    assert len(found.windows) == 2
    assert [found.weight(window) for window in found.windows] == [pytest.approx(4.8, abs=0.4)] * 2


def test_a_recording_of_hours_needs_no_more_than_its_steps() -> None:
    """What was found of a call hangs on how it was read."""
    samples = joined(long_speech(50), ROOM, long_speech(20))
    whole = segments([samples[:480_000], samples[480_000:960_000], samples[960_000:]], LONGEST)
    again = segments(np.split(samples, list(range(63_999, len(samples), 63_999))), LONGEST)
    assert whole.windows == again.windows
    assert whole.no_speech == again.no_speech
    assert len(whole.windows) == 3
